# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill the runner in the middle of a run, then run again."""

import os
import signal
import sys

from in_qgis import WhenTilesCome, detect, runner_pids, tell
from qgis.core import QgsProcessingException

large, small, output = sys.argv[1:]
killed = []


def kill_runner(feedback):
    killed.extend(runner_pids())
    for pid in killed:
        os.kill(pid, signal.SIGKILL)


error = None
try:
    detect(WhenTilesCome(kill_runner), INPUT=large, OUTPUT=output, TILE_SIZE=96, OVERLAP=64)
except QgsProcessingException as exception:
    error = str(exception)
left_over = os.path.exists(output)
again = detect(INPUT=small, OUTPUT=output)
tell(killed=killed, error=error, left_over=left_over, again=again["COUNT"], runners=runner_pids())
