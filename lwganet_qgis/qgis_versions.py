# SPDX-License-Identifier: GPL-2.0-or-later
"""What the versions of QGIS call by different names, from 3.22 on."""

from __future__ import annotations

from typing import Sequence

from qgis.core import Qgis, QgsField, QgsRasterFileWriter, QgsVectorLayer
from qgis.PyQt.QtCore import QMetaType, QVariant


def holds_styles(layer: QgsVectorLayer) -> bool:
    """Whether the database or file of a layer keeps the styles of its tables."""
    provider = layer.dataProvider()
    if hasattr(provider, "styleStorageCapabilities"):
        return bool(provider.styleStorageCapabilities() & Qgis.ProviderStyleStorageCapability.SaveToDatabase)
    return provider.isSaveAndLoadStyleToDatabaseSupported()  # 3.22


def save_default_style(layer: QgsVectorLayer, name: str, description: str) -> None:
    """Keep a layer's style in its database, as the one with which its table is loaded."""
    save = layer.saveStyleToDatabaseV2 if hasattr(layer, "saveStyleToDatabaseV2") else layer.saveStyleToDatabase
    save(name, description, True, "")


def text_field(name: str) -> QgsField:
    """A field for texts."""
    try:
        return QgsField(name, QMetaType.Type.QString)
    except TypeError:  # before 3.38
        return QgsField(name, QVariant.String)


def set_creation_options(writer: QgsRasterFileWriter, options: Sequence[str]) -> None:
    """Give the options of GDAL's driver with which a raster is written."""
    give = writer.setCreationOptions if hasattr(writer, "setCreationOptions") else writer.setCreateOptions
    give(list(options))
