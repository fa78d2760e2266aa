# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons with a class: what users draw to teach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import geopandas
import numpy as np

from model_runner.errors import InputError
from model_runner.raster.placed_polygons import PlacedPolygons, place_polygons
from model_runner.raster.polygon_files import class_name, parts_of_polygons, read_polygon_features
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

    def on_grid(self, grid: WorkingGrid) -> PlacedPolygons:
        """Those polygons that touch a raster, mended where they cross themselves, in its pixels."""
        return place_polygons(self.geometry, self.numbers, grid)


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
    frame = parts_of_polygons(read_polygon_features(path, what, bool(class_field), warn=warn))
    geometry = frame.geometry
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
