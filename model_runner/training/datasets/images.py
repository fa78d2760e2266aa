# SPDX-License-Identifier: GPL-2.0-or-later
"""The images of a dataset: where they lie, and their pixels."""

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import rasterio
import torch
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window
from torch import Tensor

from model_runner.errors import InputError, UnreadableRaster
from model_runner.raster.bands import COLOUR_BANDS, BandChoice, choose_bands
from model_runner.raster.georeference import native_grid
from model_runner.raster.handles import reading
from model_runner.raster.pixels import read_pixels
from model_runner.raster.stretch import Stretch
from model_runner.training.datasets.findings import Finding, Tell

TIFF_SUFFIXES = {".tif", ".tiff"}
IMAGE_SUFFIXES = {*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg"}
GLANCE = 16  # rows
ENDINGS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
TAIL = 1024  # bytes; programs append this and that to images


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
    refuse_cut_off(path)
    with reading(str(path)), opened_for_pixels(path) as raster:
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
    with reading(str(path)), opened_for_pixels(path) as raster:
        _bands(raster, path, pixels)
        return raster.height, raster.width


def longest_side(paths: Iterable[Path], pixels: Pixels = COLOURS) -> int:
    """The longest side, in pixels, of those images that can be read; 0 if none can.

    Raises:
        InputError: as ``image_size``.
    """
    longest = 0
    for path in paths:
        with suppress(UnreadableRaster):
            longest = max(longest, *image_size(path, pixels))
    return longest


def shorter_side(paths: Sequence[Path]) -> float:
    """The shorter side, in pixels, that images have in the middle of all sizes; of those that can be read.

    Raises:
        InputError: none can be read.
    """
    sides = []
    for path in paths:
        with suppress(UnreadableRaster), reading(str(path)), opened_for_pixels(path) as raster:
            sides.append(min(raster.width, raster.height))
    if not sides:
        raise InputError(f"None of the {len(paths)} training images can be read.")
    return median(sides)


class Glance(NamedTuple):
    """What a look at little more than its header tells of an image.

    Attributes:
        size: height and width in pixels.
        unused_bands: how many bands beyond those that are read there are, alpha not counted; 0 where the user chose.
        digest: of the size and the first rows; images of other digests differ.
    """

    size: tuple[int, int]
    unused_bands: int
    digest: bytes


def glance_at(path: Path, pixels: Pixels = COLOURS) -> Glance:
    """Look at an image that ``read_image`` can read, without reading all of it; deep pixels need no stretch for that.

    Raises:
        InputError: the bands do not fit.
        UnreadableRaster: the file is missing, damaged or cut off, or no image.
    """
    refuse_cut_off(path)
    with reading(str(path)), opened(path) as raster:
        choice = choose_bands(raster, pixels.numbers, pixels.count)
        if raster.driver == "GTiff":
            read_pixels(raster, choice, Window(0, raster.height - 1, raster.width, 1))
        bands = sum(meaning is not ColorInterp.alpha for meaning in raster.colorinterp)
        unused = 0 if pixels.numbers else bands - len(set(choice.numbers))
        size = raster.height, raster.width
        first_rows = Window(0, 0, raster.width, min(GLANCE, raster.height))
        return Glance(size, unused, _digest(size, read_pixels(raster, choice, first_rows)[0]))


def digest_of(path: Path, pixels: Pixels = COLOURS) -> bytes:
    """A hash of all pixels of the bands that are seen, the same for the same image in another format.

    Raises:
        InputError: the bands do not fit.
        UnreadableRaster: the file is missing, damaged or no image.
    """
    values = _all_values(path, pixels)
    return _digest(values.shape[1:], values)


def is_blank(path: Path, pixels: Pixels = COLOURS) -> bool:
    """Whether each of the bands that are seen has one value throughout, as beyond the border of a mosaic.

    Raises:
        As ``digest_of``.
    """
    values = _all_values(path, pixels)
    return bool((values == values[:, :1, :1]).all())


def _all_values(path: Path, pixels: Pixels) -> np.ndarray:
    refuse_cut_off(path)
    with reading(str(path)), opened(path) as raster:
        whole = Window(0, 0, raster.width, raster.height)
        return read_pixels(raster, choose_bands(raster, pixels.numbers, pixels.count), whole)[0]


def _digest(size: tuple[int, int], pixels: np.ndarray) -> bytes:
    return hashlib.blake2b(repr(size).encode() + np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()


def refuse_cut_off(path: Path) -> None:
    """Look at the end of a PNG or JPEG, which libraries may read without complaint where the rest is missing.

    Raises:
        UnreadableRaster: the file does not end as it should, and cannot be read without it.
    """
    ending = ENDINGS.get(path.suffix.lower())
    with reading(str(path)), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        if ending is None or ending in file.read():
            return
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableRaster(f"The raster {path} cannot be read: {error}; its end is missing.") from error


def opened(path: Path, **options: str) -> rasterio.DatasetReader:
    """An image that need not have a georeference, opened for reading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, **options)


def opened_for_pixels(path: Path) -> rasterio.DatasetReader:
    """The same, whatever georeference it has: to look for that takes as long as to read a small image."""
    is_tiff = path.suffix.lower() in TIFF_SUFFIXES
    return opened(path, **({"GEOREF_SOURCES": "NONE"} if is_tiff else {}))


def _bands(raster: rasterio.DatasetReader, path: Path, pixels: Pixels) -> BandChoice:
    choice = choose_bands(raster, pixels.numbers, pixels.count)
    kinds = {raster.dtypes[number - 1] for number in choice.numbers}
    if kinds != {"uint8"} and pixels.stretch is None:
        raise InputError(
            f"{path} holds {', '.join(sorted(kinds))} pixels; stretch and convert the training images to 8 bits first."
        )
    return choice
