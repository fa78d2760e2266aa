# SPDX-License-Identifier: GPL-2.0-or-later
"""The kind of scene that windows of a raster, or images of a folder, show.

Each scene is brought to the side on which its model works (``ModelCard.tile_size``), and the network looks at the
middle seven eighths of it: the published test input, 224 of 256 pixels.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import ClassifyRequest
from model_runner.contract.task_requests import RasterSource as SourceRequest
from model_runner.errors import RunnerError
from model_runner.inference.computing import Computer
from model_runner.inference.engine import Throughput, run_over_tiles
from model_runner.inference.opening import known_range, knows, warn_of_unknown_scale
from model_runner.inference.prepare import prepare_mirrored
from model_runner.inference.views import mean_of_mirrored_views
from model_runner.raster.scenes import LEAST_SHARE, Scene, cell_sides, middle_square, plan_cells, scales, seen_side
from model_runner.raster.source import RasterSource, TileInput, open_source
from model_runner.raster.working_grid import WorkingGrid
from model_runner.report import Report

SCENES_FOR_A_TILE = 16  # scenes that are computed at once where another task computes one of its larger tiles
MOST_SCENES_ACROSS = 3  # that an image may have room for which is looked at as a single one

Ranking = tuple[list[int], list[float]]  # the likeliest classes of a scene and their probabilities, best first


class SceneClasses(NamedTuple):
    """Scenes by number (n,), and the likeliest classes (n, k) of each with their probabilities (n, k), best first."""

    numbers: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class ImageFile:
    """An image that is one scene; ``number`` is its place in the list."""

    number: int
    path: Path


class RasterScenes:
    """The scenes of an open raster, as the engine reads tiles.

    Args:
        source: the raster.
        side: number of pixels across and down on which a scene is read.
    """

    def __init__(self, source: RasterSource, side: int) -> None:
        self._source = source
        self._side = side

    def has_data(self, scene: Scene) -> bool:
        """Whether the scene may hold a valid pixel; False is certain."""
        return self._source.scene_has_data(scene, self._side)

    def read(self, scene: Scene) -> TileInput:
        """The scene's pixels, none of them valid if less than half are."""
        return _with_enough_data(self._source.read_scene(scene, self._side))


class ImageScenes:
    """Image files, each of which is a scene, as the engine reads tiles: the square in the middle of each.

    Args:
        request: which bands; its path is that of the folder.
        card: of the model.

    Attributes:
        grids: the images' own pixels on the ground, by the image's number.
        doubts: what the user should know of images, by the image's number.
        faults: what is wrong with images that cannot be read, by the image's number.
    """

    def __init__(self, request: SourceRequest, card: ModelCard) -> None:
        self.grids: dict[int, WorkingGrid] = {}
        self.doubts: dict[int, Sequence[str]] = {}
        self.faults: dict[int, str] = {}
        self._request = request
        self._card = card

    def has_data(self, image: ImageFile) -> bool:
        """Whether the image may hold a valid pixel: only reading tells."""
        return True

    def read(self, image: ImageFile) -> TileInput:
        """The image's pixels, none of them valid if less than half are or if it cannot be read."""
        side = self._card.tile_size
        try:
            with open_source(
                str(image.path),
                band_count=len(self._card.bands),
                bands=self._request.bands,
                band_names=self._card.bands,
                percentiles=self._card.stretch_percentiles,
                limits=self._card.stretch_limits,
            ) as source:
                self.grids[image.number] = source.grid
                is_placed = source.grid.crs is not None  # many images of a folder are not, as their user knows
                self.doubts[image.number] = source.warnings if is_placed else source.warnings_of_bands
                return _with_enough_data(source.read_scene(middle_square(source.grid), side))
        except RunnerError as error:
            self.faults[image.number] = str(error)
            return TileInput(np.zeros((len(self._card.bands), side, side), np.uint8), np.zeros((side, side), bool))


def _with_enough_data(tile: TileInput) -> TileInput:
    enough = np.count_nonzero(tile.valid) >= LEAST_SHARE * tile.valid.size
    return tile if enough else tile._replace(valid=np.zeros_like(tile.valid))


def plan_grid(request: ClassifyRequest, grid: WorkingGrid, card: ModelCard) -> list[Scene]:
    """The cells that a request means.

    Without a wish they are as large as what the model has learnt from: its tile size at the resolution that was asked
    for, or at that at which it works best. Where one of the two has no metres they measure the tile size in pixels.

    Raises:
        InputError: cells cannot be measured in metres there, or are too small or too large for the raster.
    """
    name, side = request.source.path, card.tile_size
    resolution = request.source.resolution or (card.resolution.best if card.resolution and grid.crs else None)
    metres = request.cell_size or (resolution and resolution * side)
    if request.cell_pixels or not metres:
        width = height = float(request.cell_pixels or side)
    else:
        width, height = cell_sides(grid, metres, side, name)
    return plan_cells(grid, width, height, name)


