# SPDX-License-Identifier: GPL-2.0-or-later
"""The parameters that several forms share, and reading their values."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Optional, Sequence

from qgis.core import (
    NULL,
    QgsCoordinateReferenceSystem,
    QgsDataSourceUri,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterBand,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..lwganet_qgis import settings
from ..lwganet_qgis.layers import (
    RasterForRunner,
    copy_features,
    fields_of,
    open_vector,
    refuse_incomplete,
    write_mask,
)
from ..model_runner.contract.errors import InputError, ModelError
from ..model_runner.contract.model_card import DEFAULT_MODELS, ModelCard, find_cards
from ..model_runner.contract.task_requests import DEVICES, PRECISIONS, Compute, RasterSource, Tiling

PROVIDER_PREFIX = re.compile(r"[a-z]{2,}:")  # ogr:, postgres:, memory: …; one letter is a drive
FOLDERS_AS_FILES = (".gdb",)
AUTHORITIES_OF_PROJ = ("EPSG", "ESRI", "IAU_2015", "IGNF", "NKG", "OGC")  # QGIS has others: USER and its plugins'
FLOAT = QgsProcessingParameterNumber.Type.Double
INTEGER = QgsProcessingParameterNumber.Type.Integer


def explained(parameter: QgsProcessingParameterDefinition, help_text: str) -> QgsProcessingParameterDefinition:
    """The parameter with its help."""
    parameter.setHelp(help_text)
    return parameter


def advanced(parameter: QgsProcessingParameterDefinition) -> QgsProcessingParameterDefinition:
    """The parameter, folded away among the advanced ones."""
    parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    return parameter


def text_with_choices(name: str, label: str, choices: Sequence[str], default: str) -> QgsProcessingParameterDefinition:
    """A text for which the form offers choices; scripts and models may hold others, a model installed later say."""
    parameter = QgsProcessingParameterString(name, label, default)
    parameter.setMetadata({"widget_wrapper": {"value_hints": list(choices)}})
    return parameter


def optional_number(name: str, label: str, kind: Any, smallest: float, largest: float) -> QgsProcessingParameterNumber:
    """A number that may stay empty."""
    return QgsProcessingParameterNumber(
        name, label, kind, defaultValue=None, optional=True, minValue=smallest, maxValue=largest
    )


def raster_input(name: str, label: str) -> QgsProcessingParameterDefinition:
    """The raster to look at."""
    return explained(
        QgsProcessingParameterRasterLayer(name, label),
        "An aerial or satellite image: a raster file of any size, or a layer of a web map service, which also needs "
        "an extent and a resolution.",
    )


def model_choice(name: str, task: str) -> QgsProcessingParameterDefinition:
    """Which model to use; all installed ones for the task are offered."""
    choices = [card.id for card in find_cards(task)]
    return explained(
        text_with_choices(name, "Model", choices, DEFAULT_MODELS[task]),
        "The id of an installed model; the help tells what each one finds. 'Manage models' brings others.",
    )


def where_to_look(raster: str) -> list[QgsProcessingParameterDefinition]:
    """Bands, part and resolution of the raster of that name."""
    return [
        explained(
            QgsProcessingParameterExtent("EXTENT", "Only within this extent", optional=True),
            "The part of the image to look at. Not set: all of it.",
        ),
        explained(
            QgsProcessingParameterFeatureSource(
                "MASK", "Only within these polygons", [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
            ),
            "What lies outside of the polygons is not looked at. Empty: all of the image is.",
        ),
        explained(
            QgsProcessingParameterBand(
                "BANDS",
                "Bands for red, green, blue (none: the first ones)",
                parentLayerParameterName=raster,
                optional=True,
                allowMultiple=True,
            ),
            "The bands that the model shall see, in its order; most models want red, green and blue. Drag the chosen "
            "ones into order in the list.",
        ),
        explained(
            optional_number(
                "RESOLUTION", "Resolution to work at, in metres per pixel (not set: automatic)", FLOAT, 0.001, 1000
            ),
            "The image is resampled to this resolution on the ground while it is read. Automatic: an image finer than "
            "the model knows is averaged to the model's best; any other is taken as it is.",
        ),
    ]


def how_to_compute() -> list[QgsProcessingParameterDefinition]:
    """Device, and the advanced settings of tiles and precision."""
    return [
        explained(
            text_with_choices(
                "DEVICE", "Compute on (auto: the GPU if there is one)", DEVICES, settings.default_device()
            ),
            "cuda is an NVIDIA GPU, mps the GPU of a Mac. Scripts may name one of several GPUs: cuda:1.",
        ),
        advanced(
            explained(
                optional_number("TILE_SIZE", "Size of a tile in pixels (not set: the model's)", INTEGER, 96, 16384),
                "The image is computed in square tiles of this side, a multiple of 32. Smaller tiles need less memory.",
            )
        ),
        advanced(
            explained(
                optional_number("OVERLAP", "Overlap of tiles in pixels (not set: the model's)", INTEGER, 0, 8192),
                "Should be larger than the largest object, which is otherwise cut at the edge of a tile.",
            )
        ),
        advanced(
            explained(
                optional_number("BATCH_SIZE", "Tiles computed at once (not set: automatic)", INTEGER, 1, 1024),
                "More are faster on a GPU and need more memory. The number is lowered when memory runs out.",
            )
        ),
        advanced(
            explained(
                QgsProcessingParameterEnum(
                    "PRECISION", "Numerical precision", list(PRECISIONS), defaultValue="auto", usesStaticStrings=True
                ),
                "auto computes with half precision (bf16 or fp16) where the GPU is made for it: faster, and the result "
                "is nearly the same.",
            )
        ),
    ]


class ParameterReader:
    """The values that a user gave an algorithm, in the form that requests want.

    Made on the main thread; everything but rasters may be asked for on any thread.
    """

    def __init__(self, algorithm: QgsProcessingAlgorithm, parameters: dict, context: QgsProcessingContext) -> None:
        self._algorithm = algorithm
        self._parameters = parameters
        self._context = context

    def text(self, name: str) -> str:
        """A text without blanks around it."""
        return self._algorithm.parameterAsString(self._parameters, name, self._context).strip()

    def choice(self, name: str) -> str:
        """The chosen one of several texts."""
        return self._algorithm.parameterAsEnumString(self._parameters, name, self._context)

    def flag(self, name: str) -> bool:
        """A switch."""
        return self._algorithm.parameterAsBoolean(self._parameters, name, self._context)

    def number(self, name: str) -> Optional[float]:
        """A number, or None where the user left it empty."""
        if self._parameters.get(name) in (None, ""):
            return None
        return self._algorithm.parameterAsDouble(self._parameters, name, self._context)

    def integer(self, name: str) -> Optional[int]:
        """A whole number, or None where the user left it empty."""
        number = self.number(name)
        return None if number is None else round(number)

    def names(self, name: str) -> tuple[str, ...]:
        """A text of names with commas between them."""
        return tuple(part.strip() for part in self.text(name).split(",") if part.strip())

    def bands(self) -> tuple[int, ...]:
        """The chosen bands, a list or a text such as ``4,3,2``; empty for the first ones.

        Raises:
            InputError: the text holds something else than numbers.
        """
        given = self._parameters.get("BANDS")
        if isinstance(given, str):
            parts = [part.strip() for part in re.split("[,;]", given) if part.strip()]
            if not all(part.isdecimal() for part in parts):
                raise InputError(f"The bands '{given}' are not numbers; write them like this: 4,3,2.")
            return tuple(int(part) for part in parts)
        return tuple(self._algorithm.parameterAsInts(self._parameters, "BANDS", self._context))

    def card(self, name: str, task: str) -> ModelCard:
        """The card of the chosen model.

        Raises:
            ModelError: it is not installed, or is for another task.
        """
        wanted, cards = self.text(name), find_cards(task)
        for card in cards:
            if card.id == wanted:
                return card
        raise ModelError(
            f"There is no model '{wanted}' for this task here; installed are "
            f"{', '.join(card.id for card in cards) or 'none'}. 'Manage models' (lwganet:managemodels) can bring more."
        )

    def refuse_damaged_rasters(self) -> None:
        """Refuse raster files that cannot be opened, of which QGIS would say that they were not found.

        Raises:
            InputError: there is such a file.
        """
        for definition in self._algorithm.parameterDefinitions():
            given = self._parameters.get(definition.name())
            if isinstance(definition, QgsProcessingParameterRasterLayer) and isinstance(given, str):
                opened = self._algorithm.parameterAsRasterLayer(self._parameters, definition.name(), self._context)
                if opened is None and Path(given).is_file():
                    raise InputError(
                        f"The raster {given} cannot be opened: it is damaged, or it is no raster that GDAL can read."
                    )

    def refuse_bad_destination(self, name: str) -> None:
        """Refuse, before hours of computing, a file to write that cannot be one.

        Raises:
            InputError: its folder is missing or must not be written, or there is something in its place.
        """
        path = self._file_to_write(name)
        if path is None:
            return
        folder = path.parent
        if not folder.is_dir():
            raise InputError(f"The folder {folder} for the result does not exist; create it or choose another.")
        if not os.access(folder, os.W_OK):
            raise InputError(f"The folder {folder} for the result may not be written; choose another.")
        if path.is_dir() and path.suffix.lower() not in FOLDERS_AS_FILES:
            raise InputError(f"{path}, chosen for the result, is a folder; choose a file.")
        if path.exists() and not os.access(path, os.W_OK):
            raise InputError(f"The file {path}, chosen for the result, may not be written; choose another.")

    def _file_to_write(self, name: str) -> Optional[Path]:
        """The file that shall hold a result, a table's too; None where the result shall be in no file."""
        given = self._parameters.get(name)
        if isinstance(given, QgsProcessingOutputLayerDefinition):
            given = given.sink.staticValue()
        if not isinstance(given, str) or given == QgsProcessing.TEMPORARY_OUTPUT:
            return None
        if given.startswith("ogr:"):
            given = QgsDataSourceUri(given[len("ogr:") :]).database() or given[len("ogr:") :]
        return None if PROVIDER_PREFIX.match(given) else Path(given).absolute()

    def raster(self, name: str) -> RasterForRunner:
        """The chosen raster layer; on the main thread only.

        Raises:
            InputError: it cannot be loaded.
        """
        layer = self._algorithm.parameterAsRasterLayer(self._parameters, name, self._context)
        if layer is None or not layer.isValid():
            raise InputError(self._algorithm.invalidRasterError(self._parameters, name))
        return RasterForRunner(layer)

    def check_raster(self, raster: RasterForRunner, card: ModelCard) -> None:
        """Refuse what the runner would refuse of a raster.

        Raises:
            InputError: the model cannot work with it.
        """
        self._refuse_empty_extent()
        bands = self.bands()
        refusal = None
        if bands:
            refusal = card.refuse_bands(len(bands))
        elif 1 < raster.band_count < len(card.bands):  # a single band is shown in grey, or in its palette's colours
            refusal = card.refuse_bands(raster.band_count, "the raster has")
        refusal = refusal or raster.why_unusable(
            has_extent=not self._extent().isEmpty(), has_resolution=self.number("RESOLUTION") is not None
        )
        if refusal:
            raise InputError(refusal)

    def _refuse_empty_extent(self) -> None:
        """Refuse an extent without area, which QGIS does not tell from one that is not set."""
        extent = self._extent()
        if extent.isEmpty() and self._parameters.get("EXTENT") not in (None, "", NULL):
            edges = (extent.xMinimum(), extent.xMaximum(), extent.yMinimum(), extent.yMaximum())
            raise InputError(
                f"The extent {','.join(f'{edge:.12g}' for edge in edges)} has no area; choose a larger one, or none "
                "to look at all of the image."
            )

    def raster_source(self, raster: RasterForRunner, folder: Path, feedback: QgsProcessingFeedback) -> RasterSource:
        """Which pixels of the raster to look at; ``folder`` is for files that must be made for the runner.

        Raises:
            InputError: the layer or the mask cannot be made a file.
        """
        transforms, resolution = self._context.transformContext(), self.number("RESOLUTION")
        extent = self._extent()
        mask = self._algorithm.parameterAsSource(self._parameters, "MASK", self._context)
        return RasterSource(
            path=raster.file(folder, self._extent(raster.crs), resolution, transforms, feedback),
            bands=self.bands(),
            extent=None
            if extent.isEmpty() or raster.path is None
            else (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()),
            extent_crs=self._extent_crs(),
            mask=None if mask is None else write_mask(mask, raster.crs, folder, transforms),
            resolution=resolution,
        )

    def tiling(self) -> Tiling:
        """How the raster is cut."""
        return Tiling(tile_size=self.integer("TILE_SIZE"), overlap=self.integer("OVERLAP"))

    def compute(self) -> Compute:
        """On what and how the network runs."""
        return Compute(
            device=self.text("DEVICE") or "auto",
            precision=self.choice("PRECISION"),
            batch_size=self.integer("BATCH_SIZE"),
        )

    def copy_features(self, path: str, name: str, raster: RasterForRunner) -> str:
        """Copy the features in a file of the runner's to the sink of that name, and return the id of its layer.

        They are in the raster's reference system; where it has none, neither have they, though GeoPackage needs one.

        Raises:
            InputError: the destination cannot be written.
        """
        layer = open_vector(path)
        fields = fields_of(layer)
        crs = layer.crs() if raster.crs.isValid() else QgsCoordinateReferenceSystem()
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

    def name_on_load(
        self, layer_id: str, name: str, title: str, styler: QgsProcessingLayerPostProcessorInterface
    ) -> None:
        """Have QGIS style a result when it loads it, and title it unless the user or a model gave it a name."""
        if self._context.willLoadLayerOnCompletion(layer_id):
            details = self._context.layerToLoadOnCompletionDetails(layer_id)
            details.setPostProcessor(styler)
            if details.name == self._algorithm.parameterDefinition(name).description():
                details.name = title

    def _extent(self, crs: Optional[QgsCoordinateReferenceSystem] = None):
        wanted = QgsCoordinateReferenceSystem() if crs is None else crs
        return self._algorithm.parameterAsExtent(self._parameters, "EXTENT", self._context, wanted)

    def _extent_crs(self) -> Optional[str]:
        crs = self._algorithm.parameterAsExtentCrs(self._parameters, "EXTENT", self._context)
        if not crs.isValid():
            return None
        if crs.authid().partition(":")[0] in AUTHORITIES_OF_PROJ:
            return crs.authid()
        return crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)
