# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks that label each pixel, measured over whole images: tile by tile where these are larger than a tile."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.evaluation.maps import MapTally, segmentation_totals, write_outcomes
from model_runner.evaluation.measured import Measured
from model_runner.inference.computing import Computer
from model_runner.inference.prepare import prepare
from model_runner.metrics.confusion import agreement
from model_runner.raster.source import open_source
from model_runner.raster.tiling import plan_tiles
from model_runner.report import Report
from model_runner.reports.examples import Gallery
from model_runner.tasks.evaluate.confusion import class_figures, confusion_table
from model_runner.tasks.evaluate.objects import picture
from model_runner.training.datasets.maps import MapDataset, open_masks, open_pairs
from model_runner.training.pixel_statistics import pixels_of
from model_runner.training.recipes.change import change_figures, change_probability

OUTCOMES_FOLDER = "outcomes"
UNCHANGED = 0


def measure_segmentation(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, folder: Path, report: Report
) -> Measured:
    """The mean IoU, and how the classes are mistaken for each other.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """

    def predict(images: list[Tensor]) -> Tensor:
        return network(*images)[0].argmax(0)

    samples = open_masks(Path(request.data), request.split, card.class_names, pixels_of(card))
    tally = MapTally(card, None, Gallery())
    _look_at_all(samples, predict, card, computer, tally, folder, report)
    return measured_segmentation(tally, card, {"images": len(samples)}, {"outcomes": OUTCOMES_FOLDER})


def measure_change(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, folder: Path, report: Report
) -> Measured:
    """How well changed pixels are found.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    threshold = card.threshold if request.threshold is None else request.threshold

    def predict(images: list[Tensor]) -> Tensor:
        return change_probability(network(*images))[0] >= threshold

    samples = open_pairs(Path(request.data), request.split, pixels_of(card))
    tally = MapTally(card, UNCHANGED, Gallery())
    _look_at_all(samples, predict, card, computer, tally, folder, report)
    facts = {"images": len(samples), "threshold": threshold}
    return measured_change(tally, card, facts, {"outcomes": OUTCOMES_FOLDER})


def measured_segmentation(tally: MapTally, card: ModelCard, facts: dict[str, Any], files: dict[str, str]) -> Measured:
    """What a tally of a segmentation found out."""
    found = agreement(tally.confusion)
    figures = {
        **facts,
        **segmentation_totals(found),
        "classes": class_figures(card.class_names, found, tally.confusion, "pixels"),
        "confusion": confusion_table(card.class_names, tally.confusion),
    }
    return Measured(figures, ("mIoU", "mF1", "accuracy", "kappa"), tally.sections(), files)


def measured_change(tally: MapTally, card: ModelCard, facts: dict[str, Any], files: dict[str, str]) -> Measured:
    """What a tally of changes found out."""
    figures = {
        **facts,
        **change_figures(agreement(tally.confusion)),
        "confusion": confusion_table(card.class_names, tally.confusion),
    }
    return Measured(figures, ("F1", "IoU", "kappa"), tally.sections(), files)


@torch.inference_mode()
def _look_at_all(
    samples: MapDataset,
    predict: Callable[[list[Tensor]], Tensor],
    card: ModelCard,
    computer: Computer,
    tally: MapTally,
    folder: Path,
    report: Report,
) -> None:
    """Tally all images and write their outcomes; ``predict`` gives class numbers (h, w) for the dates of a tile."""
    (folder / OUTCOMES_FOLDER).mkdir()
    for number, paths in enumerate(samples.paths):
        report.check_cancelled()
        report.progress("images", number, len(samples))
        with torch.autocast(computer.device.type, computer.precision, computer.precision is not torch.float32):
            found = _whole_map(paths, predict, card, computer)
        outcomes = tally.add(paths[0].name, found, samples.read_labels(number), partial(_pictures, paths))
        with open_source(str(paths[0]), band_count=len(card.bands)) as source:
            write_outcomes(folder / OUTCOMES_FOLDER / f"{paths[0].stem}.tif", source.grid, outcomes)
    report.progress("images", len(samples), len(samples))


def _pictures(paths: tuple[Path, ...]) -> list[np.ndarray]:
    return [picture(path) for path in paths]


def _whole_map(
    paths: tuple[Path, ...], predict: Callable[[list[Tensor]], Tensor], card: ModelCard, computer: Computer
) -> Tensor:
    """Class numbers uint8 (h, w) of an image; in the overlap of tiles each has the half that is nearer to it."""
    with ExitStack() as opened:
        dates = [
            opened.enter_context(open_source(str(path), band_count=len(card.bands), limits=card.stretch_limits))
            for path in paths
        ]
        width, height = dates[0].grid.width, dates[0].grid.height
        whole = torch.empty(height, width, dtype=torch.uint8)
        overlap = min(card.overlap, card.tile_size // 2)
        for tile in plan_tiles(width, height, card.tile_size, overlap):
            tile = replace(tile, width=min(tile.width, width), height=min(tile.height, height))
            found = predict([prepare([date.read(tile)], card, computer.device) for date in dates])
            left, top = overlap // 2 * tile.inner_left, overlap // 2 * tile.inner_top
            part = found[top : tile.height, left : tile.width]
            whole[tile.y + top : tile.y + tile.height, tile.x + left : tile.x + tile.width] = part.cpu()
    return whole
