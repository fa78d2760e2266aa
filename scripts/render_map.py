# SPDX-License-Identifier: GPL-2.0-or-later
"""Picture a raster and the objects found in it as a map with legend and scale bar.

    scripts/with_qgis.sh /usr/bin/python3 scripts/render_map.py RASTER LAYER OUT.png

The layer is drawn in the plugin's own style. The picture has few enough colours to stay small.
"""

import os
import sys
from collections import Counter
from pathlib import Path

from osgeo import gdal
from qgis.core import (
    QgsApplication,
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
    QgsPrintLayout,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsTextFormat,
    QgsUnitTypes,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QFont

sys.path.insert(0, os.environ["QGIS_PLUGINPATH"])
from lwganet_qgis.lwganet_qgis.styles import CLASS_FIELD, ClassPolygons
from lwganet_qgis.model_runner.contract.model_card import find_cards

PIXELS_WIDE, DPI, COLOURS = 1400, 130, 128
FONT = "DejaVu Sans"
PANEL, MARGIN = 58.0, 5.0  # millimetres
MILLIMETRES_WIDE = PIXELS_WIDE / DPI * 25.4
BAR_LENGTHS = [digit * 10**power for power in range(-1, 6) for digit in (1, 2, 5)]


def main(raster_path: str, layer_path: str, output: Path) -> None:
    """Write the picture."""
    raster, objects = QgsRasterLayer(raster_path, "image"), QgsVectorLayer(layer_path, "Detected objects", "ogr")
    for layer, path in ((raster, raster_path), (objects, layer_path)):
        if not layer.isValid():
            sys.exit(f"error: {path} cannot be opened as a layer.")
    counts = Counter(feature[CLASS_FIELD] for feature in objects.getFeatures())
    style_with_counts(objects, counts)
    project = QgsProject.instance()
    project.setCrs(raster.crs())
    project.addMapLayers([raster, objects])
    layout = map_sheet(project, raster, objects)
    image = QgsLayoutExporter(layout).renderPageToImage(0, QSize(), DPI)
    image.save(str(output))
    drawn = [category.symbol().color() for category in objects.renderer().categories()]
    reduce_colours(output, [QColor("white"), QColor("black"), *drawn])


def style_with_counts(objects: QgsVectorLayer, counts: Counter) -> None:
    """Give the layer the plugin's style, and its legend the number of objects of each class."""
    models = {feature["model"] for feature in objects.getFeatures()}
    classes = {each.name: each for card in find_cards("detect") if card.id in models for each in card.classes}
    found = tuple(classes[name] for name, _ in counts.most_common() if name in classes)
    ClassPolygons("detections.qml", found).draw(objects)
    renderer = objects.renderer()
    for number, category in enumerate(renderer.categories()):
        renderer.updateCategoryLabel(number, f"{category.value()}  ({counts[category.value()]})")


def map_sheet(project: QgsProject, raster: QgsRasterLayer, objects: QgsVectorLayer) -> QgsPrintLayout:
    """A page with the map and, to its right, heading, legend and scale bar."""
    extent = raster.extent()
    map_width = MILLIMETRES_WIDE - PANEL
    height = map_width * extent.height() / extent.width()
    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    layout.pageCollection().page(0).setPageSize(QgsLayoutSize(MILLIMETRES_WIDE, height))
    picture = QgsLayoutItemMap(layout)
    place(picture, 0, 0, map_width, height)
    picture.setLayers([objects, raster])
    picture.setExtent(extent)
    left = map_width + MARGIN
    heading(layout, f"{objects.featureCount()} objects found", left)
    add_legend(layout, objects, left)
    add_scale_bar(layout, picture, extent, left, height)
    return layout


def place(item: QgsLayoutItem, x: float, y: float, width: float, height: float) -> None:
    """Put an item on the page, in millimetres."""
    item.layout().addLayoutItem(item)
    item.attemptMove(QgsLayoutPoint(x, y))
    item.attemptResize(QgsLayoutSize(width, height))


def heading(layout: QgsPrintLayout, text: str, left: float) -> None:
    """The line above the legend."""
    label = QgsLayoutItemLabel(layout)
    label.setText(text)
    label.setFont(QFont(FONT, 12, QFont.Weight.Bold))
    place(label, left, MARGIN, PANEL - 2 * MARGIN, 8)


def add_legend(layout: QgsPrintLayout, objects: QgsVectorLayer, left: float) -> None:
    """The classes with their colours and counts."""
    legend = QgsLayoutItemLegend(layout)
    legend.setAutoUpdateModel(False)
    root = legend.model().rootGroup()
    for node in root.findLayers():
        if node.layer() != objects:
            root.removeLayer(node.layer())
    QgsLegendRenderer.setNodeLegendStyle(root.findLayer(objects), QgsLegendStyle.Style.Hidden)
    legend.setStyleFont(QgsLegendStyle.Style.SymbolLabel, QFont(FONT, 11))
    legend.setSymbolHeight(4.5)
    place(legend, left - 2, MARGIN + 9, PANEL - 2 * MARGIN, 40)


def add_scale_bar(
    layout: QgsPrintLayout, picture: QgsLayoutItemMap, extent: QgsRectangle, left: float, bottom: float
) -> None:
    """A bar of a round number of metres, as wide as the panel allows."""
    bar = QgsLayoutItemScaleBar(layout)
    bar.setStyle("Single Box")
    bar.setLinkedMap(picture)
    bar.setUnits(QgsUnitTypes.DistanceUnit.DistanceMeters)
    bar.setUnitLabel("m")
    bar.setNumberOfSegmentsLeft(0)
    bar.setNumberOfSegments(2)
    bar.setTextFormat(QgsTextFormat.fromQFont(QFont(FONT, 10)))
    place(bar, left - 2, bottom - 18, PANEL, 14)
    metres = extent.width() * (PANEL - 4 * MARGIN) / (MILLIMETRES_WIDE - PANEL)
    bar.setUnitsPerSegment(max(length for length in BAR_LENGTHS if 2 * length <= metres))


def reduce_colours(path: Path, exact: list[QColor]) -> None:
    """Rewrite a picture with a palette, in which some colours are exact; it then has a third of its size."""
    picture = gdal.Open(str(path))
    red, green, blue = (picture.GetRasterBand(band) for band in (1, 2, 3))
    palette = gdal.ColorTable()
    gdal.ComputeMedianCutPCT(red, green, blue, COLOURS, palette)
    for number, colour in enumerate(exact, COLOURS):
        palette.SetColorEntry(number, colour.getRgb())
    indexed = gdal.GetDriverByName("MEM").Create("", picture.RasterXSize, picture.RasterYSize)
    indexed.GetRasterBand(1).SetRasterColorTable(palette)
    gdal.DitherRGB2PCT(red, green, blue, indexed.GetRasterBand(1), palette)
    gdal.GetDriverByName("PNG").CreateCopy(str(path), indexed, options=["ZLEVEL=9"])


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    application = QgsApplication([], False)
    application.initQgis()
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
