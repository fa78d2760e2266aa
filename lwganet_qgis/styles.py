# SPDX-License-Identifier: GPL-2.0-or-later
"""How results look: the drawing is a QML file in ``resources/styles``, the classes' colours are the model card's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFeatureRenderer,
    QgsMapLayer,
    QgsPalettedRasterRenderer,
    QgsProcessingLayerPostProcessorInterface,
    QgsRasterLayer,
    QgsRendererCategory,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from ..model_runner.contract.folders import PLUGIN_ROOT
from ..model_runner.contract.model_card import ModelClass

STYLES = PLUGIN_ROOT / "resources" / "styles"
CLASS_FIELD = "class_name"


class Look(Protocol):
    """How a kind of result is drawn."""

    def draw(self, layer: QgsMapLayer) -> None:
        """Give a layer this look."""

    def amend(self, layer: QgsMapLayer) -> bool:
        """Add what the style that a layer has already lacks for this result; whether anything was changed."""


@dataclass(frozen=True)
class Drawing:
    """A look that is the same for all models."""

    file: str

    def draw(self, layer: QgsMapLayer) -> None:
        layer.loadNamedStyle(str(STYLES / self.file))

    def amend(self, layer: QgsMapLayer) -> bool:
        return False


@dataclass(frozen=True)
class ClassPolygons:
    """Polygons in the colours of their classes, each drawn with the symbol of the QML file."""

    file: str
    classes: tuple[ModelClass, ...]

    def draw(self, layer: QgsVectorLayer) -> None:
        layer.loadNamedStyle(str(STYLES / self.file))
        renderer = QgsCategorizedSymbolRenderer(CLASS_FIELD)
        renderer.setSourceSymbol(layer.renderer().symbol().clone())
        _add_classes(renderer, self.classes)
        layer.setRenderer(renderer)

    def amend(self, layer: QgsVectorLayer) -> bool:
        missing = _classes_not_drawn(layer.renderer(), self.classes)
        if missing:
            _add_classes(layer.renderer(), missing)
        return bool(missing)


@dataclass(frozen=True)
class ClassNumbers:
    """A raster of numbers of classes, each in its colour and with its name."""

    classes: tuple[ModelClass, ...]

    def draw(self, layer: QgsRasterLayer) -> None:
        palette = [
            QgsPalettedRasterRenderer.Class(number, QColor(each.colour), each.name)
            for number, each in enumerate(self.classes)
        ]
        layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), 1, palette))

    def amend(self, layer: QgsRasterLayer) -> bool:
        """A palette of other classes is replaced: the same numbers mean something else now."""
        renderer = layer.renderer()
        if not isinstance(renderer, QgsPalettedRasterRenderer):
            return False
        drawn = {round(each.value): each.label for each in renderer.classes()}
        if all(drawn.get(number) == each.name for number, each in enumerate(self.classes)):
            return False
        self.draw(layer)
        return True


class Styler(QgsProcessingLayerPostProcessorInterface):
    """Gives a layer its look when QGIS loads it."""

    # QGIS neither owns its post-processors nor says when it has used them; collected ones crash it.
    _kept: list[Styler] = []  # noqa: RUF012

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._kept.append(self)

    def postProcessLayer(self, layer, context, feedback):
        if layer.isSpatial():  # a CSV file or a spreadsheet is not
            self._look.draw(layer)


def _add_classes(renderer: QgsCategorizedSymbolRenderer, classes: tuple[ModelClass, ...]) -> None:
    """Add categories with the source symbol, whose parts keep their opacity; locked ones keep their colour."""
    for each in classes:
        own = renderer.sourceSymbol().clone()
        for part in own.symbolLayers():
            if not part.isLocked():
                colour = QColor(each.colour)
                colour.setAlpha(part.color().alpha())
                part.setColor(colour)
        renderer.addCategory(QgsRendererCategory(each.name, own, each.name))


def _classes_not_drawn(renderer: QgsFeatureRenderer, classes: tuple[ModelClass, ...]) -> tuple[ModelClass, ...]:
    """The classes that a style by class lacks; a style of another kind, or one that draws all others, lacks none."""
    if not isinstance(renderer, QgsCategorizedSymbolRenderer) or renderer.classAttribute() != CLASS_FIELD:
        return ()
    if renderer.sourceSymbol() is None:
        return ()
    drawn = {each.value() or "" for each in renderer.categories()}
    return () if "" in drawn else tuple(each for each in classes if each.name not in drawn)
