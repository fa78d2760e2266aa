# SPDX-License-Identifier: GPL-2.0-or-later
"""The images of a dataset: where they lie, and their pixels."""

import warnings
from pathlib import Path

import rasterio
import torch
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window
from torch import Tensor

from model_runner.errors import InputError
from model_runner.raster.bands import BandChoice, choose_bands
from model_runner.raster.georeference import native_grid
from model_runner.raster.handles import reading
from model_runner.raster.pixels import read_pixels
from model_runner.training.datasets.findings import Finding, Tell

IMAGE_SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg"}
COLOUR_BANDS = 3


def find_images(folder: Path) -> list[Path]:
    """The images of a folder, sorted.

    Raises:
        InputError: there are none.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise InputError(f"There are no images in {folder}; expected {', '.join(sorted(IMAGE_SUFFIXES))}.")
    return sorted(found, key=lambda path: (path.stem, path.suffix))


def find_named_images(folder: Path, layout: str, tell: Tell) -> list[Path]:
    """The images of a folder, sorted; of those that have the same name, which would share their labels, the first.

    Args:
        folder: holds the images.
        layout: which folders a dataset has, for the message.
        tell: is told of images of the same name.

    Raises:
        InputError: there is no such folder, or it holds no images.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; a dataset has {layout} in it or in each split.")
    found: dict[str, Path] = {}
    for path in find_images(folder):
        first = found.setdefault(path.stem, path)
        if first is not path:
            text = f"{first} and {path.name} would share one label file; rename one of them."
            tell(Finding("same_name", str(path), text))
    return list(found.values())


def ground_resolution(image_path: Path) -> float | None:
    """True metres per pixel at the centre of an image; None where it has no georeference.

    Raises:
        UnreadableRaster: the file is missing, damaged or no image.
    """
    with reading(str(image_path)), opened(image_path) as raster:
        return native_grid(raster)[0].metres_per_pixel


def read_image(path: Path) -> Tensor:
    """Pixels uint8 (3, H, W): alpha dropped, grey repeated, palettes expanded, as at inference.

    Raises:
        InputError: the pixels are not of 8 bits.
        UnreadableRaster: the file is missing, damaged or no image.
    """
    with reading(str(path)), opened(path) as raster:
        choice = _colours(raster, path)
        values, _ = read_pixels(raster, choice, Window(0, 0, raster.width, raster.height))
        return torch.from_numpy(values)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image that ``read_image`` can read; the pixels stay unread.

    Raises:
        InputError: the pixels are not of 8 bits.
        UnreadableRaster: the file is missing, damaged or no image.
    """
    with reading(str(path)), opened(path) as raster:
        _colours(raster, path)
        return raster.height, raster.width


def opened(path: Path) -> rasterio.DatasetReader:
    """An image that need not have a georeference, opened for reading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path)


def _colours(raster: rasterio.DatasetReader, path: Path) -> BandChoice:
    choice = choose_bands(raster, (), COLOUR_BANDS)
    kind = raster.dtypes[choice.numbers[0] - 1]
    if kind != "uint8":
        raise InputError(f"{path} holds {kind} pixels; stretch and convert the training images to 8 bits first.")
    return choice
