# SPDX-License-Identifier: GPL-2.0-or-later
"""Cancel a run as soon as it computes."""

import sys
from pathlib import Path

from in_qgis import WhenTilesCome, detect, tell
from qgis.core import QgsProcessingException, QgsProcessingUtils

raster, output = sys.argv[1:]
feedback = WhenTilesCome(lambda feedback: feedback.cancel())
error = None
try:
    detect(feedback, INPUT=raster, OUTPUT=output, TILE_SIZE=96, OVERLAP=64)
except QgsProcessingException as exception:
    error = str(exception)
scratch = [str(path) for path in Path(QgsProcessingUtils.tempFolder()).glob("lwganet-*")]
tell(computed=feedback.done, error=error, scratch=scratch)
