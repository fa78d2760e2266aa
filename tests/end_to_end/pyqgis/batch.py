# SPDX-License-Identifier: GPL-2.0-or-later
"""Detect objects in rasters one after the other, as the batch dialog does.

After the first one the model's weights are spoilt, but keep their time stamp: they must not be read again.
"""

import os
import sys

from in_qgis import detect, runner_pids, tell

model, weights, *rasters = sys.argv[1:]
counts, runners = [], []
for raster in rasters:
    counts.append(detect(INPUT=raster, MODEL=model, OUTPUT=raster.replace(".tif", ".gpkg"))["COUNT"])
    runners.append(runner_pids())
    stamp = os.stat(weights)
    with open(weights, "r+b") as file:
        file.truncate(10)
    os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
tell(counts=counts, runners=runners)
