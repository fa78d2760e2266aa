# SPDX-License-Identifier: GPL-2.0-or-later
"""Coarser or finer pixels, each a fixed sum of source pixels.

The sum depends on where a pixel lies in the working grid alone and is added up in the same order whatever the tile,
so tiles agree on their common pixels to the last bit.
"""

from dataclasses import dataclass

import numpy as np

VALID_SHARE = 0.5  # of a pixel's area, from which it counts as valid
ROUNDING = 1e-4  # share of a pixel that may get lost in rounding


@dataclass(frozen=True)
class AxisScale:
    """How working pixels lie on an axis of the source, which is ``length`` pixels long.

    Working pixel i begins at source coordinate ``offset + i * scale`` and is ``scale`` source pixels long.
    """

    offset: float
    scale: float
    length: int

    @property
    def is_identity(self) -> bool:
        """Whether working pixels are source pixels."""
        return self.scale == 1 and self.offset == int(self.offset)

    def span(self, start: int, count: int) -> tuple[int, int]:
        """The first of the source pixels that ``count`` working pixels from ``start`` on touch, and their number."""
        if self.is_identity:
            return int(self.offset) + start, count
        weights = self.weigh(start, count)
        return weights.first, weights.length

    def weigh(self, start: int, count: int) -> "AxisWeights":
        """The source pixels that make up ``count`` working pixels from ``start`` on.

        Coarser pixels are averages by area, finer ones are interpolated linearly between the centres of source
        pixels. Where the source ends, what there is counts in full; averages of what lies beyond have no weights.
        """
        begins = self.offset + np.arange(start, start + count) * self.scale
        if self.scale >= 1:
            ends = self.offset + np.arange(start + 1, start + count + 1) * self.scale
            indices = np.floor(begins)[:, None] + np.arange(int(np.ceil(self.scale)) + 1)
            weights = np.minimum(ends[:, None], indices + 1) - np.maximum(begins[:, None], indices)
            weights = np.where((indices >= 0) & (indices < self.length), weights.clip(0), 0)
        else:
            centres = begins + self.scale / 2 - 0.5
            indices = np.floor(centres)[:, None] + np.arange(2)
            weights = np.stack([indices[:, 1] - centres, centres - indices[:, 0]], axis=1)
        total = weights.sum(axis=1, keepdims=True)
        weights /= np.where(total > 0, total, 1)
        return AxisWeights(indices.clip(0, self.length - 1).astype(np.int64), weights.astype(np.float32))


@dataclass(frozen=True)
class AxisWeights:
    """For each of n working pixels the ``indices`` (n, k) of source pixels and their ``weights`` (n, k), sum 1."""

    indices: np.ndarray
    weights: np.ndarray

    @property
    def first(self) -> int:
        """The first source pixel that is needed."""
        return int(self.indices.min())

    @property
    def length(self) -> int:
        """How many source pixels are needed from the first on."""
        return int(self.indices.max()) + 1 - self.first

    def combine(self, plane: np.ndarray, axis: int) -> np.ndarray:
        """Working pixels from a plane (H, W), float32, of source pixels, whose first along ``axis`` is ``first``."""
        places = (self.indices - self.first).T
        weights = self.weights.T[:, None, :] if axis else self.weights.T[:, :, None]
        combined = 0
        for place, weight in zip(places, weights, strict=True):
            part = plane.take(place, axis)
            part *= weight
            combined += part
        return combined


def resample(
    values: np.ndarray, valid: np.ndarray, rows: AxisWeights, columns: AxisWeights
) -> tuple[np.ndarray, np.ndarray]:
    """Working pixels from source pixels.

    Args:
        values: (C, H, W) source pixels, from the first row and column that the weights name.
        valid: (H, W) those that count.
        rows: weights of the h rows.
        columns: weights of the w columns.

    Returns:
        Values (C, h, w) float32, each the mean of valid source pixels, and (h, w) which pixels are valid by at least
        half; the others are 0.
    """
    means, share = weighted_means(values, valid.astype(np.float32), rows, columns)
    resampled_valid = share >= VALID_SHARE - ROUNDING
    return means * resampled_valid, resampled_valid


def weighted_means(
    values: np.ndarray, weights: np.ndarray, rows: AxisWeights, columns: AxisWeights
) -> tuple[np.ndarray, np.ndarray]:
    """Means (C, h, w) of source pixels (C, H, W) that count by ``weights`` (H, W), and the mean weight (h, w).

    Where that is 0, so are the means.
    """

    def combine(plane: np.ndarray) -> np.ndarray:  # one at a time: all at once are too much for a processor's cache
        return columns.combine(rows.combine(plane, axis=0), axis=1)

    share = combine(weights)
    total = np.where(share > 0, share, 1)
    return np.stack([combine(band * weights) / total for band in values]), share
