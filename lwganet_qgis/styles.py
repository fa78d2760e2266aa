# SPDX-License-Identifier: GPL-2.0-or-later
"""How results look: the drawing is a QML file in ``resources/styles``, the classes' colours are the model card's."""

from __future__ import annotations

from typing import Sequence

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFeatureRenderer,
    QgsProcessingLayerPostProcessorInterface,
    QgsRendererCategory,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from ..model_runner.contract.folders import PLUGIN_ROOT
from ..model_runner.contract.model_card import ModelClass
from .layers import place_of

STYLES = PLUGIN_ROOT / "resources" / "styles"
CLASS_FIELD = "class_name"
STYLE_NAME = "LWGANet"


def style_detections(layer: QgsVectorLayer, classes: Sequence[ModelClass]) -> None:
    """Draw boxes as outlines in their class's colour, labelled with class and score."""
    layer.loadNamedStyle(str(STYLES / "detections.qml"))
    symbol = layer.renderer().symbol()
    renderer = QgsCategorizedSymbolRenderer(CLASS_FIELD)
    renderer.setSourceSymbol(symbol.clone())
    _add_classes(renderer, classes)
    layer.setRenderer(renderer)


def _add_classes(renderer: QgsCategorizedSymbolRenderer, classes: Sequence[ModelClass]) -> None:
    for each in classes:
        own = renderer.sourceSymbol().clone()
        own.setColor(QColor(each.colour))
        renderer.addCategory(QgsRendererCategory(each.name, own, each.name))


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


def keep_style(destination: str, classes: Sequence[ModelClass]) -> None:
    """Write the style of a result that is a file to where QGIS looks for it.

    A file of its own has it in the QML file beside it. QGIS would draw all layers of a database by that, so that a
    table has it within the database. A style that is there stays, and gets the classes that it lacks: a former run
    may have found others.
    """
    path, table = place_of(destination)
    if not path.is_file():
        return
    layer = QgsVectorLayer(destination, path.stem, "ogr")  # with the style that is there
    beside = path.with_suffix(".qml")
    if not (beside.exists() if table is None else layer.listStylesInDatabase()[0] > 0):
        style_detections(layer, classes)
    else:
        missing = _classes_not_drawn(layer.renderer(), classes)
        if not missing:
            return
        _add_classes(layer.renderer(), missing)
    if table is None:
        layer.saveNamedStyle(str(beside))
    elif layer.dataProvider().isSaveAndLoadStyleToDatabaseSupported():
        _save_in_database(layer)


def _save_in_database(layer: QgsVectorLayer) -> None:
    """Make the layer's style the default one of its table; others that the table has stay."""
    related, ids, names, *_ = layer.listStylesInDatabase()
    if STYLE_NAME in names[:related]:  # QGIS would ask the user whether to overwrite it
        layer.deleteStyleFromDatabase(ids[names.index(STYLE_NAME)])
    layer.saveStyleToDatabase(STYLE_NAME, "Classes in the colours of the model", True, "")


def _classes_not_drawn(renderer: QgsFeatureRenderer, classes: Sequence[ModelClass]) -> list[ModelClass]:
    """The classes that a style by class lacks; a style of another kind, or one that draws all others, lacks none."""
    if not isinstance(renderer, QgsCategorizedSymbolRenderer) or renderer.classAttribute() != CLASS_FIELD:
        return []
    if renderer.sourceSymbol() is None:
        return []
    drawn = {each.value() or "" for each in renderer.categories()}
    return [] if "" in drawn else [each for each in classes if each.name not in drawn]
