# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons of QGIS as files that the runner can open, and the runner's files as layers of QGIS."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Collection, Iterable, Iterator, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFeatureRequest,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsJsonUtils,
    QgsProcessingFeatureSource,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsProviderRegistry,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QMetaType

from ..model_runner.contract.errors import InputError
from ..model_runner.contract.file_names import fitting_file_name
from ..model_runner.contract.folders import data_folder
from ..model_runner.contract.run_record import output_in, record_beside
from .qgis_versions import text_field

FEATURES_AT_ONCE = 5000
NO_REFERENCE_SYSTEM = "Undefined "  # "… SRS", "… geographic SRS", "… Cartesian SRS"
SIGNS_OF_PYOGRIO = re.compile("[!;]")  # in paths, which the runner's reader would misunderstand
LONGEST_NAME = 60
# Formats that QGIS offers, but which hold no polygons or no fields of their own, or cannot be read again.
UNFIT_FOR_POLYGONS = ("000", "dgn", "dxf", "gpx", "sql", "xtf")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder within Processing's own for temporary files, which is gone afterwards whatever happens."""
    folder = tempfile.mkdtemp(prefix="lwganet-", dir=QgsProcessingUtils.tempFolder())
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep_files(paths: Iterable[str]) -> Path:
    """Put files into a new folder among the user's data, where they stay, and return it.

    Raises:
        OSError: they cannot be written there.
    """
    place = data_folder() / "kept-results"
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=time.strftime("%Y-%m-%d-%H%M-"), dir=place))
    for path in paths:
        target = folder / Path(path).name
        try:
            os.replace(path, target)
        except OSError:  # another disk; or QGIS for Windows, which holds what it has read, lets it be copied only
            shutil.copyfile(path, target)
    return folder


def file_for(layer: str, ending: str, folder: Path) -> str:
    """A file to write, in a folder of its own within another, with the name of the layer that is written.

    So do reports of the runner call it; layers may be namesakes.
    """
    name = fitting_file_name(SIGNS_OF_PYOGRIO.sub("_", layer)[:LONGEST_NAME]) or "layer"
    return str(Path(tempfile.mkdtemp(dir=folder)) / f"{name}{ending}")


def write_polygons(
    what: str,
    source: QgsProcessingFeatureSource,
    default_crs: QgsCoordinateReferenceSystem,
    folder: Path,
    transforms: QgsCoordinateTransformContext,
    feedback: QgsProcessingFeedback,
    fields: Optional[Collection[str]] = (),
    part: Optional[QgsRectangle] = None,
) -> str:
    """Write a layer's polygons (the selected ones, where that is asked for) to a file and return its path.

    Polygons that cross themselves go along, whatever QGIS's settings say of such: the runner mends them. Fields whose
    names differ in capitals alone, which a GeoPackage takes for one, are told apart, and those that hold objects, which
    it does not take, become JSON. A file that is cancelled is not complete.

    Args:
        what: what errors call the layer: "mask" for example.
        source: the layer.
        default_crs: that of a layer that has none.
        folder: where the file is made.
        transforms: of the project.
        feedback: asked whether to stop.
        fields: the names of the fields that go along; None, or names that the layer has not, for all of them.
        part: where polygons are needed, in the layer's reference system; None for everywhere.

    Raises:
        InputError: there are none, or they cannot be written.
    """
    path = file_for(source.sourceName(), ".gpkg", folder)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = what
    options.layerOptions = ["FID=row_of_layer", "GEOMETRY_NAME=polygon_of_layer"]
    rows, written_fields = _fields_to_write(source.fields(), fields)
    crs = source.sourceCrs() if source.sourceCrs().isValid() else default_crs
    writer = QgsVectorFileWriter.create(path, written_fields, source.wkbType(), crs, transforms, options)
    request = QgsFeatureRequest().setSubsetOfAttributes(rows)
    request.setFeedback(feedback)
    if part is not None:
        request.setFilterRect(part)
    written = 0
    for feature in source.getFeatures(request, QgsProcessingFeatureSource.Flag.FlagSkipGeometryValidityChecks):
        if feedback.isCanceled():
            break
        if feature.hasGeometry():
            attributes = [*map(_fitting, map(feature.attribute, rows), written_fields)]
            written += writer.addFeature(_copy(feature, written_fields, attributes), QgsFeatureSink.Flag.FastInsert)
    if writer.hasError() != QgsVectorFileWriter.WriterError.NoError:
        reason = " ".join(writer.errorMessage().split())
        raise InputError(f"The {what} layer '{source.sourceName()}' cannot be copied to {folder}: {reason}")
    del writer  # closes the file
    if not written and not feedback.isCanceled():
        where = "" if part is None else " on the image"
        raise InputError(
            f"The {what} layer '{source.sourceName()}' holds no polygons{where}; draw some, or check its filter and "
            "selection."
        )
    return path


