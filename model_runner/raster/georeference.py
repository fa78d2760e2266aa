# SPDX-License-Identifier: GPL-2.0-or-later
"""From a raster's georeference, an extent and a wanted resolution to the grid to work on."""

from collections.abc import Sequence
from math import ceil, floor
from typing import Any

import numpy as np
import pyproj
from affine import Affine
from pyproj.exceptions import CRSError, ProjError
from rasterio import DatasetReader
from rasterio.control import GroundControlPoint
from rasterio.transform import from_gcps
from rasterio.windows import Window

from model_runner.errors import InputError
from model_runner.raster.working_grid import WorkingGrid

PIXEL_FRAME = Affine(1, 0, 0, 0, -1, 0)  # where QGIS draws what has no georeference: (column, -row)
ROUNDING = 1e-3  # of a pixel, by which an extent may miss the border of pixels through rounding
SAME_RESOLUTION = 0.01  # relative difference up to which a raster's own pixels are kept
MOST_PIXELS_FROM_ONE = 32  # across; whoever wants finer pixels than that has mistyped


def native_grid(dataset: DatasetReader) -> tuple[WorkingGrid, list[str]]:
    """The grid of a raster's own pixels, and what the user should know of its georeference.

    Ground control points are approximated by an affine map. What has neither these nor a geotransform lies at
    (column, -row) without a reference system, as in QGIS.

    Raises:
        InputError: PROJ does not understand the reference system, or the raster can have no place in it.
    """
    to_ground, crs, warnings = dataset.transform, dataset.crs or None, []
    if to_ground.is_identity:
        points, points_crs = dataset.gcps
        to_ground, crs = PIXEL_FRAME, None
        if _span_a_plane(points):
            to_ground, crs = from_gcps(points), points_crs or None
            warnings.append(
                f"{dataset.name} is placed by {len(points)} ground control points; positions are approximate."
            )
    grid = WorkingGrid(dataset.width, dataset.height, to_ground, crs)
    try:
        grid.reference_system  # noqa: B018 - asks PROJ
    except CRSError as error:
        raise InputError(f"The reference system of {dataset.name} is not understood; assign another one.") from error
    _refuse_without_place(grid, dataset.name)
    if crs is None:
        unit = "coordinates are pixels" if to_ground == PIXEL_FRAME else "coordinates have no unit"
        warnings.append(f"{dataset.name} has no coordinate reference system; {unit}, lengths are counted in pixels.")
        if dataset.rpcs is not None:
            warnings.append(
                f"{dataset.name} has rational polynomial coefficients (RPC), which are not used; warp it by them first "
                "(gdalwarp -rpc) if results are to lie in their place."
            )
    return grid, warnings


def _refuse_without_place(grid: WorkingGrid, name: str) -> None:
    """Return only when pixels lie on the Earth and have an area, and longitudes and latitudes are such.

    Metres under a geographic reference system are a common slip; nothing can be measured there.
    """
    if grid.crs is not None and grid.reference_system.is_geocentric:
        raise InputError(
            f"The georeference of {name} cannot be: {grid.system_name} measures from the middle of the Earth; "
            "assign the right one."
        )
    if grid.to_ground.determinant == 0:
        raise InputError(f"The georeference of {name} cannot be: its pixels have no area; assign the right one.")
    if grid.full_turn:
        _, latitude = grid.to_ground @ (grid.width / 2, grid.height / 2)
        if abs(latitude) >= grid.full_turn / 4:
            raise InputError(
                f"The georeference of {name} cannot be: its middle lies at a latitude of {latitude:.10g} in "
                f"{grid.system_name}; assign the right one."
            )


def _span_a_plane(points: Sequence[GroundControlPoint]) -> bool:
    """Whether ground control points determine an affine map: three of them lie in no line, nor do their pixels."""
    pixels_and_ground = np.array([[(each.col, each.row), (each.x, each.y)] for each in points]).reshape(-1, 2, 2)
    if len(pixels_and_ground) < 3:
        return False
    centred = pixels_and_ground - pixels_and_ground.mean(axis=0)
    return bool((np.linalg.matrix_rank(centred.transpose(1, 0, 2)) == 2).all())


