# SPDX-License-Identifier: GPL-2.0-or-later
"""What is labelled on the ground: a layer of polygons, or a raster of class numbers, on the grid of another raster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import geopandas
import numpy as np
import rasterio
from affine import Affine
from rasterio import DatasetReader
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.errors import InputError
from model_runner.raster.handles import reading
from model_runner.raster.placed_polygons import PlacedPolygons, place_polygons
from model_runner.raster.polygon_files import (
    LAYER,
    class_name,
    name_without_blanks,
    parts_of_polygons,
    read_polygon_features,
)
from model_runner.raster.working_grid import WorkingGrid
from model_runner.report import Report
from model_runner.reports.pictures import IGNORED

VECTORS = (".gpkg", ".shp", ".geojson", ".json", ".fgb", ".kml", ".gml", ".sqlite")


class Labelled(NamedTuple):
    """Labelled polygons.

    Attributes:
        frame: their features, in their own reference system.
        placed: the polygons in pixels of a grid, with their class numbers.
    """

    frame: geopandas.GeoDataFrame
    placed: PlacedPolygons


class ReferenceMap(Protocol):
    """Labels of pixels."""

    background: int | None

    def read(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Class numbers uint8 (height, width) of a window, ``IGNORED`` where nothing is labelled."""


def read_labelled(request: EvaluateRequest, card: ModelCard, grid: WorkingGrid, report: Report) -> Labelled:
    """The polygons of a request's reference and their classes, as an export of training data takes them.

    Only where each feature is a scene do the parts of a multipolygon belong together.
    ``report`` is told of features that are left out: those without polygon or without class.

    Raises:
        InputError: the file cannot be read, has no such field, or names a class that the model does not know.
    """
    warn = partial(report.log, "warning")
    frame = read_polygon_features(request.reference, "reference", with_fields=True, where=request.where, warn=warn)
    if request.reference_class is None and request.class_field in frame.columns:
        frame = _with_class(frame, request, warn)
    if request.task != "classify":
        frame = parts_of_polygons(frame)
    placed = place_polygons(frame.geometry, _class_numbers(frame, request, card), grid)
    if not len(placed.rows):
        raise InputError(
            f"No polygon of the reference {request.reference} lies on the part of {request.data} in use; check the "
            "reference systems and the extent."
        )
    return Labelled(frame.iloc[placed.rows].reset_index(drop=True), placed)


@contextmanager
def open_reference_map(
    request: EvaluateRequest, card: ModelCard, grid: WorkingGrid, report: Report
) -> Iterator[ReferenceMap]:
    """Yield the labels of a grid's pixels, from polygons or from a raster of class numbers.

    Raises:
        InputError: as ``read_labelled``; or the raster cannot be laid on the grid.
        UnreadableRaster: the raster cannot be read.
    """
    if Path(request.reference.partition(LAYER)[0]).suffix.lower() in VECTORS:
        placed = read_labelled(request, card, grid, report).placed
        without = set(range(len(card.classes))) - set(placed.numbers.tolist())
        background = background_of(request, card)
        if background is None and len(card.classes) == 2 and len(without) == 1:
            background = without.pop()
        if background is not None:
            report.log("info", f"What no polygon covers counts as {card.class_names[background]}.")
        yield PolygonReference(placed, background)
        return
    with reading(request.reference), rasterio.open(request.reference) as dataset:
        yield RasterReference(dataset, request, card, grid, report)


