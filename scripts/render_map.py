# SPDX-License-Identifier: GPL-2.0-or-later
"""Picture layers as maps side by side, with legend and scale bar.

    scripts/with_qgis.sh /usr/bin/python3 scripts/render_map.py OUT.jpg HEADING TEXT=LAYER[+LAYER...] ...

Each map shows layers on each other, the last one on top, and is captioned with its text. Layers have the styles that
lie beside them, as QGIS loads them; the legend is that of the last layer of the last map.
"""

import sys
from collections import Counter
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsCategorizedSymbolRenderer,
    QgsLayoutExporter,
    QgsLayoutItem,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemScaleBar,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsLegendRenderer,
    QgsLegendStyle,
    QgsMapLayer,
    QgsMapLayerLegendUtils,
    QgsPrintLayout,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsTextFormat,
    QgsUnitTypes,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QColor, QFont

PIXELS_WIDE, DPI, QUALITY = 1400, 130, 82
FONT = "DejaVu Sans"
PANEL, MARGIN, GAP, CAPTION = 58.0, 5.0, 2.0, 8.0  # millimetres
MILLIMETRES_WIDE = PIXELS_WIDE / DPI * 25.4
BAR_LENGTHS = [digit * 10**power for power in range(-1, 6) for digit in (1, 2, 5)]


def main(output: Path, heading: str, panels: list[tuple[str, list[str]]]) -> None:
    """Write the picture."""
    maps = [(caption, [open_layer(path) for path in paths]) for caption, paths in panels]
    image, result = maps[0][1][0], maps[-1][1][-1]
    if isinstance(result, QgsVectorLayer):
        tell_counts(result)
    project = QgsProject.instance()
    project.setCrs(image.crs())
    project.addMapLayers([layer for _, layers in maps for layer in layers])
    layout = map_sheet(project, heading, maps, image.extent(), result)
    QgsLayoutExporter(layout).renderPageToImage(0, QSize(), DPI).save(str(output), quality=QUALITY)


def open_layer(path: str) -> QgsMapLayer:
    """A raster, or the only layer of a GeoPackage."""
    layer = QgsVectorLayer(path, path, "ogr") if path.endswith(".gpkg") else QgsRasterLayer(path, path)
    if not layer.isValid():
        sys.exit(f"error: {path} cannot be opened as a layer.")
    return layer


def tell_counts(layer: QgsVectorLayer) -> None:
    """Give the legend of a layer by class the number of features of each, the most frequent first."""
    old = layer.renderer()
    counts = Counter(feature[old.classAttribute()] for feature in layer.getFeatures())
    renderer = QgsCategorizedSymbolRenderer(old.classAttribute())
    for category in sorted(old.categories(), key=lambda each: -counts[each.value()]):
        category.setLabel(f"{category.value()}  ({counts[category.value()]})")
        renderer.addCategory(category)
    layer.setRenderer(renderer)


def map_sheet(
    project: QgsProject,
    heading: str,
    maps: list[tuple[str, list[QgsMapLayer]]],
    extent: QgsRectangle,
    result: QgsMapLayer,
) -> QgsPrintLayout:
    """A page with the maps and, to their right, heading, legend and scale bar."""
    left = MILLIMETRES_WIDE - PANEL
    width = (left - GAP * (len(maps) - 1)) / len(maps)
    height = width * extent.height() / extent.width()
    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    layout.pageCollection().page(0).setPageSize(QgsLayoutSize(MILLIMETRES_WIDE, height))
    for number, (caption, layers) in enumerate(maps):
        x = number * (width + GAP)
        picture = QgsLayoutItemMap(layout)
        place(picture, x, 0, width, height)
        picture.setLayers(layers[::-1])
        picture.setExtent(extent)
        if caption:
            add_caption(layout, caption, x)
    left += MARGIN
    add_heading(layout, heading, left)
    add_legend(layout, result, left)
    add_scale_bar(layout, picture, extent.width() / width, left, height)
    return layout


def place(item: QgsLayoutItem, x: float, y: float, width: float, height: float) -> None:
    """Put an item on its page, in millimetres."""
    item.layout().addLayoutItem(item)
    item.attemptMove(QgsLayoutPoint(x, y))
    item.attemptResize(QgsLayoutSize(width, height))


def add_caption(layout: QgsPrintLayout, text: str, left: float) -> None:
    """What a map shows, in a white box in its corner."""
    label = QgsLayoutItemLabel(layout)
    label.setText(text)
    label.setFont(QFont(FONT, 11, QFont.Weight.Bold))
    label.setBackgroundEnabled(True)
    label.setBackgroundColor(QColor("white"))
    label.setHAlign(Qt.AlignmentFlag.AlignHCenter)
    label.setVAlign(Qt.AlignmentFlag.AlignVCenter)
    place(label, left, 0, label.sizeForText().width() + CAPTION / 2, CAPTION)


def add_heading(layout: QgsPrintLayout, text: str, left: float) -> None:
    """What was found, at the top of the right panel."""
    label = QgsLayoutItemLabel(layout)
    label.setText(text)
    label.setHAlign(Qt.AlignmentFlag.AlignLeft)
    label.setFont(QFont(FONT, 12, QFont.Weight.Bold))
    place(label, left, MARGIN, PANEL - 2 * MARGIN, 16)


def add_legend(layout: QgsPrintLayout, result: QgsMapLayer, left: float) -> None:
    """The classes with their colours."""
    legend = QgsLayoutItemLegend(layout)
    legend.setAutoUpdateModel(False)
    root = legend.model().rootGroup()
    for each in root.findLayers():
        if each.layer() != result:
            root.removeLayer(each.layer())
    node = root.findLayer(result)
    QgsLegendRenderer.setNodeLegendStyle(node, QgsLegendStyle.Style.Hidden)
    if isinstance(result, QgsRasterLayer):
        drawn = [line for line, each in enumerate(result.renderer().classes(), 1) if each.color.alpha()]
        QgsMapLayerLegendUtils.setLegendNodeOrder(node, drawn)  # without line 0, which names the band
        legend.model().refreshLayerLegend(node)
    legend.setStyleFont(QgsLegendStyle.Style.SymbolLabel, QFont(FONT, 11))
    legend.setSymbolHeight(4.5)
    place(legend, left - 2, MARGIN + 15, PANEL - 2 * MARGIN, 40)


def add_scale_bar(
    layout: QgsPrintLayout, picture: QgsLayoutItemMap, metres_per_millimetre: float, left: float, bottom: float
) -> None:
    """A bar of a round number of metres, as wide as the right panel allows."""
    bar = QgsLayoutItemScaleBar(layout)
    bar.setStyle("Single Box")
    bar.setLinkedMap(picture)
    bar.setUnits(QgsUnitTypes.DistanceUnit.DistanceMeters)
    bar.setUnitLabel("m")
    bar.setNumberOfSegmentsLeft(0)
    bar.setNumberOfSegments(2)
    bar.setTextFormat(QgsTextFormat.fromQFont(QFont(FONT, 10)))
    place(bar, left - 2, bottom - 18, PANEL, 14)
    metres = metres_per_millimetre * (PANEL - 4 * MARGIN)
    bar.setUnitsPerSegment(max(length for length in BAR_LENGTHS if 2 * length <= metres))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    application = QgsApplication([], False)
    application.initQgis()
    given = [panel.partition("=") for panel in sys.argv[3:]]
    main(Path(sys.argv[1]), sys.argv[2], [(text, files.split("+")) for text, _, files in given])
