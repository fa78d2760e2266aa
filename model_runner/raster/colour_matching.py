# SPDX-License-Identifier: GPL-2.0-or-later
"""Bring the light of one date to that of another: a gain and an offset for each band."""

from dataclasses import dataclass

import numpy as np

ROUNDS = 6
MOST_GAIN = 4.0  # and the inverse of the least: beyond, there is hardly an image to stretch
ALIKE = 2.0  # times the median difference of pixels, up to which a pixel counts as unchanged
CUT_OFF = (1.0, 254.0)  # pixels beyond have lost their value


@dataclass(frozen=True)
class ColourMatch:
    """For each band by what values, on the scale 0 to 255, are multiplied and what is added then."""

    gains: tuple[float, ...]
    offsets: tuple[float, ...]

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (C, h, w) in the other's light, float32, cut off at 0 and 255."""
        gains, offsets = (np.array(each, np.float32)[:, None, None] for each in (self.gains, self.offsets))
        return np.clip(pixels * gains + offsets, 0, 255)


def match_colours(before: np.ndarray, after: np.ndarray) -> ColourMatch:
    """What brings ``after`` to the mean and the standard deviation of ``before``.

    Changes between the dates must not count as light: pixels that remain most unlike are left out, round by round.

    Args:
        before: pixels (C, n) of the earlier date on the scale 0 to 255.
        after: the same pixels at the later date.
    """
    fits = [_fit(earlier, later) for earlier, later in zip(before, after, strict=True)]
    return ColourMatch(*(tuple(each) for each in zip(*fits, strict=True)))


def _fit(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    kept = np.logical_and.reduce([(each >= CUT_OFF[0]) & (each <= CUT_OFF[1]) for each in (before, after)])
    before, after = before[kept].astype(np.float64), after[kept].astype(np.float64)
    gain, offset = 1.0, 0.0
    alike = np.ones(len(before), dtype=bool)
    for _ in range(ROUNDS if len(before) else 0):
        earlier, later = before[alike], after[alike]
        spread = later.std()
        gain = float(np.clip(earlier.std() / spread, 1 / MOST_GAIN, MOST_GAIN)) if spread > 0 else 1.0
        offset = float(earlier.mean() - gain * later.mean())
        differences = np.abs(gain * after + offset - before)
        alike = differences <= ALIKE * np.median(differences)
    return gain, offset
