# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading what a user chose in a form."""

from __future__ import annotations

import os
import re
from math import isfinite
from pathlib import Path
from typing import Any, Collection, Optional

from qgis.core import (
    NULL,
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSource,
    QgsProcessingFeedback,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterRasterLayer,
    QgsProcessingUtils,
    QgsProperty,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedRectangle,
)

from ..lwganet_qgis.layers import write_polygons
from ..lwganet_qgis.raster_for_runner import RasterForRunner
from ..model_runner.contract.errors import InputError, ModelError
from ..model_runner.contract.model_card import ModelCard, find_cards
from ..model_runner.contract.task_requests import Compute, Outlines, RasterSource, Tiling
from .wording import Wording

AUTHORITIES_OF_PROJ = ("EPSG", "ESRI", "IAU_2015", "IGNF", "NKG", "OGC")  # QGIS has others: USER and its plugins'
NO_SOURCE = RasterSource("")  # until there is a file


class ParameterReader:
    """The values that a user gave an algorithm, in the form that requests want.

    Made on the main thread; everything but rasters may be asked for on any thread. ``reword`` brings what the runner
    says of them into the words of the form.
    """

    def __init__(self, algorithm: QgsProcessingAlgorithm, parameters: dict, context: QgsProcessingContext) -> None:
        self._algorithm = algorithm
        self._parameters = parameters
        self._context = context
        self._wording = Wording(algorithm)
        self.reword = self._wording.reword

    def text(self, name: str) -> str:
        """A text without blanks around it; of a file or folder its absolute path, as the runner works in another.

        Raises:
            InputError: it is several values, of which QGIS would make an empty text.
        """
        given = self._value(name)
        if isinstance(given, (list, tuple, dict)):
            raise InputError(f"'{self._label(name)}' is {given}; give a single text.")
        text = self._algorithm.parameterAsString(self._parameters, name, self._context).strip()
        is_path = isinstance(self._algorithm.parameterDefinition(name), QgsProcessingParameterFile)
        return os.path.abspath(text) if is_path and os.path.exists(text) else text

    def file_or_name(self, name: str) -> str:
        """A text that is a name, or the absolute path of a file.

        Raises:
            InputError: it is several values.
        """
        text = self.text(name)
        return os.path.abspath(text) if os.path.isfile(text) else text

    def is_given(self, name: str) -> bool:
        """Whether the user chose anything."""
        return self._parameters.get(name) not in (None, "", NULL)

    def choice(self, name: str) -> str:
        """The chosen one of several texts."""
        return self._algorithm.parameterAsEnumString(self._parameters, name, self._context)

    def flag(self, name: str) -> bool:
        """A switch."""
        return self._algorithm.parameterAsBoolean(self._parameters, name, self._context)

    def number(self, name: str) -> Optional[float]:
        """A number, or None where the user left it empty.

        Raises:
            InputError: it is none; of a text that may be left out QGIS would make a 0.
        """
        if not self.is_given(name):
            return None
        number = self._algorithm.parameterAsDouble(self._parameters, name, self._context)
        if not isfinite(number) or not _is_number(self._value(name)):
            given = self._parameters[name]
            if isinstance(given, QgsProperty):
                given = given.asExpression()
            raise InputError(f"'{self._label(name)}' is {given}, which is no number; write it like this: 0.5.")
        return number

    def integer(self, name: str) -> Optional[int]:
        """A whole number, or None where the user left it empty.

        Raises:
            InputError: it is no number.
        """
        number = self.number(name)
        return None if number is None else round(number)

    def number_or_default(self, name: str) -> float:
        """A number, or the parameter's default where the user left it empty."""
        return self._algorithm.parameterAsDouble(self._parameters, name, self._context)

    def names(self, name: str) -> tuple[str, ...]:
        """Names: a list, or a text with commas between them.

        Raises:
            InputError: it is neither.
        """
        given = self._value(name)
        parts = map(str, given) if isinstance(given, (list, tuple)) else self.text(name).split(",")
        return tuple(part.strip() for part in parts if part.strip())

    def numbers(self, name: str) -> tuple[float, ...]:
        """Numbers: a list, or a text with commas between them.

        Raises:
            InputError: there is something else among them.
        """
        names = self.names(name)
        try:
            return tuple(float(each) for each in names)
        except ValueError:
            raise InputError(f"'{','.join(names)}' are not numbers; write them like this: 0.5,2.") from None

    def bands(self, name: str = "BANDS") -> tuple[int, ...]:
        """The chosen bands, a list or a text such as ``4,3,2``; empty for the first ones.

        Raises:
            InputError: the text holds something else than numbers.
        """
        given = self._parameters.get(name)
        if isinstance(given, str):
            parts = [part.strip() for part in re.split("[,;]", given) if part.strip()]
            if not all(part.isdecimal() for part in parts):
                raise InputError(f"The bands '{given}' are not numbers; write them like this: 4,3,2.")
            return tuple(int(part) for part in parts)
        return tuple(self._algorithm.parameterAsInts(self._parameters, name, self._context))

    def card(self, name: str, task: Optional[str] = None) -> ModelCard:
        """The card of the chosen model.

        Raises:
            ModelError: it is not installed, or is for another task than the one that is given.
            InputError: several are chosen.
        """
        wanted, cards = self.text(name), find_cards(task)
        for card in cards:
            if card.id == wanted:
                return card
        raise ModelError(
            f"There is no model '{wanted}' {'for this task ' if task else ''}here; installed are "
            f"{', '.join(card.id for card in cards) or 'none'}. 'Manage models' (lwganet:managemodels) can bring more."
        )

    def refuse_unreadable_rasters(self) -> None:
        """Refuse rasters that cannot be opened, of which QGIS would say that they were not found, or would name none.

        Raises:
            InputError: there is such a raster.
        """
        for definition in self._algorithm.parameterDefinitions():
            if not isinstance(definition, (QgsProcessingParameterRasterLayer, QgsProcessingParameterMultipleLayers)):
                continue
            given = self._parameters.get(definition.name())
            for path in given if isinstance(given, (list, tuple)) else [given]:
                if not isinstance(path, str) or not path or self._opened(path) is not None:
                    continue
                if os.path.isfile(path):
                    raise InputError(
                        f"The raster {path} cannot be opened: it is damaged, or it is no raster that GDAL can read."
                    )
                if isinstance(definition, QgsProcessingParameterMultipleLayers):
                    raise InputError(f"There is no raster {path}; check its name and folder.")

    def _opened(self, path: str) -> Optional[QgsRasterLayer]:
        """The raster layer of a file, or None if there is none."""
        return QgsProcessingUtils.mapLayerFromString(path, self._context, True, QgsProcessingUtils.LayerHint.Raster)

    def raster(self, name: str) -> RasterForRunner:
        """The chosen raster layer; on the main thread only.

        Raises:
            InputError: it cannot be loaded.
        """
        layer = self._algorithm.parameterAsRasterLayer(self._parameters, name, self._context)
        if layer is None or not layer.isValid():
            raise InputError(self._algorithm.invalidRasterError(self._parameters, name))
        return RasterForRunner(layer)

    def rasters(self, name: str) -> list[RasterForRunner]:
        """The chosen raster layers in their order; on the main thread only.

        Raises:
            InputError: one of them cannot be loaded.
        """
        layers = self._algorithm.parameterAsLayerList(self._parameters, name, self._context)
        for layer in layers:
            if not isinstance(layer, QgsRasterLayer) or not layer.isValid():
                raise InputError(f"The layer '{layer.name()}' is no raster that can be read.")
        return [RasterForRunner(layer) for layer in layers]

    def check_raster(self, raster: RasterForRunner, card: ModelCard, bands: tuple[int, ...]) -> None:
        """Refuse what the runner would refuse of a raster.

        Args:
            raster: the raster.
            card: of the model that shall see it.
            bands: those that the user chose; empty for the first ones.

        Raises:
            InputError: the model cannot work with it.
        """
        refusal = None
        if bands:
            refusal = card.refuse_bands(len(bands))
        elif 1 < raster.band_count < len(card.bands):  # a single band is shown in grey, or in its palette's colours
            refusal = card.refuse_bands(raster.band_count, f"the raster '{raster.name}' has")
        if refusal:
            raise InputError(refusal)
        self.check_part(raster)

    def check_part(self, raster: RasterForRunner) -> None:
        """Refuse an extent or a resolution with which a raster cannot be read.

        Raises:
            InputError: it cannot.
        """
        self._refuse_empty_extent()
        refusal = raster.why_unusable(
            has_extent=not self._extent().isEmpty(), has_resolution=self.number("RESOLUTION") is not None
        )
        if refusal:
            raise InputError(refusal)

    def _refuse_empty_extent(self) -> None:
        """Refuse an extent without area, which QGIS does not tell from one that is not set."""
        extent = self._extent()
        if extent.isEmpty() and self.is_given("EXTENT"):
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
        extent = self._extent()
        return RasterSource(
            path=self.raster_file(raster, folder, feedback),
            bands=self.bands(),
            extent=None
            if extent.isEmpty() or raster.path is None
            else (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()),
            extent_crs=self._extent_crs(),
            mask=self.polygons_file("MASK", "mask", raster.crs, folder, feedback, around=raster),
            resolution=self.number("RESOLUTION"),
        )

    def extent_in(self, raster: Optional[RasterForRunner]) -> Optional[tuple[float, float, float, float]]:
        """The chosen extent in the reference system of a raster (without one as it was given), or None.

        A raster that is made a file is made one within the extent, so that none is left.
        """
        extent = self._extent(None if raster is None else raster.crs)
        if extent.isEmpty() or (raster is not None and raster.path is None):
            return None
        return extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()

    def raster_file(self, raster: RasterForRunner, folder: Path, feedback: QgsProcessingFeedback) -> str:
        """A file with the raster's pixels within the extent; what is no file is made one in ``folder``.

        Raises:
            InputError: the layer cannot be made a file.
        """
        transforms, resolution = self._context.transformContext(), self.number("RESOLUTION")
        path = raster.file(folder, self._extent(raster.crs), resolution, transforms, feedback)
        if path != raster.path:
            self._wording.note_file(path, raster.name)
        return path

    def polygons(self, name: str) -> Optional[QgsProcessingFeatureSource]:
        """The chosen layer of polygons, or None."""
        return self._algorithm.parameterAsSource(self._parameters, name, self._context)

    def polygons_file(
        self,
        name: str,
        what: str,
        default_crs: QgsCoordinateReferenceSystem,
        folder: Path,
        feedback: QgsProcessingFeedback,
        fields: Optional[Collection[str]] = (),
        around: Optional[RasterForRunner] = None,
    ) -> Optional[str]:
        """A file, made in ``folder``, with the chosen polygons, or None.

        Args:
            name: of the parameter.
            what: what errors call the layer.
            default_crs: that of a layer that has none.
            folder: where the file is made.
            feedback: asked whether to stop.
            fields: the names of the fields that go along; None for all.
            around: the raster far from which no polygon is needed; None if they are needed everywhere.

        Raises:
            InputError: the layer holds no polygons, or cannot be written.
        """
        source = self.polygons(name)
        if source is None:
            return None
        transforms = self._context.transformContext()
        part = None if around is None else around.surroundings_in(source.sourceCrs(), transforms)
        path = write_polygons(what, source, default_crs, folder, transforms, feedback, fields, part)
        self._wording.note_file(path, source.sourceName())
        return path

    def tiling(self) -> Tiling:
        """How the raster is cut."""
        return Tiling(tile_size=self.integer("TILE_SIZE"), overlap=self.integer("OVERLAP"))

    def outlines(self) -> Outlines:
        """How regions become polygons."""
        return Outlines(
            minimum_area=self.number("MINIMUM_AREA") or 0.0,
            fill_holes=self.number("FILL_HOLES") or 0.0,
            simplify=self.number("SIMPLIFY") or 0.0,
        )

    def compute(self) -> Compute:
        """On what and how the network runs."""
        return Compute(
            device=self.text("DEVICE") or "auto",
            precision=self.choice("PRECISION"),
            batch_size=self.integer("BATCH_SIZE"),
        )

    def _extent(self, crs: Optional[QgsCoordinateReferenceSystem] = None):
        wanted = QgsCoordinateReferenceSystem() if crs is None else crs
        return self._algorithm.parameterAsExtent(self._parameters, "EXTENT", self._context, wanted)

    def _extent_crs(self) -> Optional[str]:
        """The extent's own reference system, or None; for an extent without one QGIS would tell the project's."""
        if not self.is_given("EXTENT") or _is_bare_extent(self._value("EXTENT")):
            return None
        crs = self._algorithm.parameterAsExtentCrs(self._parameters, "EXTENT", self._context)
        if not crs.isValid():
            return None
        if crs.authid().partition(":")[0] in AUTHORITIES_OF_PROJ:
            return crs.authid()
        return crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)

    def _value(self, name: str) -> Any:
        """What the user gave; of an expression its value."""
        given = self._parameters.get(name)
        return given.value(self._context.expressionContext())[0] if isinstance(given, QgsProperty) else given

    def _label(self, name: str) -> str:
        return self._algorithm.parameterDefinition(name).description().partition(" (")[0]


def _is_bare_extent(given: Any) -> bool:
    """Whether an extent has no reference system of its own, as a layer or ``0,1,0,1 [EPSG:4326]`` have."""
    if isinstance(given, str):
        return all(_is_number(edge) for edge in given.rstrip(" []").split(","))
    return isinstance(given, (QgsRectangle, QgsGeometry)) and not isinstance(given, QgsReferencedRectangle)


def _is_number(given: Any) -> bool:
    try:
        float(given)
    except (TypeError, ValueError):
        return False
    return True
