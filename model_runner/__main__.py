# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m model_runner``."""

import signal
import sys

from model_runner.command_line import main

# schedulers and systems that shut down ask in this way; what is unfinished is cleared away as after Ctrl+C
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())