def window_of_extent(grid: WorkingGrid, extent: Sequence[float], extent_crs: str | None, name: str) -> Window:
    """The whole pixels of a grid that an extent touches; in a rotated raster those around its corners.

    Args:
        grid: of a raster's own pixels.
        extent: xmin, ymin, xmax, ymax.
        extent_crs: its reference system; None is the raster's. A raster without one takes the numbers as its own
            coordinates, as QGIS draws it.
        name: of the raster, for the error.

    Raises:
        InputError: the extent's reference system is unknown or the extent does not touch the raster.
    """
    left, bottom, right, top = _to_raster_crs(grid, extent, extent_crs)
    columns, rows = ~grid.to_ground @ (np.array([left, right, right, left]), np.array([bottom, bottom, top, top]))
    column, row = (max(0, floor(each.min() + ROUNDING)) for each in (columns, rows))
    width = min(grid.width, ceil(columns.max() - ROUNDING)) - column
    height = min(grid.height, ceil(rows.max() - ROUNDING)) - row
    if width <= 0 or height <= 0:
        spans = ",".join(f"{value:.10g}" for value in grid.bounds)
        system = f" in {grid.system_name}" if grid.crs is not None else ""
        raise InputError(
            f"The extent {','.join(f'{value:.10g}' for value in (left, bottom, right, top))}{system} does not touch "
            f"{name}, which spans {spans}."
        )
    return Window(column, row, width, height)


def _to_raster_crs(grid: WorkingGrid, extent: Sequence[float], extent_crs: str | None) -> tuple[float, ...]:
    if extent_crs is None or grid.crs is None:
        return tuple(extent)
    try:
        transformer = pyproj.Transformer.from_crs(extent_crs, grid.reference_system, always_xy=True)
        bounds = transformer.transform_bounds(*_near_the_raster(grid, extent, extent_crs))
    except (CRSError, ProjError) as error:
        raise InputError(
            f"The extent cannot be brought from {extent_crs} to the raster's reference system; give it in the latter."
        ) from error
    if not np.isfinite(bounds).all():
        raise InputError(
            f"The extent in {extent_crs} reaches beyond the raster's reference system; choose a smaller one."
        )
    return _turned_to_the_raster(grid, bounds) if grid.full_turn else bounds


def _near_the_raster(grid: WorkingGrid, extent: Sequence[float], extent_crs: str) -> Sequence[float]:
    """An extent without what is far from the raster, where the raster's reference system may know no place."""
    near = surroundings(grid, extent_crs)
    if near is None:
        return extent
    cut = (*np.maximum(extent[:2], near[:2]).tolist(), *np.minimum(extent[2:], near[2:]).tolist())
    return cut if cut[0] < cut[2] and cut[1] < cut[3] else extent


def surroundings(grid: WorkingGrid, crs: Any) -> tuple[float, float, float, float] | None:
    """Bounds of a raster and as much around it again, in another reference system.

    None where there are no such bounds: across a pole or the antimeridian, and where there is no way to that system.
    """
    try:
        transformer = pyproj.Transformer.from_crs(grid.reference_system, crs, always_xy=True)
        left, bottom, right, top = transformer.transform_bounds(*grid.bounds)
    except ProjError:
        return None
    if not np.isfinite([left, bottom, right, top]).all() or right < left:
        return None
    margin = max(right - left, top - bottom)
    return left - margin, bottom - margin, right + margin, top + margin


def _turned_to_the_raster(grid: WorkingGrid, bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Bounds in degrees, moved by full turns of the Earth to where the raster's longitudes are."""
    left, bottom, right, top = bounds
    if right < left:
        right += grid.full_turn
    middle = (left + right) / 2
    turns = float(grid.turned_near(middle)) - middle
    return left + turns, bottom, right + turns, top


def factors_for_resolution(grid: WorkingGrid, window: Window, resolution: float, name: str) -> tuple[float, float]:
    """How many pixels of a grid, across and down, a pixel of ``resolution`` metres covers at a window's centre.

    1 where they measure that much already, up to a hundredth; not more than the window has.

    Raises:
        InputError: the raster has no reference system, or far too coarse pixels.
    """
    metres = grid.metres_along_axes_at(window.col_off + window.width / 2, window.row_off + window.height / 2)
    if metres is None:
        raise InputError(
            f"{name} has no coordinate reference system, so it cannot be brought to {resolution:g} metres per pixel; "
            "assign one or leave the resolution empty."
        )
    if max(metres) > MOST_PIXELS_FROM_ONE * resolution:
        raise InputError(
            f"{resolution:g} metres per pixel is far finer than the {max(metres):.3g} metres of {name}; "
            "choose a coarser resolution or leave it empty."
        )
    across, down = (1.0 if abs(resolution / each - 1) <= SAME_RESOLUTION else resolution / each for each in metres)
    return min(across, float(window.width)), min(down, float(window.height))


def coarsen(grid: WorkingGrid, window: Window, factors: tuple[float, float]) -> WorkingGrid:
    """The grid over a window of another one, with pixels that are so many times as wide and high.

    The last ones may end up to half a pixel beyond the window or before its end.
    """
    across, down = factors
    return WorkingGrid(
        max(1, round(window.width / across)),
        max(1, round(window.height / down)),
        grid.to_ground @ Affine.translation(window.col_off, window.row_off) @ Affine.scale(across, down),
        grid.crs,
    )
