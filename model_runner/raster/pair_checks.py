# SPDX-License-Identifier: GPL-2.0-or-later
"""What is doubtful about a pair of rasters, found out on a few windows before hours of computing.

The shift between the dates is the place of the peak of their phase correlation (Kuglin and Hines, 1975), which light
and season hardly move. A low pass gives the peak the form of a Gaussian, whose top is found between the pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from os.path import realpath
from typing import NamedTuple

import numpy as np

from model_runner.raster.grid_mapping import GridMapping
from model_runner.raster.pair import PairInput, RasterPair
from model_runner.raster.tiling import Tile, lone_tile

WINDOW = 160  # largest side of a window in pixels
SMALLEST_WINDOW = 64
WINDOWS_PER_AXIS = 5
THINNING = 2  # every so manyth column and row of a window tells of the light
VALID_SHARE = 0.9  # of a window's pixels, from which it is used
LOW_PASS = 1.0  # standard deviation, in pixels, of the correlation's peak
FARTHEST = 4  # a shift may be one over this of a window's side
CLEAR_PEAK = 8.0  # height of a peak, in standard deviations of the correlation, that cannot be chance
AGREEING = 1.0  # pixels that windows' shifts may differ from their median
SHARE_AGREEING = 0.5  # of the windows with a clear peak, that must agree,
LEAST_AGREEING = 3  # and how many that must be
TOLERATED_SHIFT = 1.0  # pixels
TIMES_AVERAGED = (4, 16)  # to look for shifts that are too far for windows of the pair's own pixels
FAR_SHIFT = 2.0  # averaged pixels
TOLERATED_RESOLUTION = 1.5  # coarser over finer
TOLERATED_BRIGHTNESS = 45.0  # difference of means in any band, on the scale 0 to 255
TOLERATED_CONTRAST = 2.0  # larger over smaller standard deviation, the mean of the bands

COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
IMAGE_SIDES = ("top", "upper right", "right", "lower right", "bottom", "lower left", "left", "upper left")


@dataclass(frozen=True)
class Shift:
    """How far the later date lies from the earlier one in working pixels, x right and y down."""

    x: float
    y: float

    @property
    def length(self) -> float:
        """In pixels."""
        return float(np.hypot(self.x, self.y))


@dataclass(frozen=True)
class Light:
    """Means and standard deviations of each band at both dates, on the scale 0 to 255."""

    means_before: tuple[float, ...]
    means_after: tuple[float, ...]
    deviations_before: tuple[float, ...]
    deviations_after: tuple[float, ...]

    @property
    def differs(self) -> bool:
        """Whether the dates differ by more than models are used to."""
        brightness = np.abs(np.subtract(self.means_after, self.means_before))
        before, after = (np.maximum(each, 1) for each in (self.deviations_before, self.deviations_after))
        contrast = np.maximum(before / after, after / before)
        return bool(brightness.max() > TOLERATED_BRIGHTNESS or contrast.mean() > TOLERATED_CONTRAST)


class PairSample(NamedTuple):
    """Windows of a pair, and valid pixels (C, n) of them, thinned out, at both dates."""

    windows: list[PairInput]
    before: np.ndarray
    after: np.ndarray


def sample_pair(pair: RasterPair) -> PairSample:
    """A few windows, spread over the pair.

    Raises:
        UnreadableRaster: a file is damaged.
    """
    windows = [pair.read(tile) for tile in _spread_windows(pair.grid.width, pair.grid.height) if pair.has_data(tile)]
    nothing = np.empty((pair.before.band_count, 0), np.float32)
    before, after = (
        np.concatenate([nothing, *(_thinned(getattr(each, date).pixels, each.valid) for each in windows)], axis=1)
        for date in ("before", "after")
    )
    return PairSample(windows, before, after)


def _thinned(pixels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Some of the valid pixels (C, n) of a window."""
    return pixels[:, ::THINNING, ::THINNING][:, valid[::THINNING, ::THINNING]]


