# SPDX-License-Identifier: GPL-2.0-or-later
"""Maps of probabilities: overlapping tiles are blended, and given out in bands of rows as soon as these are complete.

A tile counts less the nearer its edge, where a network sees only half of a pixel's surroundings. Sums are kept for as
many rows as a tile has, so that memory does not depend on the raster's height. So that it does not depend on the
width either, a wide raster is worked through in *strips* from left to right; the tiles on the border of two strips
are computed for both. What comes out of a pixel does not depend on the strips.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model_runner.raster.source import TileInput
from model_runner.raster.tiling import Tile

MOST_BYTES = 2**30  # of the sums of a strip, as far as the columns between two tiles allow it
BAND_BYTES = 2**26  # of the probabilities that are given out at once


@dataclass(frozen=True)
class Strip:
    """Working columns ``left`` to ``right`` of a raster, over its whole height.

    Blended are ``first`` to ``last``, which a margin may make more, from all ``tiles`` that touch these, row by row.
    """

    left: int
    right: int
    first: int
    last: int
    tiles: tuple[Tile, ...]


class Band(NamedTuple):
    """Some rows of a strip, blended: working pixels from column ``strip.first`` and row ``y`` on.

    ``probabilities`` (C, h, w) are float32; ``valid`` (h, w) tells which pixels have data, ``seen`` (h, w) which ones
    a network saw: where there is no data nearby, tiles are left out, and probabilities are 0.
    """

    strip: Strip
    y: int
    probabilities: np.ndarray
    valid: np.ndarray
    seen: np.ndarray


def plan_strips(tiles: Sequence[Tile], width: int, channels: int, margin: int = 0) -> list[Strip]:
    """The strips of a raster, as few as keep their sums below ``MOST_BYTES``.

    Args:
        tiles: the plan of the raster, tiles of one size row by row.
        width: of the raster in working pixels.
        channels: probabilities of a pixel.
        margin: columns beyond its own on both sides that a strip shall give out too.
    """
    most_columns = MOST_BYTES // (tiles[0].height * _bytes_of_a_pixel(channels))
    starts = sorted({tile.x for tile in tiles})
    borders = [start - margin for start in starts if start > margin] + [width]
    strips, left = [], 0
    while left < width:
        ahead = [border for border in borders if border > left]
        within = [border for border in ahead if border + margin - max(left - margin, 0) <= most_columns]
        right = within[-1] if within else ahead[0]
        first, last = max(left - margin, 0), min(right + margin, width)
        touching = tuple(tile for tile in tiles if tile.x < last and tile.x + tile.width > first)
        strips.append(Strip(left, right, first, last, touching))
        left = right
    return strips


class BlendingCollector:
    """Blends the probabilities of tiles, which come in the order of ``tiles``, some of them left out.

    Args:
        strips: the plan.
        height: of the raster in working pixels.
        channels: probabilities of a pixel.
        give_out: takes the bands: strip by strip, each from top to bottom without gaps.

    Attributes:
        tiles: what the engine is to run over.
    """

    def __init__(self, strips: Sequence[Strip], height: int, channels: int, give_out: Callable[[Band], None]) -> None:
        self.tiles = [tile for strip in strips for tile in strip.tiles]
        self._coming = iter([(strip, tile) for strip in strips for tile in strip.tiles])
        self._waiting = deque(strips)
        self._height = height
        self._channels = channels
        self._give_out = give_out
        self._sums: _Sums | None = None

    def add(self, tile: Tile, pixels: TileInput, prediction: Tensor) -> None:
        """Take a tile's probabilities (C, h, w), float32 on the CPU."""
        strip = next(strip for strip, each in self._coming if each == tile)
        while self._sums is None or self._sums.strip is not strip:
            self._begin_next_strip()
        self._give_out_until(tile.y)
        self._sums.add(tile, torch.from_numpy(pixels.valid), prediction)

    def finish(self) -> None:
        """Give out all that remains."""
        while self._waiting:
            self._begin_next_strip()
        self._give_out_until(self._height)
        self._sums = None

    def _begin_next_strip(self) -> None:
        if self._sums is not None:
            self._give_out_until(self._height)
        self._sums = None  # the memory is needed for the next one
        self._sums = _Sums(self._waiting.popleft(), self._channels)

    def _give_out_until(self, row: int) -> None:
        while self._sums.row < row:
            self._give_out(self._sums.take(row))


class _Sums:
    """Weighted sums of a strip for the rows ``row`` to ``row`` + height of a tile, which lie in a ring."""

    def __init__(self, strip: Strip, channels: int) -> None:
        self.strip = strip
        self.row = 0
        self._rows = strip.tiles[0].height
        columns = strip.last - strip.first
        self._rows_at_once = max(1, BAND_BYTES // (columns * _bytes_of_a_pixel(channels)))
        self._probabilities = torch.from_numpy(np.zeros((channels, self._rows, columns), np.float32))
        self._weights = torch.from_numpy(np.zeros((self._rows, columns), np.float32))
        self._valid = torch.from_numpy(np.zeros((self._rows, columns), bool))

    def add(self, tile: Tile, valid: Tensor, probabilities: Tensor) -> None:
        """Add a tile that begins at ``row``."""
        left, right = max(tile.x, self.strip.first), min(tile.x + tile.width, self.strip.last)
        within = slice(left - tile.x, right - tile.x)
        columns = slice(left - self.strip.first, right - self.strip.first)
        weights = tile_weights(tile.height, tile.width)
        start = self.row % self._rows
        for rows, ring in (
            (slice(0, self._rows - start), slice(start, self._rows)),
            (slice(self._rows - start, self._rows), slice(0, start)),
        ):
            self._probabilities[:, ring, columns].addcmul_(probabilities[:, rows, within], weights[rows, within])
            self._weights[ring, columns] += weights[rows, within]
            self._valid[ring, columns] |= valid[rows, within]

    def take(self, until: int) -> Band:
        """The next rows, at most up to row ``until``, whose place in the ring is made free."""
        start = self.row % self._rows
        ring = slice(start, min(start + until - self.row, start + self._rows_at_once, self._rows))
        weights = self._weights[ring]
        seen = weights > 0
        means = self._probabilities[:, ring] / torch.where(seen, weights, 1)
        band = Band(self.strip, self.row, means.numpy(), self._valid[ring].numpy().copy(), seen.numpy())
        for each in (self._probabilities[:, ring], weights, self._valid[ring]):
            each.zero_()
        self.row += ring.stop - ring.start
        return band


@lru_cache(maxsize=1)
def tile_weights(height: int, width: int) -> Tensor:
    """How much a tile's pixels (h, w) count: 1 in the middle, next to nothing, but never nothing, at the edge."""
    rows, columns = (torch.sin(torch.pi * (torch.arange(side) + 0.5) / side).square() for side in (height, width))
    return rows[:, None] * columns


def _bytes_of_a_pixel(channels: int) -> int:
    return 4 * channels + 4 + 1  # sums, weight and validity
