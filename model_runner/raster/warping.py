# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster on the grid of another one: turned, moved, averaged or interpolated, in any pair of reference systems."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.windows import Window

from model_runner.errors import InputError
from model_runner.raster.grid_mapping import GridMapping
from model_runner.raster.overlap import NamedGrid
from model_runner.raster.resampling import ROUNDING, VALID_SHARE
from model_runner.raster.source import RasterSource, TileInput, padded
from model_runner.raster.tiling import Tile, lone_tile
from model_runner.raster.working_grid import WorkingGrid

LOOKS_AVERAGING = (0.25, 0.75)  # places in a pixel, along each axis, whose mean stands for its area
LOOKS_INTERPOLATING = (0.5,)


def lay_on_grid(
    raster: "RasterSource | WarpedSource", native: WorkingGrid, grid: WorkingGrid
) -> "RasterSource | WarpedSource":
    """A raster that is read on another grid; it stays open as long as ``raster``.

    Coarser pixels are averages by area, finer ones are interpolated linearly.

    Args:
        raster: the raster, whatever grid it lies on.
        native: where its own pixels lie in the frame of ``grid``.
        grid: the grid to read on.

    Raises:
        InputError: there is no way from the grid's middle to the raster.
    """
    if isinstance(raster, WarpedSource):
        raster = raster.raster
    mapping = GridMapping(grid, native)
    along_axes = mapping.along_axes
    if along_axes is not None:
        across, down = along_axes.a, along_axes.e
        window = Window(along_axes.c, along_axes.f, grid.width * across, grid.height * down)
        on_axes = raster.on_window(window, (across, down))
        if not (on_axes.is_native and _sticks_out(window, native)):  # pixels that are not there cannot be read
            return on_axes
    scales = mapping.scales_at(grid.width / 2, grid.height / 2)
    if not np.isfinite(scales).all():
        raise InputError(
            f"{raster.native.path} has no place in {grid.system_name} in the middle of what is looked at; "
            "choose a smaller extent or reproject the raster first."
        )
    factors = tuple(max(1.0, scale * (LOOKS_AVERAGING[1] - LOOKS_AVERAGING[0])) for scale in scales)
    fine = raster.on_window(Window(0, 0, native.width, native.height), factors)
    looks = LOOKS_AVERAGING if max(scales) > 1 + ROUNDING else LOOKS_INTERPOLATING
    return WarpedSource(fine, factors, mapping, looks)


@dataclass(frozen=True)
class WarpedSource:
    """A raster on a grid that lies across its pixels; ``lay_on_grid`` makes it. Several threads may read at once.

    Attributes:
        raster: the raster, its pixels at most half as wide as those of the grid where these are coarser.
        factors: native pixels, across and down, in a pixel of ``raster``.
        mapping: from the grid to the native pixels.
        looks: places in a pixel of the grid, along each axis, at which the raster is interpolated.
    """

    raster: RasterSource
    factors: tuple[float, float]
    mapping: GridMapping
    looks: tuple[float, ...]

    @property
    def native(self) -> NamedGrid:
        """The grid of the raster's own pixels, and its path."""
        return self.raster.native

    @property
    def bands(self) -> tuple[int, ...]:
        """The numbers of the bands that are read, first is 1."""
        return self.raster.bands

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read for the raster."""
        return self.raster.files

    def record(self) -> dict[str, Any]:
        """What the run record says of the raster: plain values for JSON."""
        return self.raster.record()

    def has_data(self, tile: Tile) -> bool:
        """Whether a tile of the grid may hold a valid pixel; False is certain.

        Raises:
            UnreadableRaster: the file is damaged.
        """
        under = self._under(self.mapping.lattice(*self._clip(tile)).nodes)
        return under is not None and self.raster.has_data(under)

    def read(self, tile: Tile) -> TileInput:
        """The pixels of a tile of the grid, 0 and not valid beyond the raster and where there is no data.

        Raises:
            UnreadableRaster: the file is damaged.
        """
        x, y, width, height = self._clip(tile)
        lattice = self.mapping.lattice(x, y, width, height)
        under = self._under(lattice.nodes)
        beyond = ((0, tile.height - height), (0, tile.width - width))
        if under is None:
            nothing = np.zeros((self.raster.band_count, tile.height, tile.width), np.float32)
            return TileInput(nothing, nothing[0] > 0)
        seen = self.raster.read(under)
        values = np.stack([*seen.pixels, seen.valid], axis=-1, dtype=np.float32)
        total = 0
        for down in self.looks:
            for across in self.looks:
                columns, rows = lattice.at(np.arange(x, x + width) + across, np.arange(y, y + height) + down)
                columns, rows = columns / self.factors[0] - under.x, rows / self.factors[1] - under.y
                total = total + _interpolate(values, columns, rows) / len(self.looks) ** 2
        *sums, share = np.moveaxis(total, -1, 0)
        valid = share >= VALID_SHARE - ROUNDING
        pixels = np.stack(sums) / np.where(valid, share, 1) * valid
        return padded(pixels, valid, beyond)

    def _clip(self, tile: Tile) -> tuple[int, int, int, int]:
        """x, y, width and height of the part of a tile that lies on the grid."""
        grid = self.mapping.source
        return tile.x, tile.y, min(tile.width, grid.width - tile.x), min(tile.height, grid.height - tile.y)

    def _under(self, nodes: np.ndarray) -> Tile | None:
        """The pixels of ``raster`` around places (..., 2) in native pixels; None if there are none."""
        places = nodes.reshape(-1, 2)
        places = places[np.isfinite(places).all(axis=1)] / self.factors
        if not len(places):
            return None
        size = (self.raster.grid.width, self.raster.grid.height)
        first = np.clip(np.floor(places.min(axis=0)) - 1, 0, size).astype(int)
        last = np.clip(np.ceil(places.max(axis=0)) + 1, 0, size).astype(int)
        width, height = (last - first).tolist()
        if width <= 0 or height <= 0:
            return None
        return lone_tile(*first.tolist(), width, height)


def _sticks_out(window: Window, grid: WorkingGrid) -> bool:
    right, bottom = window.col_off + window.width, window.row_off + window.height
    return min(window.col_off, window.row_off) < 0 or right > grid.width or bottom > grid.height


def _interpolate(values: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values (h, w, C), float32, at places (h, w) in pixels of ``values`` (H, W, C), interpolated linearly.

    They are 0 beyond the pixels and where a place is not finite.
    """
    height, width, count = values.shape
    with np.errstate(invalid="ignore"):
        inside = (columns >= 0) & (columns <= width) & (rows >= 0) & (rows <= height)
    columns, rows = (np.where(inside, each - 0.5, 0) for each in (columns, rows))
    left, top = np.floor(columns).astype(np.int64), np.floor(rows).astype(np.int64)
    right_share, bottom_share = (columns - left).astype(np.float32), (rows - top).astype(np.float32)
    pixels = values.reshape(-1, count)
    total = np.zeros((*columns.shape, count), np.float32)
    for row, down in ((top, 1 - bottom_share), (top + 1, bottom_share)):
        for column, across in ((left, 1 - right_share), (left + 1, right_share)):
            index = row.clip(0, height - 1) * width + column.clip(0, width - 1)
            total += pixels.take(index, axis=0) * (down * across * inside)[..., None]
    return total
