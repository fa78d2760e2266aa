# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut a raster into square blocks, and each block into chips.

No chip reaches into another block, so that chips of different blocks share no pixel, however much chips of one block
overlap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from model_runner.raster.scenes import Scene
from model_runner.raster.tiling import Tile
from model_runner.raster.working_grid import WorkingGrid

LARGEST_BLOCK = 8  # chips across, where the user leaves it to the labels
ENOUGH_BLOCKS = 20  # with labels, from which blocks are as large as that allows
NARROW = 1 / 8  # of a chip: a strip that is left out, as a chip for it would show its neighbour's ground again

Block = tuple[int, int, int]  # number of the raster, column and row of the block


@dataclass(frozen=True)
class Chip:
    """A window of a raster that becomes an image of ``side`` x ``side`` pixels.

    x, y, width and height are in working pixels; ``row`` is that of the polygon in the label layer that the chip
    shows, if it does so.
    """

    block: Block
    x: float
    y: float
    width: float
    height: float
    side: int
    row: int | None = None

    @property
    def place(self) -> int:
        """The number of the raster."""
        return self.block[0]

    @property
    def window(self) -> tuple[float, float, float, float]:
        """x, y, width and height in working pixels."""
        return self.x, self.y, self.width, self.height

    @property
    def tile(self) -> Tile:
        """The chip as a tile, where it has the pixels of the working grid."""
        return Tile(0, 0, int(self.x), int(self.y), self.side, self.side, False, False, False, False)

    def outline(self, grid: WorkingGrid) -> np.ndarray:
        """The corners (4, 2) on the ground."""
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (self.width, self.height) + (self.x, self.y)
        return grid.to_ground_points(corners)


@dataclass(frozen=True)
class Blocks:
    """Square blocks over a raster; the last ones are up to a chip longer.

    Attributes:
        columns: where blocks begin along x, and where the last one ends.
        rows: the same along y.
    """

    columns: tuple[int, ...]
    rows: tuple[int, ...]

    def find(self, points: np.ndarray) -> np.ndarray:
        """The column and the row (n, 2) of the blocks in which points (n, 2) lie, or of the nearest ones."""
        found = [
            np.searchsorted(edges[1:-1], points[:, axis], side="right")
            for axis, edges in enumerate((self.columns, self.rows))
        ]
        return np.stack(found, axis=1)

    def outline(self, column: int, row: int, grid: WorkingGrid) -> shapely.Polygon:
        """A block on the ground."""
        left, right = self.columns[column : column + 2]
        top, bottom = self.rows[row : row + 2]
        return shapely.Polygon(
            grid.to_ground_points(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))
        )


def block_side(chip: int, overlap: int, chips_across: int) -> int:
    """The side of a block in pixels."""
    return chip + (chips_across - 1) * (chip - overlap)


def cut_blocks(grid: WorkingGrid, side: int, smallest: int) -> Blocks:
    """Blocks over a grid.

    Args:
        grid: the working grid.
        side: of a block in pixels.
        smallest: what remains at the end and is shorter than so many pixels goes to the last block.
    """
    return Blocks(_cut_axis(grid.width, side, smallest), _cut_axis(grid.height, side, smallest))


def _cut_axis(length: int, side: int, smallest: int) -> tuple[int, ...]:
    count = max(1, length // side + (length % side >= smallest))
    return (*range(0, count * side, side), max(length, smallest))


def choose_block(
    grids: Sequence[WorkingGrid], centres: Sequence[np.ndarray], chip: int, overlap: int, wanted: int | None
) -> int:
    """How many chips a block is wide: as many as wanted, else as many as leave enough blocks with labels.

    Args:
        grids: of the rasters.
        centres: (n, 2) of the labels of each raster, in its pixels.
        chip: side of a chip in pixels.
        overlap: of chips in pixels.
        wanted: by the user.
    """
    if wanted is not None:
        return wanted
    for across in range(LARGEST_BLOCK, 1, -1):
        blocks = [cut_blocks(grid, block_side(chip, overlap, across), chip) for grid in grids]
        labelled = sum(len(np.unique(each.find(points), axis=0)) for each, points in zip(blocks, centres, strict=True))
        if labelled >= ENOUGH_BLOCKS:
            return across
    return 1


def plan_chips(place: int, blocks: Blocks, chip: int, overlap: int) -> list[Chip]:
    """The chips of all blocks, row by row; those of a raster that is smaller than a chip reach beyond it."""
    return [
        Chip((place, column, row), left + x, top + y, chip, chip, chip)
        for row, (top, bottom) in enumerate(zip(blocks.rows, blocks.rows[1:], strict=False))
        for column, (left, right) in enumerate(zip(blocks.columns, blocks.columns[1:], strict=False))
        for y in _spread(bottom - top, chip, overlap)
        for x in _spread(right - left, chip, overlap)
    ]


def _spread(length: int, chip: int, overlap: int) -> list[int]:
    """Where chips begin along a block: evenly, with about the wanted overlap; only a narrow strip is left out."""
    count = max(math.ceil(length / chip - NARROW), round((length - overlap) / (chip - overlap)))
    return np.rint(np.linspace(0, length - chip, count)).astype(int).tolist()


def chips_of_scenes(place: int, blocks: Blocks, scenes: Sequence[Scene], rows: np.ndarray, largest: int) -> list[Chip]:
    """A chip for each scene, in the block that holds its centre.

    Args:
        place: number of the raster.
        blocks: of the raster.
        scenes: windows of the raster, which may overlap.
        rows: (n,) of the scenes' polygons in the label layer.
        largest: side, in pixels, of the largest chips; smaller ones keep the pixels of the working grid.
    """
    if not scenes:
        return []
    centres = np.array([(each.x + each.width / 2, each.y + each.height / 2) for each in scenes])
    sides = [max(1, min(largest, round(max(each.width, each.height)))) for each in scenes]
    return [
        Chip((place, *block), each.x, each.y, each.width, each.height, side, row)
        for each, side, row, block in zip(scenes, sides, rows.tolist(), blocks.find(centres).tolist(), strict=True)
    ]
