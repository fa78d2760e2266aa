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
import shapely
from affine import Affine
from rasterio import DatasetReader
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.warp import reproject

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.errors import InputError
from model_runner.raster.handles import reading
from model_runner.raster.polygon_files import class_name, name_without_blanks, polygons_on_grid, read_polygon_features
from model_runner.raster.working_grid import WorkingGrid
from model_runner.report import Report
from model_runner.reports.pictures import IGNORED

VECTORS = (".gpkg", ".shp", ".geojson", ".json", ".fgb", ".kml", ".gml", ".sqlite")


class Labelled(NamedTuple):
    """Labelled polygons.

    Attributes:
        frame: the features, in their own reference system.
        polygons: shapely polygons (n,) in pixels of a grid.
        numbers: (n,) class numbers.
    """

    frame: geopandas.GeoDataFrame
    polygons: np.ndarray
    numbers: np.ndarray


class ReferenceMap(Protocol):
    """Labels of pixels."""

    background: int | None

    def read(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Class numbers uint8 (height, width) of a window, ``IGNORED`` where nothing is labelled."""


def read_labelled(request: EvaluateRequest, card: ModelCard, grid: WorkingGrid, report: Report) -> Labelled:
    """The polygons of a request's reference and their classes.

    ``report`` is told of features that are left out: those without polygon or without class.

    Raises:
        InputError: the file cannot be read, has no such field, or names a class that the model does not know.
    """
    warn = partial(report.log, "warning")
    frame = read_polygon_features(request.reference, "reference", with_fields=True, where=request.where, warn=warn)
    if request.reference_class is None and request.class_field in frame.columns:
        frame = _with_class(frame, request, warn)
    numbers = _class_numbers(frame, request, card)
    polygons = polygons_on_grid(frame.geometry, grid)
    with np.errstate(invalid="ignore"):  # what has no place in the raster's reference system is infinite
        near = shapely.intersects(shapely.make_valid(polygons), shapely.box(0, 0, grid.width, grid.height))
    if not near.any():
        raise InputError(
            f"No polygon of the reference {request.reference} lies on the part of {request.data} in use; check the "
            "reference systems and the extent."
        )
    return Labelled(frame[near].reset_index(drop=True), polygons[near], numbers[near])


@contextmanager
def open_reference_map(
    request: EvaluateRequest, card: ModelCard, grid: WorkingGrid, report: Report
) -> Iterator[ReferenceMap]:
    """Yield the labels of a grid's pixels, from polygons or from a raster of class numbers.

    Raises:
        InputError: as ``read_labelled``; or the raster cannot be laid on the grid.
        UnreadableRaster: the raster cannot be read.
    """
    if Path(request.reference).suffix.lower() in VECTORS:
        labelled = read_labelled(request, card, grid, report)
        without = set(range(len(card.classes))) - set(labelled.numbers.tolist())
        background = background_of(request, card)
        if background is None and len(without) == 1:
            background = without.pop()
        yield PolygonReference(labelled, background)
        return
    with reading(request.reference), rasterio.open(request.reference) as dataset:
        yield RasterReference(dataset, request, card, grid)


class PolygonReference:
    """Polygons burnt into pixels by their centres; of those that overlap the later one counts.

    Args:
        labelled: the polygons.
        background: class number of what no polygon covers; None if such pixels do not count.

    Attributes:
        background: class number of what is no object; None if there is none.
    """

    def __init__(self, labelled: Labelled, background: int | None) -> None:
        self.background = background
        self._polygons = shapely.make_valid(labelled.polygons)
        self._numbers = labelled.numbers
        self._index = shapely.STRtree(self._polygons)

    def read(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See ``ReferenceMap``."""
        fill = IGNORED if self.background is None else self.background
        near = np.sort(self._index.query(shapely.box(x, y, x + width, y + height), predicate="intersects"))
        parts = shapely.clip_by_rect(self._polygons[near], x - 1, y - 1, x + width + 1, y + height + 1)
        burnt = [
            (part, int(number)) for part, number in zip(parts, self._numbers[near], strict=True) if not part.is_empty
        ]
        if not burnt:
            return np.full((height, width), fill, np.uint8)
        return rasterize(burnt, (height, width), fill=fill, transform=Affine.translation(x, y), dtype=np.uint8)


class RasterReference:
    """A raster of class numbers, of which each pixel takes the nearest.

    For change 0 is unchanged and any other value changed.

    Args:
        dataset: the raster.
        request: names its path.
        card: of the model.
        grid: of the pixels.

    Attributes:
        background: class number of what is no object; None if there is none.
    """

    def __init__(self, dataset: DatasetReader, request: EvaluateRequest, card: ModelCard, grid: WorkingGrid) -> None:
        self.background = background_of(request, card)
        self._dataset = dataset
        self._path = request.reference
        self._card = card
        self._grid = grid
        if dataset.crs is None or grid.crs is None:
            raise InputError(f"{request.reference} or {request.data} has no reference system; they cannot be compared.")
        if dataset.dtypes[0] not in ("uint8", "uint16", "int16", "int32", "uint32"):
            raise InputError(f"{request.reference} holds {dataset.dtypes[0]} values; class numbers are whole numbers.")

    def read(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See ``ReferenceMap``.

        Raises:
            InputError: it holds a number that is no class.
        """
        nodata = self._dataset.nodata
        nothing = -1 if nodata is None else int(nodata)
        values = np.full((height, width), nothing, np.int32)
        reproject(
            rasterio.band(self._dataset, 1),
            values,
            dst_transform=self._grid.to_ground @ Affine.translation(x, y),
            dst_crs=self._grid.crs,
            dst_nodata=nothing,
            resampling=Resampling.nearest,
        )
        labelled = values != nothing
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
