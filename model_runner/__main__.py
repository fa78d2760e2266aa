# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m model_runner``."""

import os
import signal
import sys

from model_runner.command_line import main

# GDAL prints there what it remarks of its own accord; its errors come as exceptions, whatever it prints
os.environ.setdefault("CPL_LOG", os.devnull)
# schedulers and systems that shut down ask in this way; what is unfinished is cleared away as after Ctrl+C
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())
