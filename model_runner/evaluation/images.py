# SPDX-License-Identifier: GPL-2.0-or-later
"""The images of a dataset as users see them: through the tiles, the blending and the decisions of the tasks."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import Tiling
from model_runner.inference.changing import find_changes, likely_changes
from model_runner.inference.computing import Computer
from model_runner.inference.placing import WorkingPixels
from model_runner.inference.segmenting import find_classes, likeliest_classes
from model_runner.raster.pair import RasterPair
from model_runner.raster.source import RasterSource, open_source
from model_runner.report import Report
from model_runner.reports.pictures import IGNORED
from model_runner.training.datasets.images import Pixels, read_image
from model_runner.training.pixel_statistics import pixels_of

CARDS_TILING = Tiling()  # as the model's card says


class MapFinder(NamedTuple):
    """How a model labels pixels.

    Attributes:
        find: gives the probabilities of the open images of a place to what takes them.
        decide: from probabilities (C, h, w) to class numbers and what is told of them (h, w).
    """

    find: Callable[[list[RasterSource], WorkingPixels], None]
    decide: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def finds_classes(
    network: nn.Module, card: ModelCard, computer: Computer, tiling: Tiling = CARDS_TILING, flips: bool = False
) -> MapFinder:
    """A segmentation model, with the user's wishes for tiles and mirrored views."""

    def find(images: list[RasterSource], pixels: WorkingPixels) -> None:
        (image,) = images
        find_classes(image, network, card, computer, tiling, flips, pixels.take, pixels.margin, Report())

    return MapFinder(find, likeliest_classes)


def finds_changes(
    network: nn.Module,
    card: ModelCard,
    computer: Computer,
    threshold: float,
    tiling: Tiling = CARDS_TILING,
    flips: bool = False,
) -> MapFinder:
    """A change model, the smallest probability that counts, and the user's wishes for tiles and mirrored views."""

    def find(images: list[RasterSource], pixels: WorkingPixels) -> None:
        pair = RasterPair(*images)  # pixel by pixel, as the labels are
        find_changes(pair, network, card, computer, tiling, flips, pixels.take, pixels.margin, Report())

    return MapFinder(find, partial(likely_changes, threshold))


@dataclass(frozen=True)
class ImageReader:
    """Reads images for a model, their bands stretched as its card says.

    Attributes:
        card: of the model.
        bands: numbers of those that the user chose, first is 1; empty for the first ones.
    """

    card: ModelCard
    bands: tuple[int, ...] = ()

    @property
    def pixels(self) -> Pixels:
        """How a dataset reads them."""
        return pixels_of(self.card, self.bands)

    def open(self, path: Path) -> AbstractContextManager[RasterSource]:
        """An image, to look at tile by tile."""
        return open_source(
            str(path), band_count=len(self.card.bands), bands=self.bands, limits=self.card.stretch_limits
        )

    def picture(self, path: Path) -> np.ndarray:
        """The first three bands that the model sees, uint8 (h, w, 3); of fewer bands the first one in grey."""
        bands = read_image(path, self.pixels).permute(1, 2, 0).numpy()
        return bands[..., :3] if bands.shape[2] >= 3 else bands[..., :1].repeat(3, axis=2)


def map_of(paths: tuple[Path, ...], reader: ImageReader, finder: MapFinder) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers uint8 (h, w) of a place, and which pixels have data; the others have no class."""
    with ExitStack() as opened:
        images = [opened.enter_context(reader.open(path)) for path in paths]
        shape = images[0].grid.height, images[0].grid.width
        numbers, has_data = np.full(shape, IGNORED, np.uint8), np.zeros(shape, bool)

        def take(x: int, y: int, probabilities: np.ndarray, valid: np.ndarray) -> None:
            window = np.s_[y : y + valid.shape[0], x : x + valid.shape[1]]
            numbers[window] = np.where(valid, finder.decide(probabilities)[0], IGNORED)
            has_data[window] = valid

        finder.find(images, WorkingPixels(take))
    return numbers, has_data
