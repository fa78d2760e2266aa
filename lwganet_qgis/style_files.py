# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the look of a result that is a file where QGIS finds it whenever the file is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from qgis.core import QgsRasterLayer, QgsVectorLayer

from .layers import place_of
from .qgis_versions import holds_styles, save_default_style
from .styles import Look

STYLE_NAME = "LWGANet"
MARK_OF_RASTER_STYLES = "<rasterrenderer"


def keep_style(destination: str, look: Look) -> None:
    """Write the style of a result that is a file to where QGIS looks for it; a table without geometry needs none.

    A file of its own has it in the QML file beside it. QGIS would draw all layers of a database by that, so that a
    table has it within the database; so has a layer whose QML file is that of a raster of the same name. A style
    that is there stays, and gets the classes that it lacks: a former run may have found others.
    """
    path, table = place_of(destination)
    if not os.path.isfile(path):
        return
    layer = _with_its_style(destination, path)
    if not layer.isSpatial():
        return
    beside = path.with_suffix(".qml")
    is_taken = beside.exists() and _is_of_raster(beside) != isinstance(layer, QgsRasterLayer)
    in_database = isinstance(layer, QgsVectorLayer) and (table is not None or is_taken)
    if is_taken and not in_database:
        return
    if not (layer.listStylesInDatabase()[0] > 0 if in_database else beside.exists()):
        look.draw(layer)
    elif not look.amend(layer):
        return
    if not in_database:
        layer.saveNamedStyle(str(beside))
    elif holds_styles(layer):
        _save_in_database(layer)


def _with_its_style(destination: str, path: Path) -> Union[QgsRasterLayer, QgsVectorLayer]:
    """The layer in a file, drawn by the style that is there."""
    vectors = QgsVectorLayer(destination, path.stem, "ogr")
    return vectors if vectors.isValid() else QgsRasterLayer(destination, path.stem, "gdal")


def _is_of_raster(style: Path) -> bool:
    return MARK_OF_RASTER_STYLES in style.read_text(encoding="utf-8", errors="replace")


def _save_in_database(layer: QgsVectorLayer) -> None:
    """Make the layer's style the default one of its table; others that the table has stay."""
    related, ids, names, *_ = layer.listStylesInDatabase()
    if STYLE_NAME in names[:related]:  # QGIS would ask the user whether to overwrite it
        layer.deleteStyleFromDatabase(ids[names.index(STYLE_NAME)])
    save_default_style(layer, STYLE_NAME, "Classes in the colours of the model")
