# SPDX-License-Identifier: GPL-2.0-or-later
"""Windows of a dataset: values, and which pixels have data."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from rasterio import DatasetReader
from rasterio.enums import MaskFlags
from rasterio.errors import NodataShadowWarning
from rasterio.windows import Window

from model_runner.raster.bands import BandChoice

GLANCE = 128  # side, in pixels, of the thinned-out mask that often suffices to see that there is data
SEARCH = 2048  # side, in pixels, of the windows in which a mask is searched otherwise

warnings.filterwarnings("ignore", category=NodataShadowWarning)  # that an alpha channel is left out, which is not so


def read_pixels(dataset: DatasetReader, choice: BandChoice, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Values (C, h, w) of the chosen bands, a palette expanded, and which pixels (h, w) have data.

    A pixel has none where the file says so: where its mask or its alpha channel is 0, or where *all* chosen bands
    have their nodata value (black in one band alone is a colour); of a nodata value that no measurement has, such as
    -9999, *one* band suffices. Neither has one that is not a finite number in any chosen band, or transparent in the
    palette. Values without data are 0.
    """
    values = _read_bands(dataset, choice.numbers, window)
    valid = read_valid(dataset, choice, window)
    if choice.palette is not None:
        colours = np.moveaxis(choice.palette[values[0]], -1, 0)
        values = np.ascontiguousarray(colours[:3])
        valid &= colours[3] > 0
    elif values.dtype.kind == "f":
        valid &= np.isfinite(values).all(axis=0)
    if not valid.all():
        values[:, ~valid] = 0
    return values, valid


def _read_bands(dataset: DatasetReader, numbers: Sequence[int], window: Window) -> np.ndarray:
    """Values (C, h, w) in a type that holds those of all bands."""
    if len({dataset.dtypes[number - 1] for number in numbers}) == 1:
        return dataset.read(numbers, window=window)
    return np.stack([dataset.read(number, window=window) for number in numbers])


def read_valid(
    dataset: DatasetReader, choice: BandChoice, window: Window, shape: tuple[int, int] | None = None
) -> np.ndarray:
    """Which pixels (h, w) of a window have data by the file's masks; thinned out to ``shape`` if that is given."""
    shape = shape or (int(window.height), int(window.width))
    needed = _bands_needed(dataset, choice)
    if _is_all_valid(dataset, choice, needed):
        return np.ones(shape, dtype=bool)
    numbers = sorted(set(choice.numbers))
    valid = needed(dataset.read_masks(numbers, window=window, out_shape=(len(numbers), *shape)), axis=0)
    if _is_alpha_apart(dataset, choice):
        valid &= dataset.read(choice.alpha, window=window, out_shape=shape) > 0
    return valid


def has_valid(dataset: DatasetReader, choice: BandChoice, window: Window) -> bool:
    """Whether any pixel of a window has data by the file's masks.

    A glance at few of the pixels says yes most of the time; no is said after a look at all of them.
    """
    if _is_all_valid(dataset, choice, _bands_needed(dataset, choice)):
        return True
    glance = (min(GLANCE, int(window.height)), min(GLANCE, int(window.width)))
    if read_valid(dataset, choice, window, glance).any():
        return True
    return any(read_valid(dataset, choice, part).any() for part in split_window(window, SEARCH))


def split_window(window: Window, side: int) -> list[Window]:
    """A window in parts of at most ``side`` x ``side`` pixels."""
    right, bottom = window.col_off + window.width, window.row_off + window.height
    return [
        Window(column, row, min(side, right - column), min(side, bottom - row))
        for row in range(window.row_off, bottom, side)
        for column in range(window.col_off, right, side)
    ]


def _is_all_valid(dataset: DatasetReader, choice: BandChoice, needed: Callable) -> bool:
    by_band = [MaskFlags.all_valid in dataset.mask_flag_enums[number - 1] for number in choice.numbers]
    return bool(needed(by_band)) and not _is_alpha_apart(dataset, choice)


def _is_alpha_apart(dataset: DatasetReader, choice: BandChoice) -> bool:
    """Whether there is an opacity that GDAL's masks leave out, as they do beside nodata values and but for RGBA."""
    if choice.alpha is None:
        return False
    return not any(MaskFlags.alpha in dataset.mask_flag_enums[number - 1] for number in choice.numbers)


def _bands_needed(dataset: DatasetReader, choice: BandChoice) -> Callable:
    """Which bands must have data for a pixel to have some: ``np.any`` or, by nodata values that are no colours, all.

    Colours are those of 8 bits, and 0.
    """
    told_by_each = any(
        dataset.nodatavals[number - 1] not in (None, 0) and dataset.dtypes[number - 1] != "uint8"
        for number in choice.numbers
    )
    return np.all if told_by_each else np.any
