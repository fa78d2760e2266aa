# SPDX-License-Identifier: GPL-2.0-or-later
"""How results look: the drawing is a QML file in ``resources/styles``, the classes' colours are the model card's."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsProcessingLayerPostProcessorInterface,
    QgsRendererCategory,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from ..model_runner.contract.folders import PLUGIN_ROOT
from ..model_runner.contract.model_card import ModelClass

STYLES = PLUGIN_ROOT / "resources" / "styles"


def style_detections(layer: QgsVectorLayer, classes: Sequence[ModelClass]) -> None:
    """Draw boxes as outlines in their class's colour, labelled with class and score."""
    layer.loadNamedStyle(str(STYLES / "detections.qml"))
    symbol = layer.renderer().symbol()
    renderer = QgsCategorizedSymbolRenderer("class_name")
    for each in classes:
        own = symbol.clone()
        own.setColor(QColor(each.colour))
        renderer.addCategory(QgsRendererCategory(each.name, own, each.name))
    layer.setRenderer(renderer)


class DetectionStyler(QgsProcessingLayerPostProcessorInterface):
    """Styles a layer of detections when QGIS loads it."""

    # QGIS neither owns its post-processors nor says when it has used them; collected ones crash it.
    _kept: list[DetectionStyler] = []  # noqa: RUF012

    def __init__(self, classes: Sequence[ModelClass]) -> None:
        super().__init__()
        self._classes = classes
        self._kept.append(self)

    def postProcessLayer(self, layer, context, feedback):
        style_detections(layer, self._classes)


def write_style_beside(destination: str, classes: Sequence[ModelClass]) -> None:
    """Write the style into the QML file from which QGIS takes the style of a file; one that is there stays."""
    path = Path(destination.partition("|")[0])
    style = path.with_suffix(".qml")
    if path.is_file() and not style.exists():
        layer = QgsVectorLayer(destination, path.stem, "ogr")
        style_detections(layer, classes)
        layer.saveNamedStyle(str(style))
