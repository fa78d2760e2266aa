# SPDX-License-Identifier: GPL-2.0-or-later
"""Open a raster and read it tile by tile, as models want it."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from rasterio.windows import Window

from model_runner.raster.bands import COLOUR_BANDS, BandChoice, choose_bands
from model_runner.raster.georeference import coarsen, factors_for_resolution, native_grid, window_of_extent
from model_runner.raster.handles import Handles
from model_runner.raster.mask import PolygonMask
from model_runner.raster.overlap import NamedGrid, shared_window
from model_runner.raster.pixels import has_valid, read_pixels
from model_runner.raster.placement import Placement, place_on_source, place_part
from model_runner.raster.resampling import resample
from model_runner.raster.scenes import Scene
from model_runner.raster.stretch import Stretch, choose_stretch
from model_runner.raster.tiling import Tile

OWN_PIXELS = (1.0, 1.0)  # how many of them, across and down, a pixel of the working grid covers
SOURCE_PIXELS_AT_ONCE = 2**24  # that are averaged in one go, to bound the memory


class TileInput(NamedTuple):
    """A tile's pixels (C, h, w), uint8 or float32 on the scale 0 to 255, and which of them (h, w) have data."""

    pixels: np.ndarray
    valid: np.ndarray


def padded(pixels: np.ndarray, valid: np.ndarray, beyond: tuple[tuple[int, int], tuple[int, int]]) -> TileInput:
    """A tile from what of it lies on a grid: so many rows and columns before and after it are 0 and not valid."""
    if not np.any(beyond):  # most tiles lie within, and a copy costs nearly as much as reading them
        return TileInput(pixels, valid)
    return TileInput(np.pad(pixels, ((0, 0), *beyond)), np.pad(valid, beyond))


@contextmanager
def open_source(
    path: str,
    *,
    band_count: int,
    bands: Sequence[int] = (),
    band_names: Sequence[str] = (),
    extent: Sequence[float] | None = None,
    extent_crs: str | None = None,
    mask: str | None = None,
    resolution: float | None = None,
    percentiles: tuple[float, float] = (2.0, 98.0),
    limits: Sequence[tuple[float, float]] = (),
    within: NamedGrid | None = None,
) -> Iterator["RasterSource"]:
    """Open a raster for tile-wise reading; all its files are closed at the end of the block.

    Args:
        path: anything that GDAL can open.
        band_count: how many bands the model wants.
        bands: numbers of the bands to use, first is 1; empty takes the first ones.
        band_names: what the model's bands show, to be compared with the names in the file.
        extent: xmin, ymin, xmax, ymax of the part to use; None uses all.
        extent_crs: reference system of the extent in any form that PROJ reads; None is the raster's.
        mask: vector file with polygons outside of which pixels are not valid.
        resolution: ground resolution to work at in metres per pixel; None keeps the raster's own.
        percentiles: of the values that become 0 and 255 where bands are not 8 bit.
        limits: these values themselves, for each band; empty finds them by the percentiles.
        within: another raster; only what lies within that one too is looked at.

    Raises:
        InputError: bands, extent, mask, resolution or the other raster do not fit the raster.
        UnreadableRaster: the file is missing, damaged or no raster.
    """
    path = str(path)
    handles = Handles(path)
    try:
        with handles.reading() as dataset:
            choice = choose_bands(dataset, tuple(bands), band_count, band_names)
            native, warnings = native_grid(dataset)
        window = Window(0, 0, native.width, native.height)
        if extent is not None:
            window = window_of_extent(native, extent, extent_crs, path)
        if within is not None:
            window = shared_window(NamedGrid(native, path), window, within)
        factors = OWN_PIXELS
        if resolution is not None:
            factors = factors_for_resolution(native, window, resolution, path)
        yield RasterSource(
            handles,
            choice,
            NamedGrid(native, path),
            window,
            factors,
            mask,
            percentiles,
            tuple(limits),
            [*warnings, *choice.warnings],
        )
    finally:
        handles.close()


