# SPDX-License-Identifier: GPL-2.0-or-later
"""What two rasters have in common, and whether they can be laid on each other at all."""

from dataclasses import replace
from math import ceil, floor
from typing import NamedTuple

import numpy as np
import shapely
from rasterio.windows import Window

from model_runner.errors import InputError
from model_runner.raster.grid_mapping import GridMapping
from model_runner.raster.working_grid import WorkingGrid

POINTS_ON_A_SIDE = 33  # of a raster's outline, which other reference systems bend
ROUNDING = 1e-3  # of a pixel


class NamedGrid(NamedTuple):
    """The grid of a raster's own pixels and the raster's path."""

    grid: WorkingGrid
    path: str

    def __str__(self) -> str:
        spans = ",".join(f"{value:.10g}" for value in self.grid.bounds)
        return f"{self.path} spans {spans}" + (f" in {self.grid.system_name}" if self.grid.crs is not None else "")


def in_frame_of(before: NamedGrid, after: NamedGrid) -> WorkingGrid:
    """The grid of a raster so that it can be laid on another one.

    Without reference systems, rasters of one size are laid on each other pixel by pixel, wherever they are drawn.

    Raises:
        InputError: only one of them has a reference system, or none has and their sizes differ.
    """
    for one, other in ((before, after), (after, before)):
        if one.grid.crs is None and other.grid.crs is not None:
            raise InputError(
                f"{one.path} has no coordinate reference system and {other.path} has {other.grid.system_name}, so "
                "they cannot be laid on each other; assign one to the former."
            )
    if before.grid.crs is not None:
        return after.grid
    sizes = [f"{grid.width} x {grid.height}" for grid, _ in (before, after)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"Neither {before.path} nor {after.path} has a coordinate reference system, and their sizes, {sizes[0]} "
            f"and {sizes[1]} pixels, differ, so they cannot be laid on each other; assign reference systems."
        )
    return replace(after.grid, to_ground=before.grid.to_ground)


def shared_window(before: NamedGrid, window: Window, after: NamedGrid) -> Window:
    """The pixels of ``window``, a window of one raster, whose centres lie in another raster.

    Where that is turned or bent, the window around them.

    Raises:
        InputError: there are none, or the rasters cannot be laid on each other.
    """
    other = in_frame_of(before, after)
    looked_at = shapely.box(
        window.col_off, window.row_off, window.col_off + window.width, window.row_off + window.height
    )
    outline = _map(GridMapping(before.grid, other), looked_at)
    near = shapely.box(0, 0, other.width, other.height)
    if outline is not None:  # what is far from here may have no place in this reference system
        margin = max(outline.bounds[2] - outline.bounds[0], outline.bounds[3] - outline.bounds[1])
        near = near.intersection(shapely.box(*outline.buffer(margin, join_style="mitre").bounds))
    if near.area == 0:
        raise _no_overlap(before, after)
    found = _map(GridMapping(other, before.grid), near)
    if found is None:
        return window
    shared = shapely.intersection(shapely.make_valid(found), looked_at)
    if shared.is_empty:
        raise _no_overlap(before, after)
    left, top, right, bottom = shared.bounds
    column, row = ceil(left - 0.5 - ROUNDING), ceil(top - 0.5 - ROUNDING)
    width, height = floor(right + 0.5 + ROUNDING) - column, floor(bottom + 0.5 + ROUNDING) - row
    if width <= 0 or height <= 0:
        raise _no_overlap(before, after)
    return Window(column, row, width, height)


def _map(mapping: GridMapping, box: shapely.Polygon) -> shapely.Polygon | None:
    """The outline of a box in another grid; None if a part of it has no place there."""
    length = max(box.bounds[2] - box.bounds[0], box.bounds[3] - box.bounds[1])
    points = shapely.get_coordinates(shapely.segmentize(box, length / (POINTS_ON_A_SIDE - 1)))
    mapped = mapping.apply(points)
    return shapely.Polygon(mapped) if np.isfinite(mapped).all() else None


def _no_overlap(before: NamedGrid, after: NamedGrid) -> InputError:
    return InputError(
        f"The two rasters have no ground in common: {before}, {after}; choose rasters of one place, or another extent."
    )
