# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut a raster into overlapping tiles."""

from dataclasses import dataclass

from model_runner.errors import InputError

STRIDE, SMALLEST_SIDE = 32, 96  # pixels, of what networks take


@dataclass(frozen=True)
class Tile:
    """A window of the working grid, in working pixels.

    ``column`` and ``row`` count tiles, ``x`` and ``y`` are the corner. ``width`` and ``height`` are the nominal size:
    a raster that is smaller than a tile has a tile that is larger than the raster. An *inner* edge is one beyond
    which another tile continues.
    """

    column: int
    row: int
    x: int
    y: int
    width: int
    height: int
    inner_left: bool
    inner_top: bool
    inner_right: bool
    inner_bottom: bool


def lone_tile(x: int, y: int, width: int, height: int) -> Tile:
    """A window of the working grid that is part of no plan, in working pixels."""
    return Tile(0, 0, x, y, width, height, inner_left=False, inner_top=False, inner_right=False, inner_bottom=False)


def network_side(side: int) -> int:
    """The smallest side, in pixels, that networks take and that holds so many."""
    return max(SMALLEST_SIDE, -(-side // STRIDE) * STRIDE)


def plan_axis(length: int, tile_size: int, overlap: int) -> list[int]:
    """Where tiles begin along an axis of ``length`` pixels.

    The last tile is pulled back to end with the axis, so it overlaps its neighbour by more than asked for.

    Raises:
        InputError: the overlap leaves no step between tiles.
    """
    if tile_size < 1 or not 0 <= overlap < tile_size:
        raise InputError(
            f"The overlap of tiles, {overlap} pixels, must be at least 0 and smaller than the tile size, "
            f"{tile_size} pixels."
        )
    last = max(0, length - tile_size)
    return [*range(0, last, tile_size - overlap), last]


def plan_tiles(width: int, height: int, tile_size: int, overlap: int) -> list[Tile]:
    """Square tiles that cover ``width`` x ``height`` pixels, row by row.

    Args:
        width: of the working grid in pixels.
        height: of the working grid in pixels.
        tile_size: side of a tile in pixels.
        overlap: smallest overlap of neighbours in pixels.

    Raises:
        InputError: the overlap leaves no step between tiles.
    """
    columns = plan_axis(width, tile_size, overlap)
    rows = plan_axis(height, tile_size, overlap)
    return [
        Tile(
            column,
            row,
            x,
            y,
            tile_size,
            tile_size,
            inner_left=column > 0,
            inner_top=row > 0,
            inner_right=column < len(columns) - 1,
            inner_bottom=row < len(rows) - 1,
        )
        for row, y in enumerate(rows)
        for column, x in enumerate(columns)
    ]
