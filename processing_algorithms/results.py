# SPDX-License-Identifier: GPL-2.0-or-later
"""Where an algorithm's results go: checked before it runs, filled afterwards."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Collection, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsDataSourceUri,
    QgsMapLayer,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
)

from ..lwganet_qgis.layers import (
    UNFIT_FOR_POLYGONS,
    copy_features,
    copy_record_beside,
    fields_of,
    open_vector,
    place_of,
    refuse_incomplete,
)
from ..lwganet_qgis.style_files import keep_style
from ..lwganet_qgis.styles import Look, Styler
from ..model_runner.contract.errors import InputError
from ..model_runner.contract.messages import Finished

PROVIDER_PREFIX = re.compile(r"[a-z]{2,}:")  # ogr:, postgres:, memory: …; one letter is a drive
FOLDERS_AS_FILES = (".gdb",)
GEOTIFF_ENDINGS = (".tif", ".tiff")


class Results:
    """The places that a user chose for an algorithm's results; ``name`` is always that of the parameter."""

    def __init__(self, algorithm: QgsProcessingAlgorithm, parameters: dict, context: QgsProcessingContext) -> None:
        self._algorithm = algorithm
        self._parameters = parameters
        self._context = context
        self._places: dict[str, str] = {}  # of rasters, as Processing knows them, by their absolute paths

    def refuse_bad_places(self, to_go_on_in: Collection[str] = ()) -> None:
        """Refuse, before hours of computing, files to write that cannot be.

        Args:
            to_go_on_in: the names of folders that need not be empty.

        Raises:
            InputError: a folder is missing or must not be written, there is something in the file's place, a layer
                that is to be read for example, a raster is no GeoTIFF, or polygons have a format that holds none.
        """
        for definition in self._algorithm.destinationParameterDefinitions():
            path, table = self._file_to_write(definition.name())
            if path is None:
                continue
            if isinstance(definition, QgsProcessingParameterFolderDestination):
                _refuse_used_folder(path, definition.name() in to_go_on_in)
                continue
            _refuse_unwritable(path)
            self._refuse_overwriting(path, table)
            if isinstance(definition, QgsProcessingParameterRasterDestination):
                _refuse_other_than_geotiff(path)
            elif path.suffix.lower()[1:] in UNFIT_FOR_POLYGONS:  # only QGIS's form asks the provider
                raise InputError(f"{path} cannot hold polygons with fields; choose another format, such as .gpkg.")

    def is_wanted(self, name: str) -> bool:
        """Whether the user wants an optional result; the batch dialog names an empty place for one that is not."""
        return self._chosen_place(name) not in (None, "")

    def folder(self, name: str) -> str:
        """The folder that the runner shall write; to be asked once in a run, as ``raster_file``."""
        return os.path.abspath(self._algorithm.parameterAsString(self._parameters, name, self._context))

    def raster_file(self, name: str) -> Optional[str]:
        """The GeoTIFF that the runner shall write, which it puts there whole or not at all; None if it is not wanted.

        To be asked once in a run: for a temporary one there is a new name each time.
        """
        if not self.is_wanted(name):
            return None
        place = self._algorithm.parameterAsOutputLayer(self._parameters, name, self._context)
        path = os.path.abspath(place)  # the runner works in another folder
        self._places[path] = place
        return path

    def deliver_raster(self, finished: Finished, key: str, name: str, title: str, look: Look) -> str:
        """Style and title a raster that the runner wrote into place, and return the id of its layer.

        The arguments are those of ``deliver_features``.
        """
        path = finished.outputs[key]
        self._name_on_load(self._places[path], name, title, look)
        keep_style(path, look)
        return path

    def load_file(self, path: str, name: str, title: str, look: Look) -> None:
        """Have QGIS load a file that the runner wrote into a folder, under a title and with a style.

        Within a model it is not loaded: what is in a folder cannot be one of a model's results.

        Args:
            path: of the file.
            name: of the output that it is.
            title: of the layer.
            look: how the layer is drawn.
        """
        keep_style(path, look)
        in_a_model = self._context.expressionContext().hasVariable("model_name")
        if self._context.project() is not None and not in_a_model:
            details = QgsProcessingContext.LayerDetails(title, self._context.project(), name)
            self._context.addLayerToLoadOnCompletion(path, details)
            self._context.layerToLoadOnCompletionDetails(path).setPostProcessor(Styler(look))

    def deliver_features(self, finished: Finished, key: str, name: str, title: str, look: Look, has_crs: bool) -> str:
        """Copy the features in a file of the runner's to a sink, style and title it, and return the id of its layer.

        Args:
            finished: what the runner answered.
            key: of the file among its outputs; its run record, if there is one, goes along.
            name: of the sink.
            title: of the layer, unless the user or a model gave it a name.
            look: how the layer is drawn.
            has_crs: whether the features have a reference system; if not, neither has the layer, though the file,
                a GeoPackage, needs one.

        Raises:
            InputError: the destination cannot be written.
        """
        layer_id = self._copy_features(finished.outputs[key], name, has_crs)
        self._name_on_load(layer_id, name, title, look)
        keep_style(layer_id, look)
        if "record" in finished.outputs:
            copy_record_beside(layer_id, finished.outputs["record"])
        return layer_id

    def deliver_table(self, finished: Finished, key: str, name: str, title: str) -> str:
        """Copy the rows in a file of the runner's to a sink, title it, and return the id of its layer.

        Raises:
            InputError: the destination cannot be written.
        """
        layer_id = self._copy_features(finished.outputs[key], name, has_crs=False)
        self._name_on_load(layer_id, name, title)
        return layer_id

    def _copy_features(self, path: str, name: str, has_crs: bool) -> str:
        layer = open_vector(path)
        fields = fields_of(layer)
        crs = layer.crs() if has_crs else QgsCoordinateReferenceSystem()
        sink, layer_id = self._algorithm.parameterAsSink(
            self._parameters, name, self._context, fields, layer.wkbType(), crs
        )
        if sink is None:
            raise InputError(self._algorithm.invalidSinkError(self._parameters, name))
        copy_features(layer, fields, sink)
        del sink  # closes the file
        refuse_incomplete(layer_id, layer.featureCount())
        in_memory = self._context.temporaryLayerStore().mapLayer(layer_id)
        if in_memory is not None:
            in_memory.setCrs(crs)  # QGIS 3.22 gives layers without a reference system one of degrees
        return layer_id

    def _name_on_load(self, layer_id: str, name: str, title: str, look: Optional[Look] = None) -> None:
        """Have QGIS style a result when it loads it, and title it unless the user or a model gave it a name."""
        if self._context.willLoadLayerOnCompletion(layer_id):
            details = self._context.layerToLoadOnCompletionDetails(layer_id)
            if look is not None:
                details.setPostProcessor(Styler(look))
            if details.name == self._algorithm.parameterDefinition(name).description():
                details.name = title

    def _chosen_place(self, name: str) -> Any:
        """What the user chose for a result, without what else there is to say of it."""
        given = self._parameters.get(name)
        return given.sink.staticValue() if isinstance(given, QgsProcessingOutputLayerDefinition) else given

    def _file_to_write(self, name: str) -> tuple[Optional[Path], Optional[str]]:
        """The file that shall hold a result, and its table in there; no file where the result shall be in none."""
        given, table = self._chosen_place(name), None
        if not isinstance(given, str) or given in ("", QgsProcessing.TEMPORARY_OUTPUT):
            return None, None
        if given.startswith("ogr:"):
            uri = QgsDataSourceUri(given[len("ogr:") :])
            given, table = uri.database() or given[len("ogr:") :], uri.table() or None
        return (None, None) if PROVIDER_PREFIX.match(given) else (Path(given).absolute(), table)

    def _refuse_overwriting(self, path: Path, table: Optional[str]) -> None:
        """Refuse a file to write, or a table in it, that is one of the layers to read."""
        for definition in self._algorithm.parameterDefinitions() if path.exists() else ():
            layer = self._layer_to_read(definition)
            if layer is None:
                continue
            read, table_read = place_of(layer.source())
            if os.path.exists(read) and path.samefile(read) and table in (None, table_read):
                raise InputError(f"The result would overwrite {path}, which is to be read; choose another file.")

    def _layer_to_read(self, definition: QgsProcessingParameterDefinition) -> Optional[QgsMapLayer]:
        """The layer that the user chose for a parameter, or None where it is none or takes none."""
        name = definition.name()
        if isinstance(definition, QgsProcessingParameterRasterLayer):
            return self._algorithm.parameterAsRasterLayer(self._parameters, name, self._context)
        if not isinstance(definition, QgsProcessingParameterFeatureSource):
            return None
        given = self._parameters.get(name)
        chosen = given.source if isinstance(given, QgsProcessingFeatureSourceDefinition) else given
        return self._algorithm.parameterAsVectorLayer({name: chosen}, name, self._context)


def _refuse_other_than_geotiff(path: Path) -> None:
    if path.suffix.lower() not in GEOTIFF_ENDINGS:
        raise InputError(f"Rasters are written as GeoTIFF; give {path} a name that ends with .tif.")


def _refuse_used_folder(path: Path, may_hold_files: bool) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}, chosen for the result, is a file; choose a folder that is new or empty.")
    if not may_hold_files and path.is_dir() and any(path.iterdir()):
        raise InputError(f"The folder {path}, chosen for the result, is not empty; choose one that is new or empty.")


def _refuse_unwritable(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"The folder {folder} for the result does not exist; create it or choose another.")
    try:
        with suppress(FileNotFoundError):
            path.stat()
    except OSError as error:
        raise InputError(f"A file {path} for the result cannot be ({error.strerror}); choose another name.") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"The folder {folder} for the result may not be written; choose another.")
    if path.is_dir() and path.suffix.lower() not in FOLDERS_AS_FILES:
        raise InputError(f"{path}, chosen for the result, is a folder; choose a file.")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"The file {path}, chosen for the result, may not be written; choose another.")
