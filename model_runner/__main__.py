# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m model_runner``."""

import sys

from model_runner.command_line import main

sys.exit(main())
