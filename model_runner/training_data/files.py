# SPDX-License-Identifier: GPL-2.0-or-later
"""Chips and their labels as GeoTIFFs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

from model_runner.raster.bands import COLOUR_NAMES
from model_runner.raster.geotiff import georeference, saying_what_cannot_be_written
from model_runner.raster.working_grid import WorkingGrid
from model_runner.training_data.chips import Chip

COMPRESSED = {"driver": "GTiff", "compress": "deflate", "dtype": "uint8"}


def chip_grid(grid: WorkingGrid, chip: Chip) -> WorkingGrid:
    """The grid of a chip's own pixels."""
    scale = Affine.scale(chip.width / chip.side, chip.height / chip.side)
    return WorkingGrid(chip.side, chip.side, grid.to_ground @ Affine.translation(chip.x, chip.y) @ scale, grid.crs)


def write_image(path: Path, pixels: np.ndarray, valid: np.ndarray, grid: WorkingGrid, bands: Sequence[str]) -> None:
    """Write pixels uint8 (C, h, w), with a mask within the file where some are not ``valid`` (h, w).

    ``bands`` are their names, which a model that learns from them will have in its card.

    Raises:
        InputError: the file cannot be written.
    """
    count, height, width = pixels.shape
    with (
        _writing(path),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", count=count, height=height, width=width, **georeference(grid), predictor=2, **COMPRESSED
        ) as image,
    ):
        if count > 3:  # GDAL would take the fourth for opacity
            image.colorinterp = [*image.colorinterp[:3], *[ColorInterp.undefined] * (count - 3)]
        if tuple(bands) != COLOUR_NAMES:
            image.descriptions = bands
        image.write(pixels)
        if not valid.all():
            image.write_mask(valid)


def write_map(path: Path, values: np.ndarray, grid: WorkingGrid, colours: Sequence[str]) -> None:
    """Write labels uint8 (h, w); ``colours`` (#rrggbb) are those in which viewers show the values from 0 on.

    Raises:
        InputError: the file cannot be written.
    """
    height, width = values.shape
    with (
        _writing(path),
        rasterio.open(path, "w", count=1, height=height, width=width, **georeference(grid), **COMPRESSED) as labels,
    ):
        if colours:
            palette = {number: (*bytes.fromhex(colour[1:]), 255) for number, colour in enumerate(colours)}
            labels.write_colormap(1, palette)
        labels.write(values, 1)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8.

    Raises:
        InputError: the file cannot be written.
    """
    with _writing(path):
        path.write_text(text, encoding="utf-8")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Make the folder of a file, and turn what goes wrong into one line with its name."""
    with saying_what_cannot_be_written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
