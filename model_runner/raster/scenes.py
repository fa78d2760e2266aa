# SPDX-License-Identifier: GPL-2.0-or-later
"""Windows of a raster that are each seen as a whole: the cells of a grid, the surroundings of zones, an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from model_runner.errors import InputError
from model_runner.raster.georeference import SAME_RESOLUTION
from model_runner.raster.working_grid import WorkingGrid

SEEN_SHARE = 224 / 256  # of a scene's shorter side, as published
LEAST_SHARE = 0.5  # of a scene's area that must have data
FEWEST_PIXELS = 8  # of the raster across a cell: with fewer there is nothing to see, and cells are countless
CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])


@dataclass(frozen=True, slots=True)
class Scene:
    """A window of the working grid, in working pixels that need not be whole; it may reach beyond the grid.

    ``number`` is its place in the plan.
    """

    number: int
    x: float
    y: float
    width: float
    height: float


def seen_side(side: int) -> int:
    """How much networks look at, of a scene with this shorter side, both in pixels: the square in its middle."""
    return round(side * SEEN_SHARE)


def cell_sides(grid: WorkingGrid, metres: float, side: int, name: str) -> tuple[float, float]:
    """Width and height, in working pixels, of a cell that is so many metres wide and high.

    Metres are true ones on the ground, as they are at the middle of the grid.

    Args:
        grid: the working grid.
        metres: side of the cell.
        side: how many pixels the model has of a cell, across and down; where the cell has as many of the grid, up to
            a hundredth, these are kept as they are.
        name: of the raster, for the error.

    Raises:
        InputError: the raster has no reference system, or a cell has hardly any pixels.
    """
    along_axes = grid.metres_along_axes_at(grid.width / 2, grid.height / 2)
    if along_axes is None:
        raise InputError(
            f"{name} has no coordinate reference system, so a cell cannot be {metres:g} metres wide; assign one or "
            "give the side of a cell in pixels."
        )
    if min(metres / each for each in along_axes) < FEWEST_PIXELS:
        enough = float(f"{FEWEST_PIXELS * max(along_axes):.3g}")
        raise InputError(
            f"A cell of {metres:g} m has only {metres / max(along_axes):.2g} pixels of {name} across; choose a cell "
            f"size above {enough:g} m or a finer raster."
        )
    width, height = (
        float(side) if abs(metres / each / side - 1) <= SAME_RESOLUTION else metres / each for each in along_axes
    )
    return width, height


def plan_cells(grid: WorkingGrid, width: float, height: float, name: str) -> list[Scene]:
    """Cells side by side from the top-left corner of the grid, row by row.

    Those at the right and at the bottom are as large as the others and reach beyond the grid; they are left out if
    less than half of them lies on it.

    Args:
        grid: the working grid.
        width: of a cell in working pixels.
        height: of a cell in working pixels.
        name: of the raster, for the error.

    Raises:
        InputError: cells have hardly any pixels, or are so large that the raster does not fill half of one.
    """
    if min(width, height) < FEWEST_PIXELS:
        raise InputError(
            f"A cell of {min(width, height):g} pixels is too small to be a scene; choose {FEWEST_PIXELS} or more."
        )
    across, down = _shares_on_grid(grid.width, width), _shares_on_grid(grid.height, height)
    places = np.argwhere(down[:, None] * across[None] >= LEAST_SHARE)
    if not len(places):
        raise InputError(
            f"The part of {name} that is looked at, {grid.width} x {grid.height} pixels, does not fill half of a cell "
            f"of {width:.4g} x {height:.4g} pixels; choose smaller cells."
        )
    return [
        Scene(number, column * width, row * height, width, height)
        for number, (row, column) in enumerate(places.tolist())
    ]


def _shares_on_grid(length: int, side: float) -> np.ndarray:
    """Which share of each cell along an axis lies on it."""
    begins = np.arange(ceil(length / side)) * side
    return np.minimum(1, (length - begins) / side)


def share_covered(cells: Sequence[Scene], grid: WorkingGrid) -> float:
    """Which share of a grid's area lies in cells that do not overlap."""
    corners, sides = _corners_and_sides(cells)
    within = np.clip((grid.width, grid.height) - corners, 0, sides)
    return float(within.prod(axis=1).sum() / (grid.width * grid.height))


def square_scenes(grid: WorkingGrid, boxes: np.ndarray, numbers: np.ndarray) -> list[Scene]:
    """A square on the ground around each box, as wide as the box is long.

    The box lies in its middle; near the grid's border the square is moved inwards as far as it still holds the box.

    Args:
        grid: the working grid; without reference system squares are those of pixels.
        boxes: (n, 4) left, top, right, bottom in working pixels.
        numbers: (n,) the scenes' numbers.
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    middle = (low + high) / 2
    lengths = _pixel_lengths(grid, middle)
    sides = ((high - low) * lengths).max(axis=1, keepdims=True) / lengths
    inwards = np.clip(middle - sides / 2, 0, np.maximum(0, (grid.width, grid.height) - sides))
    corners = np.clip(inwards, high - sides, low)
    return [
        Scene(number, *corner, *side)
        for number, corner, side in zip(numbers.tolist(), corners.tolist(), sides.tolist(), strict=True)
    ]


def middle_square(grid: WorkingGrid) -> Scene:
    """The square of pixels in the middle of an image, as wide as its shorter side."""
    side = min(grid.width, grid.height)
    return Scene(0, (grid.width - side) // 2, (grid.height - side) // 2, side, side)


def outlines(grid: WorkingGrid, scenes: Sequence[Scene]) -> np.ndarray:
    """The corners (n, 4, 2) of scenes in ground coordinates."""
    corners, sides = _corners_and_sides(scenes)
    points = corners[:, None] + CORNERS * sides[:, None]
    return grid.to_ground_points(points.reshape(-1, 2)).reshape(-1, 4, 2)


def scales(grid: WorkingGrid, scenes: Sequence[Scene], side: int) -> np.ndarray | None:
    """At which scale each scene is seen on ``side`` x ``side`` pixels, in metres per pixel; None without system.

    Returns:
        (n, 2): the size of these pixels, and that of the finest that can be made out: the grid's own pixel, if that
        is larger.
    """
    if grid.crs is None:
        return None
    corners, sides = _corners_and_sides(scenes)
    lengths = _pixel_lengths(grid, corners + sides / 2)
    seen = lengths * sides / side
    return np.stack([seen.max(axis=1), np.maximum(lengths, seen).max(axis=1)], axis=1)


def _corners_and_sides(scenes: Sequence[Scene]) -> tuple[np.ndarray, np.ndarray]:
    """Top-left corners (n, 2) and widths and heights (n, 2) of scenes in working pixels."""
    windows = np.array([(each.x, each.y, each.width, each.height) for each in scenes]).reshape(-1, 4)
    return windows[:, :2], windows[:, 2:]


def _pixel_lengths(grid: WorkingGrid, points: np.ndarray) -> np.ndarray:
    """Width and height (n, 2) of working pixels at points (n, 2): in metres, or 1 without reference system."""
    return np.stack([grid.measure_lines(points - step / 2, points + step / 2)[0] for step in np.eye(2)], axis=1)