def _fields_to_write(fields: QgsFields, wanted: Optional[Collection[str]]) -> tuple[list[int], QgsFields]:
    """The places of the wanted fields, and what they are written as."""
    rows = [row for row, each in enumerate(fields) if wanted is None or each.name() in wanted]
    if wanted and not rows:  # the runner's error names what there is
        rows = list(range(len(fields)))
    taken: set[str] = set()
    written = QgsFields()
    for row in rows:
        name = fields[row].name()
        while name.lower() in taken:
            name = f"{name}_2"
        taken.add(name.lower())
        field = text_field(name) if _holds_objects(fields[row]) else QgsField(fields[row])
        field.setName(name)
        written.append(field)
    return rows, written


def _holds_objects(field: QgsField) -> bool:
    """Whether values are what JSON can hold; lists are so in a field of texts since QGIS 3.44."""
    return field.type() == QMetaType.Type.QVariantMap or field.typeName().upper() in ("JSON", "JSONB")


def _fitting(value: Any, field: QgsField) -> Any:
    """A value as it fits a field: an object for one of texts as JSON."""
    is_object = isinstance(value, (dict, list)) and field.type() == QMetaType.Type.QString
    return QgsJsonUtils.encodeValue(value) if is_object else value


def open_vector(path: str) -> QgsVectorLayer:
    """The layer in a file of the runner's."""
    return QgsVectorLayer(path, Path(path).stem, "ogr")


def lies_on_the_map(path: str) -> bool:
    """Whether the layer in a file of the runner's has a reference system; a GeoPackage must name one in any case."""
    crs = open_vector(path).crs()
    return crs.isValid() and not crs.description().startswith(NO_REFERENCE_SYSTEM)


def fields_of(layer: QgsVectorLayer) -> QgsFields:
    """The layer's fields without the key that GeoPackage adds."""
    fields = QgsFields()
    for field in layer.fields():
        if field.name() != "fid":
            fields.append(field)
    return fields


def copy_features(layer: QgsVectorLayer, fields: QgsFields, sink: QgsFeatureSink) -> None:
    """Copy all features; it takes a moment and is not interrupted, so that no half result stays.

    Raises:
        InputError: the sink refuses them.
    """
    batch = []

    def hand_over() -> None:
        if not sink.addFeatures(batch, QgsFeatureSink.Flag.FastInsert):
            raise InputError(f"The result cannot be written: {sink.lastError() or 'the format refuses it'}.")
        batch.clear()

    for feature in layer.getFeatures():
        batch.append(_copy(feature, fields, [feature.attribute(field.name()) for field in fields]))
        if len(batch) == FEATURES_AT_ONCE:
            hand_over()
    hand_over()


def _copy(feature: QgsFeature, fields: QgsFields, attributes: list) -> QgsFeature:
    """A feature with the same geometry and these attributes, one for each of the fields."""
    copy = QgsFeature(fields)
    copy.setGeometry(feature.geometry())
    copy.setAttributes(attributes)
    return copy


def place_of(destination: str) -> tuple[Path, Optional[str]]:
    """The file that a result is in, and its table where it was given one: others may then be in the same file.

    What is no file (a layer in memory, a table on a server) gives a path at which there is none. Ask ``os.path``
    whether there is: an address may be too long for the name of a file, which a ``Path`` takes for an error.
    """
    path = Path(destination.partition("|")[0])
    return path, QgsProviderRegistry.instance().decodeUri("ogr", destination).get("layerName") or None


def refuse_incomplete(destination: str, features: int) -> None:
    """Refuse a result that is a file and lacks features: where the disk is full, some formats do not say so.

    Raises:
        InputError: it does.
    """
    path, _ = place_of(destination)
    if not features or not os.path.isfile(path):  # some formats are no valid layers without any
        return
    written = QgsVectorLayer(destination, path.stem, "ogr")
    if not written.isValid() or 0 <= written.featureCount() < features:
        raise InputError(f"The result was not fully written to {path}; is the disk full?")


def copy_record_beside(destination: str, record: str) -> None:
    """Keep the run record of a result that is a file beside it, NAME or NAME.TABLE; see ``record_beside``."""
    path, table = place_of(destination)
    if os.path.isfile(path):
        name = path.stem if table is None else f"{path.stem}.{fitting_file_name(table)}"
        beside = record_beside(path.with_name(name), output_in(Path(record)))
        if not (beside.exists() and beside.samefile(record)):  # a raster and its polygons may be named alike
            shutil.copyfile(record, beside)
