# SPDX-License-Identifier: GPL-2.0-or-later
"""Bring pixels of any type to the scale 0 to 255: once for a raster, never for each tile."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from model_runner.raster.pixels import split_window

PATCH = 128  # side, in pixels, of the patches that are looked at
PATCHES_PER_AXIS = 16
SAMPLES_PER_PATCH = PATCH**2

ReadWindow = Callable[[Window], tuple[np.ndarray, np.ndarray]]  # values (C, h, w) and valid (h, w)


@dataclass(frozen=True)
class Stretch:
    """For each band the value that becomes 0 and the one that becomes 255; what lies beyond is cut off.

    8 bit bands are left alone: theirs are 0 and 255.
    """

    lows: tuple[float, ...]
    highs: tuple[float, ...]

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Values (C, h, w) of any real type on the scale 0 to 255, float32."""
        stretched = np.empty(values.shape, dtype=np.float32)
        precision = np.promote_types(values.dtype, np.float32)
        for band, low, high, result in zip(values, self.lows, self.highs, stretched, strict=True):
            with np.errstate(over="ignore"):
                scaled = (band.astype(precision) - low) * (255 / (high - low))
            np.clip(scaled, 0, 255, out=result, casting="same_kind")
        return stretched


def choose_stretch(
    read: ReadWindow, width: int, height: int, is_8_bit: tuple[bool, ...], percentiles: tuple[float, float]
) -> Stretch:
    """The stretch of a raster from percentiles of its valid pixels, band by band.

    Looks at patches all over the raster, which are the whole of it up to 2048 x 2048 pixels. Where these have no
    valid pixel, everything is searched.

    Args:
        read: reads a window of the raster.
        width: of the raster in pixels.
        height: of the raster in pixels.
        is_8_bit: for each band, whether it is left alone.
        percentiles: of the values that become 0 and 255.
    """
    samples = _sample(read, _spread_patches(width, height))
    if not samples.size:
        samples = _sample(read, split_window(Window(0, 0, width, height), PATCH * PATCHES_PER_AXIS))
    limits = [
        (0.0, 255.0) if untouched else limits_of(band, percentiles)
        for untouched, band in zip(is_8_bit, samples, strict=True)
    ]
    return Stretch(*zip(*limits, strict=True))


def limits_of(samples: np.ndarray, percentiles: tuple[float, float]) -> tuple[float, float]:
    """The values that become 0 and 255, the second always above the first, from samples (n,) of a band."""
    if not samples.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(samples.astype(np.float64), percentiles))
    if high <= low:  # most pixels are alike; what differs decides
        low, high = float(samples.min()), float(samples.max())
    return (low, high) if high > low else (low, low + max(1.0, abs(low)))


def _sample(read: ReadWindow, windows: Iterable[Window]) -> np.ndarray:
    """Valid pixels (C, n) of windows, thinned out evenly to at most the number of a patch's pixels for each."""
    found = []
    for window in windows:
        values, valid = read(window)
        pixels = values[:, valid]
        found.append(pixels[:, :: max(1, -(-pixels.shape[1] // SAMPLES_PER_PATCH))])
    return np.concatenate(found, axis=1)


def _spread_patches(width: int, height: int) -> Iterator[Window]:
    columns, rows = _spread(width), _spread(height)
    for row in rows:
        for column in columns:
            yield Window(column, row, min(PATCH, width - column), min(PATCH, height - row))


def _spread(length: int) -> list[int]:
    """Where patches begin along an axis: side by side while they suffice, then evenly from end to end."""
    count = min(PATCHES_PER_AXIS, -(-length // PATCH))
    if count * PATCH >= length:
        return [index * PATCH for index in range(count)]
    return [round(index * (length - PATCH) / (count - 1)) for index in range(count)]
