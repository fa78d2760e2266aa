# SPDX-License-Identifier: GPL-2.0-or-later
"""Run algorithms on rasters one after the other, as the batch dialog does.

After the first run of each its model's weights are spoilt, but keep their time stamp: they must not be read again.
"""

import json
import os
import sys

from in_qgis import processing, runner_pids, tell

results, runners = {}, []
for task, algorithm, weights, rows in json.loads(sys.argv[1]):
    results[task] = []
    for parameters in rows:
        results[task].append(processing.run(algorithm, parameters))
        runners.append(runner_pids())
        stamp = os.stat(weights)
        with open(weights, "r+b") as file:
            file.truncate(10)
        os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
tell(results=results, runners=runners)