class PolygonReference:
    """Polygons burnt into pixels by their centres; of those that overlap the smaller one counts.

    Args:
        placed: the polygons.
        background: class number of what no polygon covers; None if such pixels do not count.

    Attributes:
        background: class number of what is no object; None if there is none.
    """

    def __init__(self, placed: PlacedPolygons, background: int | None) -> None:
        self.background = background
        self._placed = placed

    def read(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See ``ReferenceMap``."""
        fill = IGNORED if self.background is None else self.background
        return self._placed.burn((x, y, width, height), (height, width), self._placed.numbers, fill)


class RasterReference:
    """A raster of class numbers, of which each pixel takes the nearest.

    For change 0 is unchanged and any other value changed. A nodata value that is the background's number, as rasterised
    layers have, counts as background: what nobody drew is no object.

    Args:
        dataset: the raster.
        request: names its path.
        card: of the model.
        grid: of the pixels.
        report: is told of a nodata value that counts as background.

    Attributes:
        background: class number of what is no object; None if there is none.
    """

    def __init__(
        self, dataset: DatasetReader, request: EvaluateRequest, card: ModelCard, grid: WorkingGrid, report: Report
    ) -> None:
        self.background = background_of(request, card)
        self._dataset = dataset
        self._path = request.reference
        self._card = card
        self._grid = grid
        if dataset.crs is None or grid.crs is None:
            raise InputError(f"{request.reference} or {request.data} has no reference system; they cannot be compared.")
        if dataset.dtypes[0] not in ("uint8", "uint16", "int16", "int32", "uint32"):
            raise InputError(f"{request.reference} holds {dataset.dtypes[0]} values; class numbers are whole numbers.")
        self._unlabelled = dataset.nodata
        if self._unlabelled in range(len(card.classes)):
            name = card.class_names[int(self._unlabelled)]
            counts = self._unlabelled == self.background or len(card.classes) == 2
            told = "count as such" if counts else "are left out; if they show it, unset the raster's nodata value"
            report.log("warning", f"Pixels without data in {request.reference} have the number of {name} and {told}.")
            if counts:
                self._unlabelled = None

    def read(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See ``ReferenceMap``.

        Raises:
            InputError: it holds a number that is no class.
        """
        with WarpedVRT(
            self._dataset,
            crs=self._grid.crs,
            transform=self._grid.to_ground @ Affine.translation(x, y),
            width=width,
            height=height,
            src_nodata=None,
            add_alpha=True,
            resampling=Resampling.nearest,
        ) as laid:
            values, labelled = laid.read(1).astype(np.int64), laid.read(laid.count) > 0
        if self._unlabelled is not None:
            labelled &= values != self._unlabelled
        if self._card.task == "change":
            return np.where(labelled, values != 0, IGNORED).astype(np.uint8)
        labelled &= values != IGNORED
        strange = values[labelled & ((values < 0) | (values >= len(self._card.classes)))]
        if strange.size:
            raise InputError(
                f"{self._path} holds the number {strange[0]}; the model's classes are 0 to "
                f"{len(self._card.classes) - 1} ({', '.join(self._card.class_names)})."
            )
        return np.where(labelled, values, IGNORED).astype(np.uint8)


def background_of(request: EvaluateRequest, card: ModelCard) -> int | None:
    """The number of the class of what is nothing of interest: the one that the user names, or the model's.

    Raises:
        InputError: the model knows no such class.
    """
    return card.background if request.background is None else _number_of(request.background, "The background", card)


def _with_class(
    frame: geopandas.GeoDataFrame, request: EvaluateRequest, warn: Callable[[str], None]
) -> geopandas.GeoDataFrame:
    """The features that have a class in the field."""
    has_class = frame[request.class_field].astype(object).map(class_name) != ""
    where = f"of the {len(frame)} polygons of the reference {request.reference}"
    if not has_class.any():
        raise InputError(f"None {where} has a class in the field {request.class_field}; fill it in.")
    if not has_class.all():
        missing = len(frame) - has_class.sum()
        warn(f"{missing} {where} have no class in the field {request.class_field} and are left out.")
    return frame[has_class].reset_index(drop=True)


def _class_numbers(frame: geopandas.GeoDataFrame, request: EvaluateRequest, card: ModelCard) -> np.ndarray:
    """The class number (n,) of each feature."""
    if request.reference_class is not None:
        number = _number_of(request.reference_class, "The reference class", card)
        return np.full(len(frame), number)
    if request.class_field not in frame.columns:
        of_interest = [number for number in range(len(card.classes)) if number != card.background]
        if len(of_interest) == 1:  # there is but one thing that polygons can show
            return np.full(len(frame), of_interest[0])
        fields = ", ".join(name for name in frame.columns if name != frame.geometry.name) or "none"
        raise InputError(
            f"The reference {request.reference} has no field {request.class_field!r}; name one of its fields "
            f"({fields}) as class field, or the class of all its polygons as reference class."
        )
    names = frame[request.class_field].astype(object)
    numbers = {name: _number_of(name, f"{request.reference}: the class", card) for name in names.unique()}
    return names.map(numbers).to_numpy(dtype=np.int64)


def _number_of(value: object, what: str, card: ModelCard) -> int:
    """The number of the class that a field's value names, by itself or as the export of training data writes it."""
    name = class_name(value)
    for known in (value, name, name_without_blanks(name)):
        if known in card.class_names:
            return card.class_names.index(known)
    raise InputError(f"{what} {value!r} is unknown; the model knows {', '.join(card.class_names)}.")