def _spread_windows(width: int, height: int) -> Iterator[Tile]:
    side = min(WINDOW, max(SMALLEST_WINDOW, min(width, height) // 2))
    for y, x in product(_spread(height, side), _spread(width, side)):
        yield lone_tile(x, y, min(side, width), min(side, height))


def _spread(length: int, side: int) -> list[int]:
    """Where windows begin along an axis: half a window apart, or as few as are allowed from end to end."""
    count = min(WINDOWS_PER_AXIS, max(1, 2 * length // side - 1))
    return [index * max(0, length - side) // max(1, count - 1) for index in range(count)]


def compare_light(before: np.ndarray, after: np.ndarray) -> Light | None:
    """The light of both dates from pixels (C, n); None without pixels."""
    if not before.size:
        return None
    figures = [each.mean(axis=1) for each in (before, after)] + [each.std(axis=1) for each in (before, after)]
    return Light(*(tuple(each.astype(float).tolist()) for each in figures))


def find_shift(windows: Sequence[PairInput]) -> Shift | None:
    """The shift on which most windows agree that show one clearly; None if it cannot be told."""
    shifts = [measure_shift(*(_grey(date.pixels, each.valid) for date in each)) for each in windows if _is_usable(each)]
    told = np.array([(each.x, each.y) for each in shifts if each is not None])
    if not len(told):
        return None
    agree = np.hypot(*(told - np.median(told, axis=0)).T) <= AGREEING
    if agree.sum() < max(LEAST_AGREEING, SHARE_AGREEING * len(told)):
        return None
    return Shift(*np.median(told[agree], axis=0).tolist())


def find_far_shift(pair: RasterPair) -> Shift | None:
    """A shift that only windows of averaged pixels are large enough to show; None if there is none.

    Raises:
        UnreadableRaster: a file is damaged.
    """
    for times in TIMES_AVERAGED:
        if min(pair.grid.width, pair.grid.height) < times * SMALLEST_WINDOW:
            return None
        shift = find_shift(sample_pair(pair.averaged(times)).windows)
        if shift is not None:
            return Shift(times * shift.x, times * shift.y) if shift.length > FAR_SHIFT else None
    return None


def _is_usable(window: PairInput) -> bool:
    return min(window.valid.shape) >= SMALLEST_WINDOW and window.valid.mean() >= VALID_SHARE


def _grey(pixels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The mean of the bands (h, w), float32; the mean of the window where there is no data."""
    grey = pixels.mean(axis=0, dtype=np.float32)
    return np.where(valid, grey, grey[valid].mean())


def measure_shift(before: np.ndarray, after: np.ndarray) -> Shift | None:
    """How far a window (h, w) of the later date is shifted, or None if no peak stands out.

    A first look finds whole pixels; a second one, at what both then have in common, the rest.
    """
    first = _correlation_peak(before, after)
    if first is None:
        return None
    x, y = round(first.x), round(first.y)
    if not (x or y):
        return first
    height, width = before.shape
    common = (slice(max(0, -y), height - max(0, y)), slice(max(0, -x), width - max(0, x)))
    moved = (slice(max(0, y), height - max(0, -y)), slice(max(0, x), width - max(0, -x)))
    rest = _correlation_peak(before[common], after[moved])
    return None if rest is None else Shift(x + rest.x, y + rest.y)


def _correlation_peak(before: np.ndarray, after: np.ndarray) -> Shift | None:
    """Where the phase correlation of two windows (h, w) is largest, to a fraction of a pixel; None if by chance."""
    height, width = before.shape
    fade, low_pass = _fade_and_low_pass(height, width)
    earlier, later = (np.fft.rfft2((each - each.mean()) * fade) for each in (before, after))
    cross = earlier.conj() * later
    strength = np.abs(cross)
    if not strength.any():
        return None
    phase = cross / np.maximum(strength, strength.max() * 1e-12)
    surface = np.fft.irfft2(phase * low_pass, s=(height, width))
    near = surface.copy()
    near[height // FARTHEST + 1 : -(height // FARTHEST)] = -np.inf
    near[:, width // FARTHEST + 1 : -(width // FARTHEST)] = -np.inf
    row, column = np.unravel_index(near.argmax(), near.shape)
    if surface[row, column] < CLEAR_PEAK * surface.std():
        return None
    x = _top(surface[row, column - 1], surface[row, column], surface[row, (column + 1) % width])
    y = _top(surface[row - 1, column], surface[row, column], surface[(row + 1) % height, column])
    return Shift(_signed(column, width) + x, _signed(row, height) + y)


@lru_cache(maxsize=1)
def _fade_and_low_pass(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """What fades a window (h, w) out towards its border, and the low pass (h, w // 2 + 1) of its spectrum, float32."""
    fade = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    frequencies = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2
    return fade.astype(np.float32), np.exp(-2 * (np.pi * LOW_PASS) ** 2 * frequencies).astype(np.float32)


def _top(before: float, peak: float, after: float) -> float:
    """Where between the neighbours of its largest value a Gaussian is highest, from -0.5 to 0.5."""
    left, middle, right = np.log(np.maximum([before, peak, after], peak * 1e-3))
    curvature = left - 2 * middle + right
    return float(np.clip((left - right) / (2 * curvature), -0.5, 0.5)) if curvature < 0 else 0.0


def _signed(index: int, length: int) -> int:
    return int(index) if index <= length // 2 else int(index) - length


@dataclass(frozen=True)
class PairFigures:
    """What the checks measured, for the run record, and what the user should know of it.

    Attributes:
        metres_before: ground resolution of the earlier raster in metres per pixel; None without reference system.
        metres_after: the same of the later one.
        shift: of the later date in working pixels; None if it cannot be told.
        shift_metres: its length on the ground; None without reference system.
        shift_towards: its direction.
        light: of both dates before colours are matched; None if they have no pixels in common.
        warnings: a line each.
    """

    metres_before: float | None
    metres_after: float | None
    shift: Shift | None
    shift_metres: float | None
    shift_towards: str | None
    light: Light | None
    warnings: tuple[str, ...]


def check_pair(pair: RasterPair, sample: PairSample, is_matched: bool) -> PairFigures:
    """Look for what is doubtful about a pair.

    Args:
        pair: the pair.
        sample: windows of it as they are before colours are matched.
        is_matched: whether these will be.

    Raises:
        UnreadableRaster: a file is damaged.
    """
    grid = pair.grid
    metres_before, metres_after = _native_metres(pair)
    shift, light = find_shift(sample.windows) or find_far_shift(pair), compare_light(sample.before, sample.after)
    shift_metres = shift_towards = None
    if shift is not None:
        middle = np.array([[grid.width / 2, grid.height / 2]])
        (length,), (bearing,) = grid.measure_lines(middle, middle + np.array([[shift.x, shift.y]]))
        shift_metres = None if grid.crs is None else float(length)
        shift_towards = (IMAGE_SIDES if grid.crs is None else COMPASS)[round(bearing / 45) % 8]
    warnings = []
    if _is_one_image(pair):
        warnings.append(
            f"The earlier and the later raster are the same one, {pair.after.native.path}, so that nothing can have "
            "changed; choose the raster of the later date."
        )
    if grid.crs is None:
        warnings.append("Neither raster has a coordinate reference system; they are compared pixel by pixel.")
    if metres_before and metres_after:
        warnings += _doubt_resolution(metres_before, metres_after, grid.metres_per_pixel)
    if shift is not None and shift.length > TOLERATED_SHIFT:
        warnings.append(_doubt_place(shift, shift_metres, shift_towards))
    if light is not None and light.differs and not is_matched:
        warnings.append(_doubt_light(light))
    return PairFigures(metres_before, metres_after, shift, shift_metres, shift_towards, light, tuple(warnings))


def _is_one_image(pair: RasterPair) -> bool:
    """Whether both dates are the same bands of the same file, links resolved."""
    before, after = ((realpath(each.native.path), each.bands) for each in (pair.before, pair.after))
    return before == after


def _native_metres(pair: RasterPair) -> tuple[float | None, float | None]:
    """Metres per own pixel of both rasters in the middle of the pair; None without reference system."""
    middle = np.array([[pair.grid.width / 2, pair.grid.height / 2]])
    natives = pair.before.native.grid, pair.after.native.grid
    if None in (each.crs for each in natives):
        return None, None
    before, after = (
        native.metres_per_pixel_at(*GridMapping(pair.grid, native).apply(middle)[0].tolist()) for native in natives
    )
    return before, after


def _doubt_resolution(before: float, after: float, working: float) -> list[str]:
    coarse, fine = max(before, after), min(before, after)
    if coarse <= TOLERATED_RESOLUTION * fine:
        return []
    consequence = f"the finer one is averaged to {working:.3g} m"
    if coarse > TOLERATED_RESOLUTION * working:
        consequence = f"what only the finer one shows may pass for change; work at {coarse:.3g} m to make them alike"
    return [f"The earlier raster has {before:.3g} m a pixel and the later one {after:.3g} m: {consequence}."]


def _doubt_place(shift: Shift, metres: float | None, towards: str) -> str:
    pixels = f"{shift.length:.1f} pixels"
    distance = pixels if metres is None else f"{metres:.2g} m ({pixels})"
    return (
        f"The later raster seems to be shifted by {distance} towards the {towards} against the earlier one, so that "
        "edges may pass for change; bring the two into register first."
    )


def _doubt_light(light: Light) -> str:
    before, after = (
        f"brightness {np.mean(means):.0f}, contrast {np.mean(deviations):.0f}"
        for means, deviations in (
            (light.means_before, light.deviations_before),
            (light.means_after, light.deviations_after),
        )
    )
    return (
        f"The light of the two dates is very different ({before} before; {after} after, on a scale to 255), which may "
        "pass for change unless colours are matched."
    )
