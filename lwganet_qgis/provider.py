# SPDX-License-Identifier: GPL-2.0-or-later
"""The group LWGANet in the Processing toolbox."""

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from ..model_runner.contract.folders import PLUGIN_ROOT, plugin_version
from ..processing_algorithms import ALGORITHMS
from .layers import UNFIT_FOR_POLYGONS

ICON_FILE = PLUGIN_ROOT / "resources" / "icons" / "lwganet.svg"


class Provider(QgsProcessingProvider):
    """Lists ``processing_algorithms.ALGORITHMS``."""

    def id(self):
        return "lwganet"

    def name(self):
        return "LWGANet"

    def longName(self):
        return "LWGANet: deep learning on rasters"

    def versionInfo(self):
        return plugin_version()

    def icon(self):
        return QIcon(str(ICON_FILE))

    def svgIconPath(self):
        return str(ICON_FILE)

    def supportedOutputRasterLayerExtensions(self):
        return ["tif", "tiff"]  # the runner writes GeoTIFFs

    def supportedOutputVectorLayerExtensions(self):
        return [each for each in super().supportedOutputVectorLayerExtensions() if each not in UNFIT_FOR_POLYGONS]

    def loadAlgorithms(self):
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())
