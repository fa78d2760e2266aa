# SPDX-License-Identifier: GPL-2.0-or-later
"""Bring bands of blended probabilities to the pixels of the result: the model's or the raster's own."""

from collections.abc import Callable
from math import ceil, floor

import numpy as np

from model_runner.inference.blending import BAND_BYTES, Band
from model_runner.raster.pair import RasterPair
from model_runner.raster.resampling import AxisScale, weighted_means
from model_runner.raster.source import RasterSource
from model_runner.raster.working_grid import WorkingGrid

FAINT = 1e-3  # weight of a prediction for a working pixel without data, beside one with data

# column, row, probabilities (C, h, w) and which pixels (h, w) have data
TakePixels = Callable[[int, int, np.ndarray, np.ndarray], None]


def place_pixels(
    working: RasterSource | RasterPair, result: RasterSource | RasterPair, give_out: TakePixels
) -> "WorkingPixels | OwnPixels":
    """What brings bands to the pixels of a result.

    Args:
        working: what the network looks at.
        result: the same, or its own pixels.
        give_out: takes windows of the result that cover it once, each strip from top to bottom.
    """
    return WorkingPixels(give_out) if result is working else OwnPixels(working.grid, result, give_out)


class WorkingPixels:
    """The result has the model's pixels.

    Args:
        give_out: takes windows of the result that cover it once, each strip from top to bottom.

    Attributes:
        margin: columns that the strips must share.
    """

    margin = 0

    def __init__(self, give_out: TakePixels) -> None:
        self._give_out = give_out

    def take(self, band: Band) -> None:
        """Take a band; see ``BlendingCollector``."""
        self._give_out(band.strip.left, band.y, band.probabilities, band.valid)


class OwnPixels:
    """The result has the raster's own pixels, and has no data exactly where the raster has none.

    Where these are finer than the model's, probabilities are interpolated linearly between the centres of working
    pixels; where they are coarser, they are means by area. Working pixels without data do not count beside others.
    Only pixels with data that are so few that a whole tile has no working pixel with data come out without.

    Args:
        working: the working grid.
        own: the raster, or the pair, on its own pixels over the same extent.
        give_out: takes windows of the result that cover it once, each strip from top to bottom.

    Attributes:
        margin: columns that the strips must share.
    """

    def __init__(self, working: WorkingGrid, own: RasterSource | RasterPair, give_out: TakePixels) -> None:
        self._own = own
        self._working = working
        self._give_out = give_out
        scale = ~working.to_ground @ own.grid.to_ground  # working pixels in one of the raster's own, across and down
        self._columns, self._rows = AxisScale(0, scale.a, working.width), AxisScale(0, scale.e, working.height)
        self.margin = ceil(self._columns.scale)
        self._next_row = 0
        self._held_row = 0
        self._held: tuple[np.ndarray, np.ndarray] | None = None  # probabilities and weights of rows still needed

    def take(self, band: Band) -> None:
        """Take a band; see ``BlendingCollector``."""
        weights = np.where(band.valid, 1, np.where(band.seen, FAINT, 0)).astype(np.float32)
        if band.y == 0:
            self._next_row, self._held_row, self._held = 0, 0, (band.probabilities, weights)
        else:
            parts = zip(self._held, (band.probabilities, weights), strict=True)
            self._held = tuple(np.concatenate(part, axis=-2) for part in parts)
        left, right = (self._first_column_at(border) for border in (band.strip.left, band.strip.right))
        until = self._complete_rows(band.y + weights.shape[0])
        most_rows = max(1, BAND_BYTES // (4 * (right - left) * len(band.probabilities)))
        while self._next_row < until:
            count = min(most_rows, until - self._next_row)
            self._give_out_rows(left, right - left, count, band.strip.first)
            self._next_row += count
        if until < self._own.grid.height:
            needed = self._rows.weigh(until, 1).first - self._held_row
            self._held = tuple(each[..., needed:, :].copy() for each in self._held)
            self._held_row += needed

    def _first_column_at(self, border: int) -> int:
        """The first column of the result right of a border of strips, in working pixels."""
        return self._own.grid.width if border == self._working.width else ceil(border / self._columns.scale)

    def _complete_rows(self, working_rows: int) -> int:
        """How many rows of the result need no more than the first so many working rows."""
        if working_rows == self._working.height:
            return self._own.grid.height
        scale = self._rows.scale
        return min(max(0, floor((working_rows - 1 - ceil(scale)) / scale) + 1), self._own.grid.height)

    def _give_out_rows(self, left: int, width: int, count: int, first_working_column: int) -> None:
        """Give out the next rows of a strip."""
        rows, columns = self._rows.weigh(self._next_row, count), self._columns.weigh(left, width)
        top, start = rows.first - self._held_row, columns.first - first_working_column
        window = slice(top, top + rows.length), slice(start, start + columns.length)
        probabilities, weights = (each[(..., *window)] for each in self._held)
        if weights.any():
            probabilities, weights = weighted_means(probabilities, weights, rows, columns)
            valid = self._own.read_valid(left, self._next_row, width, count) & (weights > 0)
        else:
            probabilities = np.zeros((len(probabilities), count, width), np.float32)
            valid = np.zeros((count, width), bool)
        self._give_out(left, self._next_row, probabilities, valid)