class RasterSource:
    """An open raster; ``open_source`` makes it. Several threads may read at once.

    Attributes:
        native: the grid of the raster's own pixels, and its path.
        grid: the working grid.
        warnings: what the user should know, a line each.
    """

    def __init__(
        self,
        handles: Handles,
        choice: BandChoice,
        native: NamedGrid,
        window: Window,
        factors: tuple[float, float],
        mask: str | None,
        percentiles: tuple[float, float],
        limits: tuple[tuple[float, float], ...],
        warnings: list[str],
    ) -> None:
        self.native = native
        self.warnings = warnings
        self._handles = handles
        self._choice = choice
        self._percentiles = percentiles
        self._limits = limits
        self._lie_on(window, factors, mask)

    def _lie_on(self, window: Window, factors: tuple[float, float], mask: str | None) -> None:
        """Take the grid over a window of own pixels, of which its pixels cover so many, and a mask's file."""
        self.grid = coarsen(self.native.grid, window, factors)
        self._window, self._factors = window, factors
        self._mask = mask
        self._placement = place_on_source(self._handles, window, factors)
        self._polygons = None if mask is None else PolygonMask(mask, self.grid)

    @property
    def bands(self) -> tuple[int, ...]:
        """The numbers of the bands that are read, first is 1."""
        return self._choice.numbers

    @property
    def band_names(self) -> tuple[str, ...]:
        """What the bands of tiles show, as far as the file tells."""
        return self._choice.names

    @property
    def warnings_of_bands(self) -> tuple[str, ...]:
        """Those warnings that are about the bands."""
        return self._choice.warnings

    @property
    def band_count(self) -> int:
        """How many bands tiles have."""
        return len(self._choice.numbers) if self._choice.palette is None else COLOUR_BANDS

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read for it: of a mosaic its parts too."""
        return self._handles.files

    def record(self) -> dict[str, Any]:
        """What the run record says of the raster: plain values for JSON."""
        stretch = self._stretch
        return {
            "path": self._handles.path,
            "bands": list(self.bands),
            "palette": self._choice.palette is not None,
            "stretch": stretch and {"low": list(stretch.lows), "high": list(stretch.highs)},
            "metres_per_pixel": self.grid.metres_per_pixel,
            "width": self.grid.width,
            "height": self.grid.height,
            "extent": list(self.grid.bounds),
            "crs": None if self.grid.crs is None else self.grid.crs.to_string(),
            "warnings": list(self.warnings),
        }

    def on_window(self, window: Window, factors: tuple[float, float]) -> "RasterSource":
        """The same raster, without mask, on another working grid; it is open as long as this one.

        Args:
            window: of the raster's own pixels, fractions too, where the grid lies.
            factors: how many own pixels, across and down, a pixel of the grid covers.
        """
        return self._laid_on(window, factors, mask=None)

    def on_own_pixels(self) -> "RasterSource":
        """The same raster, with its mask, on its own pixels over the same extent; it is open as long as this one."""
        return self if self.is_native else self._laid_on(self._window, OWN_PIXELS, self._mask)

    def averaged(self, times: int) -> "RasterSource":
        """The same raster, with its mask, on pixels so many times as wide over the same extent."""
        return self._laid_on(self._window, tuple(times * factor for factor in self._factors), self._mask)

    def _laid_on(self, window: Window, factors: tuple[float, float], mask: str | None) -> "RasterSource":
        self._stretch  # noqa: B018 - found once for both
        other = copy.copy(self)
        other._lie_on(window, factors, mask)
        return other

    def has_data(self, tile: Tile) -> bool:
        """Whether a tile may hold a valid pixel: False is certain, and cheaper than reading the tile.

        Raises:
            UnreadableRaster: the file is damaged.
        """
        x, y, width, height = self._clip(tile)
        if self._polygons is not None and not self._polygons.touches(x, y, width, height):
            return False
        with self._handles.reading(self._placement.overview) as dataset:
            return has_valid(dataset, self._choice, self._placement.window(x, y, width, height))

    def read(self, tile: Tile) -> TileInput:
        """The pixels of a tile, 0 and not valid beyond the raster, outside the mask and where there is no data.

        Raises:
            UnreadableRaster: the file is damaged.
        """
        x, y, width, height = self._clip(tile)
        pixels, valid = self._read_placed(self._placement, x, y, width, height)
        if self._polygons is not None:
            valid &= self._polygons.inside(x, y, width, height)
            pixels[:, ~valid] = 0
        beyond = ((0, tile.height - height), (0, tile.width - width))
        return padded(pixels, valid, beyond)

    @property
    def is_native(self) -> bool:
        """Whether working pixels are the raster's own."""
        return self._placement.is_native

    def read_valid(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Which of the raster's own pixels (height, width) in a window have data and lie within the mask.

        For sources that work on these; that is what ``read`` tells, without its work on the values.

        Raises:
            UnreadableRaster: the file is damaged.
        """
        with self._handles.reading() as dataset:
            _, valid = read_pixels(dataset, self._choice, self._placement.window(x, y, width, height))
        if self._polygons is not None:
            valid &= self._polygons.inside(x, y, width, height)
        return valid

    def scene_has_data(self, scene: Scene, side: int) -> bool:
        """As ``has_data``, for a scene that is to be read on ``side`` x ``side`` pixels."""
        across, down = self._on_grid(scene, side)
        if not across or not down:
            return False
        if self._polygons is not None and not self._polygons.touches(scene.x, scene.y, scene.width, scene.height):
            return False
        placement = self._place(scene, side)
        with self._handles.reading(placement.overview) as dataset:
            return has_valid(dataset, self._choice, placement.window(across.start, down.start, len(across), len(down)))

    def read_scene(self, scene: Scene, side: int) -> TileInput:
        """A scene on ``side`` x ``side`` pixels, averaged or interpolated; beyond the grid as ``read``.

        Raises:
            UnreadableRaster: the file is damaged.
        """
        across, down = self._on_grid(scene, side)
        x, y, width, height = across.start, down.start, len(across), len(down)
        pixels, valid = self._read_placed(self._place(scene, side), x, y, width, height)
        if self._polygons is not None:
            across_pixel, down_pixel = scene.width / side, scene.height / side
            window = (scene.x + x * across_pixel, scene.y + y * down_pixel, width * across_pixel, height * down_pixel)
            valid &= self._polygons.inside(*window, shape=(height, width))
            pixels[:, ~valid] = 0
        beyond = ((y, side - down.stop), (x, side - across.stop))
        return padded(pixels, valid, beyond)

    def _place(self, scene: Scene, side: int) -> Placement:
        return place_part(self._handles, self._placement, scene.x, scene.y, scene.width, scene.height, side)

    def _on_grid(self, scene: Scene, side: int) -> tuple[range, range]:
        """Which of the ``side`` columns and rows of a scene's pixels lie on the grid, by their centres."""
        return (
            _centres_within(scene.x, scene.width / side, side, self.grid.width),
            _centres_within(scene.y, scene.height / side, side, self.grid.height),
        )

    def _clip(self, tile: Tile) -> tuple[int, int, int, int]:
        """x, y, width and height of the part of a tile that lies on the grid."""
        return (
            tile.x,
            tile.y,
            min(tile.width, self.grid.width - tile.x),
            min(tile.height, self.grid.height - tile.y),
        )

    def _read_placed(
        self, placement: Placement, x: int, y: int, width: int, height: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of a placed grid; those that are no source pixels from weighted ones, some rows at a time."""
        if placement.is_native:
            return self._read_source(placement.overview, placement.window(x, y, width, height))
        columns = placement.columns.weigh(x, width)
        rows_at_once = max(1, int(SOURCE_PIXELS_AT_ONCE / columns.length / placement.rows.scale))
        parts = []
        for start in range(y, y + height, rows_at_once):
            rows = placement.rows.weigh(start, min(rows_at_once, y + height - start))
            window = Window(columns.first, rows.first, columns.length, rows.length)
            parts.append(resample(*self._read_source(placement.overview, window), rows, columns))
        pixels, valid = (np.concatenate(part, axis=-2) for part in zip(*parts, strict=True))
        return pixels, valid

    def _read_source(self, overview: int | None, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Source pixels on the scale 0 to 255, and which have data."""
        with self._handles.reading(overview) as dataset:
            values, valid = read_pixels(dataset, self._choice, window)
        return (values if self._stretch is None else self._stretch.apply(values) * valid), valid

    @cached_property
    def _stretch(self) -> Stretch | None:
        """One stretch for all tiles, from the whole raster whatever the extent; None if all bands are 8 bit."""
        with self._handles.reading() as dataset:
            types = [dataset.dtypes[number - 1] for number in self._choice.numbers]
            if self._choice.palette is not None or set(types) == {"uint8"}:
                return None
            if self._limits:
                whole = [
                    (0.0, 255.0) if each == "uint8" else own for each, own in zip(types, self._limits, strict=True)
                ]
                return Stretch(*zip(*whole, strict=True))
            return choose_stretch(
                partial(read_pixels, dataset, self._choice),
                dataset.width,
                dataset.height,
                tuple(each == "uint8" for each in types),
                self._percentiles,
            )


def _centres_within(start: float, scale: float, count: int, length: int) -> range:
    """Which of ``count`` pixels, each ``scale`` long from ``start`` on, have their centre on an axis."""
    return range(max(0, ceil(-start / scale - 0.5)), min(count, floor((length - start) / scale - 0.5) + 1))
