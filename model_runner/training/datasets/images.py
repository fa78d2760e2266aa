# SPDX-License-Identifier: GPL-2.0-or-later
"""The images of a dataset: where they lie, and their pixels."""

import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window
from torch import Tensor

from model_runner.errors import InputError, UnreadableRaster
from model_runner.raster.bands import COLOUR_BANDS, BandChoice, choose_bands
from model_runner.raster.georeference import native_grid
from model_runner.raster.handles import reading
from model_runner.raster.pixels import read_pixels
from model_runner.raster.stretch import Stretch

IMAGE_SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg"}
PNG_END, PNG_TAIL = b"IEND", 1024  # what a PNG ends with, and how near to the end it is


def find_images(folder: Path) -> list[Path]:
    """The images of a folder, sorted.

    Raises:
        InputError: there are none.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise InputError(f"There are no images in {folder}; expected {', '.join(sorted(IMAGE_SUFFIXES))}.")
    return sorted(found, key=lambda path: (path.stem, path.suffix))


def find_named_images(folder: Path, layout: str) -> list[Path]:
    """The images of a folder, sorted; no two of the same name, which would share their labels.

    Args:
        folder: holds the images.
        layout: which folders a dataset has, for the message.

    Raises:
        InputError: there is no such folder, it holds no images, or two have the same name.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; a dataset has {layout} in it or in each split.")
    paths = find_images(folder)
    for path, following in pairwise(paths):
        if path.stem == following.stem:
            raise InputError(f"{path} and {following.name} would share one label file; rename one of them.")
    return paths


def ground_resolution(image_path: Path) -> float | None:
    """True metres per pixel at the centre of an image; None where it has no georeference.

    Raises:
        UnreadableRaster: the file is missing, damaged or no image.
    """
    with reading(str(image_path)), opened(image_path) as raster:
        return native_grid(raster)[0].metres_per_pixel


@dataclass(frozen=True)
class Pixels:
    """Which bands of images are seen, and how they come to 8 bits.

    Attributes:
        numbers: of the bands, first is 1; empty takes the first ones that are no alpha channel.
        count: how many bands there are to be; a single grey one is shown three times where three are wanted.
        stretch: of bands that are not of 8 bits; None refuses such images.
    """

    numbers: tuple[int, ...] = ()
    count: int = COLOUR_BANDS
    stretch: Stretch | None = None


COLOURS = Pixels()
FIRST_BAND = Pixels(count=1, stretch=Stretch((0.0,), (255.0,)))  # for a look at which images there are


def read_image(path: Path, pixels: Pixels = COLOURS) -> Tensor:
    """Pixels uint8 (bands, H, W): alpha dropped, grey repeated, palettes expanded, stretched as at inference.

    Raises:
        InputError: there are no such bands, or they are not of 8 bits and there is no stretch.
        UnreadableRaster: the file is missing, damaged or no image.
    """
    _refuse_truncated(path)
    with reading(str(path)), opened(path) as raster:
        choice = _bands(raster, path, pixels)
        values, valid = read_pixels(raster, choice, Window(0, 0, raster.width, raster.height))
    if values.dtype != np.uint8:
        values = (pixels.stretch.apply(values) * valid).round().astype(np.uint8)
    return torch.from_numpy(values)


def image_size(path: Path, pixels: Pixels = COLOURS) -> tuple[int, int]:
    """Height and width of an image that ``read_image`` can read; the pixels stay unread.

    Raises:
        InputError: there are no such bands, or they are not of 8 bits and there is no stretch.
        UnreadableRaster: the file is missing, damaged or no image.
    """
    with reading(str(path)), opened(path) as raster:
        _bands(raster, path, pixels)
        return raster.height, raster.width


def opened(path: Path) -> rasterio.DatasetReader:
    """An image that need not have a georeference, opened for reading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path)


def _bands(raster: rasterio.DatasetReader, path: Path, pixels: Pixels) -> BandChoice:
    choice = choose_bands(raster, pixels.numbers, pixels.count)
    kinds = {raster.dtypes[number - 1] for number in choice.numbers}
    if kinds != {"uint8"} and pixels.stretch is None:
        raise InputError(
            f"{path} holds {', '.join(sorted(kinds))} pixels; stretch and convert the training images to 8 bits first."
        )
    return choice


def _refuse_truncated(path: Path) -> None:
    """GDAL takes what is missing at the end of a PNG for black."""
    if path.suffix.lower() == ".png" and path.is_file():
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - PNG_TAIL))
            if PNG_END not in file.read():
                raise UnreadableRaster(f"The raster {path} cannot be read: its end is missing.")