def warn_of_scale(scenes: Sequence[Scene], grid: WorkingGrid, card: ModelCard, report: Report) -> None:
    """Tell if the model sees scenes at a resolution that it does not know, or that nobody knows."""
    metres = scales(grid, scenes, card.tile_size)
    if metres is None:
        warn_of_unknown_scale(card, report)
    else:
        _warn_of_strange_scales(metres, card, report)


def _warn_of_strange_scales(metres: np.ndarray, card: ModelCard, report: Report) -> None:
    """``warn_of_scale`` of the ``scales`` (n, 2) of scenes."""
    if card.resolution is None:
        return
    known = knows(card.resolution, metres)
    strange = np.count_nonzero(~known.all(axis=1))
    if strange:
        least, most = f"{metres[~known].min():.3g}", f"{metres[~known].max():.3g}"
        span = least if least == most else f"{least} to {most}"
        report.log(
            "warning",
            f"{known_range(card)}; {strange} of {len(metres)} scenes are seen at {span} m a pixel: do not rely on "
            "their classes.",
        )


def warn_of_images(grids: Collection[WorkingGrid], card: ModelCard, report: Report) -> None:
    """Tell if images, each of which is looked at as one scene, have a scale that the model does not know.

    Images of unknown scale may be so large that they hardly show one scene: that is told too.
    """
    found = [scales(grid, [middle_square(grid)], card.tile_size) for grid in grids if grid.crs is not None]
    if found:
        _warn_of_strange_scales(np.concatenate(found), card, report)
    large = sum(min(grid.width, grid.height) > MOST_SCENES_ACROSS * card.tile_size for grid in grids)
    if large:
        report.log(
            "warning",
            f"{large} of {len(grids)} images are more than {MOST_SCENES_ACROSS} times as wide as the scenes of "
            f"{card.tile_size} pixels that the model has learnt from, and each is looked at as a single one; give such "
            "an image by itself, as a raster, to have it looked at in cells.",
        )


def classify_scenes(
    source: RasterScenes | ImageScenes,
    scenes: Sequence[Scene] | Sequence[ImageFile],
    network: torch.nn.Module,
    card: ModelCard,
    computer: Computer,
    top: int,
    flips: bool,
    report: Report,
) -> tuple[SceneClasses, Throughput]:
    """The ``top`` likeliest classes of the scenes that have data on half of their area, and what the run did.

    With ``flips`` four mirrored views of each are averaged.

    Raises:
        OutOfMemory: not even one scene fits.
        Cancelled: the user asked to stop.
    """
    collector = SceneCollector(min(top, len(card.classes)))
    predict = classifier(network, card, computer, collector.top, flips)
    throughput = run_over_tiles(source, scenes, predict, collector, computer.batch_size, report)
    return collector.finish(), throughput


def classifier(
    network: torch.nn.Module, card: ModelCard, computer: Computer, top: int, flips: bool
) -> Callable[[list[TileInput]], list[Ranking]]:
    """The function that predicts a batch of scenes, as the engine wants it."""
    return partial(_predict, network, card, computer, top, flips)


def scene_probabilities(network: torch.nn.Module, images: Tensor, computer: Computer, flips: bool) -> Tensor:
    """The probabilities (n, classes) of normalised images (n, bands, h, w), float32 on their device.

    With ``flips`` those of four mirrored views are averaged.
    """

    def predict(images: Tensor) -> Tensor:
        with computer.autocast():
            logits = network(images)
        return logits.float().softmax(1)[:, :, None, None]  # as a map of one pixel, which may be mirrored

    found = mean_of_mirrored_views(predict, images) if flips else predict(images)
    return found.flatten(1)


@torch.inference_mode()
def _predict(
    network: torch.nn.Module, card: ModelCard, computer: Computer, top: int, flips: bool, scenes: list[TileInput]
) -> list[Ranking]:
    images = prepare_mirrored([_middle(scene) for scene in scenes], card, computer.device)
    probabilities, labels = scene_probabilities(network, images, computer, flips).topk(top)
    # Plain numbers: small tensors that outlive a batch would keep the memory around them from being used again
    return list(zip(labels.tolist(), probabilities.tolist(), strict=True))


def _middle(scene: TileInput) -> TileInput:
    """What the network looks at of a scene."""
    side = scene.valid.shape[0]
    seen = seen_side(side)
    part = slice((side - seen) // 2, (side - seen) // 2 + seen)
    return TileInput(scene.pixels[:, part, part], scene.valid[part, part])


class SceneCollector:
    """Collects the classes of scenes, which may come in any order.

    Args:
        top: how many classes there are for each scene.
    """

    def __init__(self, top: int) -> None:
        self.top = top
        self._found: dict[int, Ranking] = {}

    def add(self, scene: Scene | ImageFile, pixels: TileInput, prediction: Ranking) -> None:
        """Take a scene's classes."""
        self._found[scene.number] = prediction

    def finish(self) -> SceneClasses:
        """All scenes by rising number."""
        numbers = sorted(self._found)
        labels, probabilities = (
            np.array([self._found[number][part] for number in numbers], dtype=kind).reshape(-1, self.top)
            for part, kind in ((0, np.int64), (1, np.float64))
        )
        return SceneClasses(np.array(numbers, dtype=np.int64), labels, probabilities)
