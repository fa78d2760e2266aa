# SPDX-License-Identifier: GPL-2.0-or-later
"""Rasters in memory, as the engine and the collectors see them."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from model_runner.raster.source import TileInput
from model_runner.raster.tiling import plan_tiles


def tiles_within(width, height, tile_size, overlap):
    """Tiles that do not reach beyond the raster."""
    return [
        replace(tile, width=min(tile_size, width), height=min(tile_size, height))
        for tile in plan_tiles(width, height, tile_size, overlap)
    ]


class ArraySource(NamedTuple):
    """Pixels (C, H, W) and which of them (H, W) have data."""

    pixels: np.ndarray
    valid: np.ndarray

    def has_data(self, tile):
        return True

    def read(self, tile):
        window = slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width)
        return TileInput(self.pixels[(slice(None), *window)], self.valid[window])
