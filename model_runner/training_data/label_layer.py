# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons with a class: what users draw to teach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import geopandas
import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize

from model_runner.errors import InputError
from model_runner.raster.polygon_files import class_name, polygons_on_grid, read_polygon_features
from model_runner.raster.working_grid import WorkingGrid

ONLY_CLASS = "object"


@dataclass(frozen=True)
class LabelLayer:
    """Polygons and the classes of all of them.

    Attributes:
        geometry: polygons, in the layer's reference system; parts of a multipolygon are polygons of their own.
        numbers: (n,) class numbers, places in ``names``.
        names: of the classes, sorted.
    """

    geometry: geopandas.GeoSeries
    numbers: np.ndarray
    names: tuple[str, ...]

    def on_grid(self, grid: WorkingGrid) -> "PlacedPolygons":
        """Those polygons that touch a raster, mended where they cross themselves, in its pixels."""
        polygons = polygons_on_grid(self.geometry, grid)
        with np.errstate(invalid="ignore"):
            boxes = shapely.bounds(polygons)
        rows = np.flatnonzero(np.isfinite(boxes).all(axis=1))
        mended = shapely.make_valid(polygons[rows], method="structure", keep_collapsed=False)
        touching = shapely.intersects(mended, shapely.box(0, 0, grid.width, grid.height))
        touching &= shapely.area(mended) > 0
        return PlacedPolygons(mended[touching], self.numbers[rows[touching]], rows[touching])


@dataclass(frozen=True)
class PlacedPolygons:
    """Polygons (n,) in the pixels of a raster, their class numbers (n,) and their rows (n,) in the layer."""

    polygons: np.ndarray
    numbers: np.ndarray
    rows: np.ndarray

    @cached_property
    def _index(self) -> shapely.STRtree:
        return shapely.STRtree(self.polygons)

    @property
    def centres(self) -> np.ndarray:
        """Centroids (n, 2)."""
        return shapely.get_coordinates(shapely.centroid(self.polygons))

    def near(self, x: float, y: float, width: float, height: float) -> np.ndarray:
        """Which polygons touch a window, as sorted places in the list."""
        return np.sort(self._index.query(shapely.box(x, y, x + width, y + height), predicate="intersects"))

    def burn(self, window: tuple[float, float, float, float], side: int, values: np.ndarray, fill: int) -> np.ndarray:
        """A window on ``side`` x ``side`` pixels, each of the value of the polygon in which its centre lies.

        Where polygons overlap, the smaller one lies on top.

        Args:
            window: x, y, width and height in pixels of the raster.
            side: pixels across and down.
            values: (n,) of the polygons, uint8.
            fill: value of the other pixels.
        """
        x, y, width, height = window
        near = self.near(*window)
        near = near[np.argsort(-shapely.area(self.polygons[near]), kind="stable")]
        parts = shapely.clip_by_rect(self.polygons[near], x - 1, y - 1, x + width + 1, y + height + 1)
        shapes = [(part, int(value)) for part, value in zip(parts, values[near], strict=True) if part.area > 0]
        if not shapes:
            return np.full((side, side), fill, np.uint8)
        pixels = Affine.translation(x, y) @ Affine.scale(width / side, height / side)
        return rasterize(shapes, (side, side), fill=fill, transform=pixels, dtype=np.uint8)


def read_labels(
    path: str, class_field: str, what: str = "label layer", warn: Callable[[str], None] = lambda text: None
) -> LabelLayer:
    """The polygons of a vector file with their classes.

    Args:
        path: vector file that GDAL can open.
        class_field: holds the class; empty if all polygons are of one.
        what: how the file is called in errors.
        warn: is told of features that are left out, and of a missing reference system.

    Raises:
        InputError: the file cannot be read or holds no polygon, there is no such field, or a polygon has no class.
    """
    frame = read_polygon_features(path, what, bool(class_field), warn=warn).explode(ignore_index=True)
    frame = frame[shapely.get_dimensions(frame.geometry.to_numpy()) == 2].reset_index(drop=True)
    geometry = frame.geometry.force_2d()
    if not class_field:
        return LabelLayer(geometry, np.zeros(len(frame), np.int64), (ONLY_CLASS,))
    if class_field not in frame.columns or class_field == frame.geometry.name:
        known = ", ".join(name for name in frame.columns if name != frame.geometry.name) or "none"
        raise InputError(f"The label layer {path} has no field {class_field!r}; its fields are {known}.")
    classes = [class_name(value) for value in frame[class_field]]
    missing = classes.count("")
    if missing:
        raise InputError(
            f"{missing} of the {len(classes)} polygons in {path} have no class in the field {class_field}; fill it in, "
            "or delete them."
        )
    names = sorted(set(classes), key=_by_number_or_name)
    return LabelLayer(geometry, np.array([names.index(name) for name in classes]), tuple(names))


def refuse_same_names(names: Sequence[str], written: Sequence[str]) -> None:
    """Return only when classes are still told apart under the names that a layout allows.

    Raises:
        InputError: two classes would get one name.
    """
    for place, name in enumerate(written):
        first = written.index(name)
        if first != place:
            raise InputError(
                f"The classes {names[first]!r} and {names[place]!r} would both be called {name}; rename one."
            )


def _by_number_or_name(name: str) -> tuple[bool, float, str]:
    is_number = name.isdecimal()
    return (not is_number, float(name) if is_number else 0.0, name)
