# SPDX-License-Identifier: GPL-2.0-or-later
"""Raster layers of QGIS as files that the runner can open."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path
from typing import Any, Optional, Union

from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsCsException,
    QgsDistanceArea,
    QgsPointXY,
    QgsProcessingFeedback,
    QgsProviderRegistry,
    QgsRaster,
    QgsRasterBlockFeedback,
    QgsRasterDataProvider,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRasterPipe,
    QgsRectangle,
)
from qgis.PyQt.QtCore import Qt

from ..model_runner.contract.errors import InputError
from .layers import file_for
from .qgis_versions import set_creation_options

MOST_EXPORTED_PIXELS = 250_000_000
PICTURE_TYPES = (Qgis.DataType.ARGB32, Qgis.DataType.ARGB32_Premultiplied)
KNOWN_TO_QGIS_ALONE = ("openOptions", "authcfg", "credentialOptions")  # parts of a source
TOLD_GAPS = 0.001  # share of a picture that may be empty without a word
EXPORT_OPTIONS = ["COMPRESS=LZW", "TILED=YES", "BIGTIFF=IF_SAFER"]


class RasterForRunner:
    """A raster layer that the runner shall read. Made on the main thread; its file may be asked for on any.

    What GDAL can open from another process is passed on as it is, with the reference system and the value for no data
    that the user gave the layer; all else (web map services, databases, virtual rasters, files in memory) is exported:
    services as the picture that QGIS draws, the others with their values.
    """

    def __init__(self, layer: QgsRasterLayer) -> None:
        provider = layer.dataProvider()
        self.name = layer.name()
        self.crs = layer.crs()
        self.is_picture = provider.dataType(1) in PICTURE_TYPES
        self.band_count = 3 if self.is_picture else _count_bands(layer)
        self.path = _openable_path(layer)
        self._source = layer.source()
        self._extent = layer.extent()
        self._other_crs = self.crs if self.crs.isValid() and self.crs != provider.crs() else None
        self._other_no_data = _chosen_no_data(provider)
        self._provider = provider.clone() if self.path is None else None
        self._renderer = layer.renderer().clone() if self.is_picture else None

    def is_same_as(self, other: RasterForRunner) -> bool:
        """Whether both layers show the same file, links resolved, or the same source of another kind."""
        one, another = (os.path.realpath(each.path or each._source) for each in (self, other))
        return one == another

    def surroundings_in(
        self, crs: QgsCoordinateReferenceSystem, transforms: QgsCoordinateTransformContext
    ) -> Optional[QgsRectangle]:
        """A rectangle in another reference system that holds the raster and more, or None if none is known."""
        if not (self.crs.isValid() and crs.isValid()):
            return None
        try:
            box = QgsCoordinateTransform(self.crs, crs, transforms).transformBoundingBox(self._extent)
        except QgsCsException:
            return None
        box.scale(2)  # edges may be curved there, and a pole may be within
        if crs.isGeographic() and (box.xMinimum() < -180 or box.xMaximum() > 180):
            return None  # what is near may have longitudes a turn away
        return box if box.isFinite() and not box.isEmpty() else None

    def why_unusable(self, has_extent: bool, has_resolution: bool) -> Optional[str]:
        """Why the layer cannot be read with or without these, or None."""
        if not self.is_picture or (has_extent and has_resolution):
            return None
        return (
            f"The layer '{self.name}' comes from a server and has no pixels of its own: choose the extent and the "
            "resolution to work at."
        )

    def file(
        self,
        folder: Path,
        extent: QgsRectangle,
        resolution: Optional[float],
        transforms: QgsCoordinateTransformContext,
        feedback: QgsProcessingFeedback,
    ) -> str:
        """The path or GDAL name of a file with the layer's pixels.

        Args:
            folder: for files that are made.
            extent: part of the layer in its own reference system that is needed; empty for all of it.
            resolution: metres per pixel on the ground that are needed; None for the layer's own.
            transforms: of the project.
            feedback: hears of an export.

        Raises:
            InputError: the layer cannot be exported.
        """
        if self.path is None:
            return self._export(folder, extent, resolution, transforms, feedback)
        if self._other_crs is None and self._other_no_data is None:
            return self.path
        return _as_in_qgis(self.path, self.name, self._other_crs, self._other_no_data, folder)

    def _export(
        self,
        folder: Path,
        extent: QgsRectangle,
        resolution: Optional[float],
        transforms: QgsCoordinateTransformContext,
        feedback: QgsProcessingFeedback,
    ) -> str:
        provider = self._provider
        extent = provider.extent() if extent.isEmpty() else extent.intersect(provider.extent())
        if extent.isEmpty():
            raise InputError(f"The extent does not touch the layer '{self.name}'.")
        if resolution:
            width, height = _size_in_metres(extent, self.crs, transforms)
            columns, rows = round(width / resolution), round(height / resolution)
        else:
            columns = round(provider.xSize() * extent.width() / provider.extent().width())
            rows = round(provider.ySize() * extent.height() / provider.extent().height())
        columns, rows = max(columns, 1), max(rows, 1)
        if columns * rows > MOST_EXPORTED_PIXELS:
            raise InputError(
                f"The chosen part of the layer '{self.name}' has {columns} × {rows} pixels; at most "
                f"{MOST_EXPORTED_PIXELS // 1_000_000} million can be exported. Choose a smaller extent or a coarser "
                "resolution."
            )
        feedback.pushInfo(f"Exporting {columns} × {rows} pixels of the layer '{self.name}' …")
        pipe = QgsRasterPipe()
        pipe.set(provider)
        if self._renderer is not None:
            pipe.set(self._renderer)
        path = file_for(self.name, ".tif", folder)
        writer = QgsRasterFileWriter(path)
        set_creation_options(writer, EXPORT_OPTIONS)
        block_feedback = QgsRasterBlockFeedback()
        feedback.canceled.connect(block_feedback.cancel, Qt.ConnectionType.DirectConnection)
        if feedback.isCanceled():  # by then it is silent
            block_feedback.cancel()
        outcome = writer.writeRaster(pipe, columns, rows, extent, self.crs, transforms, block_feedback)
        if not feedback.isCanceled():
            _refuse_half_written(path, self.name, outcome)
            _refuse_empty(path, self.name, self.is_picture)
            if self.is_picture:
                _warn_of_gaps(path, self.name, feedback)
        return path


def _count_bands(layer: QgsRasterLayer) -> int:
    """How many bands the layer has; like the runner, without those of opacity."""
    meanings = [layer.dataProvider().colorInterpretation(1 + band) for band in range(layer.bandCount())]
    return len(meanings) - meanings.count(QgsRaster.ColorInterpretation.AlphaBand)


def _openable_path(layer: QgsRasterLayer) -> Optional[str]:
    """The name under which GDAL in another process opens the layer, or None if it cannot."""
    if layer.providerType() != "gdal":
        return None
    registry = QgsProviderRegistry.instance()
    parts = registry.decodeUri("gdal", layer.source())
    if any(map(parts.get, KNOWN_TO_QGIS_ALONE)) or "/vsimem/" in layer.source():
        return None
    path = registry.encodeUri("gdal", parts)
    return os.path.abspath(path) if os.path.exists(path) else path


def _chosen_no_data(provider: QgsRasterDataProvider) -> Union[float, str, None]:
    """What the user chose in QGIS to stand for no data in all bands: a value, or "none"; None for what the file says.

    GDAL knows one value a band: a range of values, and one that comes to the file's own, are left out.
    """
    bands = range(1, provider.bandCount() + 1)
    own = {provider.useSourceNoDataValue(band) for band in bands if provider.sourceHasNoDataValue(band)}
    chosen = {tuple((each.min(), each.max()) for each in provider.userNoDataValues(band)) for band in bands}
    if True in own or len(chosen) != 1:
        return None
    ranges = chosen.pop()
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return ranges[0][0]
    return "none" if own and not ranges else None


def _as_in_qgis(
    path: str,
    name: str,
    crs: Optional[QgsCoordinateReferenceSystem],
    no_data: Union[float, str, None],
    folder: Path,
) -> str:
    """A virtual file that gives a raster what the user gave its layer; None keeps what the raster says."""
    virtual = file_for(name, ".vrt", folder)
    wkt = None if crs is None else crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)
    try:
        made = gdal.Translate(virtual, path, format="VRT", outputSRS=wkt, noData=no_data)
    except RuntimeError:  # since 3.38 QGIS has GDAL raise its errors
        made = None
    if made is None:
        raise InputError(f"GDAL cannot open {path}.")
    return virtual


def _size_in_metres(
    extent: QgsRectangle, crs: QgsCoordinateReferenceSystem, transforms: QgsCoordinateTransformContext
) -> tuple[float, float]:
    """Width and height of an extent on the ground, measured through its centre."""
    measure = QgsDistanceArea()
    measure.setSourceCrs(crs, transforms)
    measure.setEllipsoid(crs.ellipsoidAcronym() or "EPSG:7030")
    centre = extent.center()
    west, east = QgsPointXY(extent.xMinimum(), centre.y()), QgsPointXY(extent.xMaximum(), centre.y())
    south, north = QgsPointXY(centre.x(), extent.yMinimum()), QgsPointXY(centre.x(), extent.yMaximum())
    return measure.measureLine(west, east), measure.measureLine(south, north)


def _refuse_half_written(path: str, name: str, outcome: Any) -> None:
    """Refuse an export that failed, and remove its file."""
    if outcome == QgsRasterFileWriter.NoError and _holds_all_blocks(path):  # no scoped name holds for all versions
        return
    Path(path).unlink(missing_ok=True)
    raise InputError(
        f"The layer '{name}' could not be exported to {Path(path).parent}: either it cannot be read to its end, or "
        "the disk is full; try a smaller extent, or free some space."
    )


def _holds_all_blocks(path: str) -> bool:
    """Whether a GeoTIFF is whole; of a full disk QGIS does not tell."""
    if not QgsRasterLayer(path, "", "gdal").isValid():
        return False
    exported, size = gdal.Open(path), os.path.getsize(path)
    bands = [exported.GetRasterBand(1 + number) for number in range(exported.RasterCount)]
    width, height = bands[0].GetBlockSize()
    columns, rows = range(-(-exported.RasterXSize // width)), range(-(-exported.RasterYSize // height))
    return all(_end_of_block(band, column, row) <= size for band in bands for column in columns for row in rows)


def _end_of_block(band: gdal.Band, column: int, row: int) -> float:
    """Where a block ends in its GeoTIFF, in bytes; infinity if it is not there."""
    start = band.GetMetadataItem(f"BLOCK_OFFSET_{column}_{row}", "TIFF")
    length = band.GetMetadataItem(f"BLOCK_SIZE_{column}_{row}", "TIFF")
    return inf if start is None or length is None else int(start) + int(length)


def _refuse_empty(path: str, name: str, is_picture: bool) -> None:
    """Refuse an export without a single pixel: a server that does not answer gives exactly that."""
    exported = gdal.Open(path)
    bands = [4] if is_picture else range(1, exported.RasterCount + 1)
    if not any(_has_values(exported.GetRasterBand(band)) for band in bands):
        raise InputError(
            f"The layer '{name}' gave no picture of this extent: its server does not answer, or there is nothing here."
        )


def _warn_of_gaps(path: str, name: str, feedback: QgsProcessingFeedback) -> None:
    """Tell of what a picture lacks: QGIS does not say that tiles did not arrive."""
    exported = gdal.Open(path)
    counts = exported.GetRasterBand(4).GetHistogram(-0.5, 255.5, 256, approx_ok=False)
    missing = counts[0] / sum(counts)
    if missing >= TOLD_GAPS:
        feedback.pushWarning(
            f"{missing:.1%} of the picture of the layer '{name}' is empty, and nothing is found there: either there "
            "is nothing on its server, or some of it did not arrive; then repeat it later."
        )


def _has_values(band: gdal.Band) -> bool:
    try:
        return band.ComputeRasterMinMax(False) not in ((0, 0), None)
    except RuntimeError:  # where GDAL's exceptions are switched on, a band without valid pixels is one
        return False
