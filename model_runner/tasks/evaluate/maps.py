# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks that label each pixel, measured over whole images: tile by tile where these are larger than a tile."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.evaluation.images import ImageReader, MapFinder, finds_changes, finds_classes, map_of
from model_runner.evaluation.maps import MapTally, segmentation_totals, write_outcomes
from model_runner.evaluation.measured import Measured
from model_runner.evaluation.reference import background_of
from model_runner.inference.computing import Computer
from model_runner.metrics.confusion import agreement
from model_runner.report import Report
from model_runner.reports.examples import Gallery
from model_runner.tasks.evaluate.confusion import class_figures, confusion_table
from model_runner.training.datasets.maps import IGNORED, MapDataset, open_masks, open_pairs
from model_runner.training.recipes.change import change_figures

OUTCOMES_FOLDER = "outcomes"


def measure_segmentation(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, folder: Path, report: Report
) -> Measured:
    """The mean IoU, and how the classes are mistaken for each other.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    reader = ImageReader(card, request.bands)
    samples = open_masks(Path(request.data), request.split, card.class_names, reader.pixels)
    tally = MapTally(card, background_of(request, card), Gallery())
    finder = finds_classes(network, card, computer, request.tiling, request.flips)
    _look_at_all(samples, finder, reader, tally, folder, report)
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
    reader = ImageReader(card, request.bands)
    samples = open_pairs(Path(request.data), request.split, reader.pixels)
    tally = MapTally(card, card.background, Gallery())
    finder = finds_changes(network, card, computer, threshold, request.tiling, request.flips)
    _look_at_all(samples, finder, reader, tally, folder, report)
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


def _look_at_all(
    samples: MapDataset, finder: MapFinder, reader: ImageReader, tally: MapTally, folder: Path, report: Report
) -> None:
    """Tally all images and write their outcomes; pixels without data, for which users get no class, do not count."""
    (folder / OUTCOMES_FOLDER).mkdir()
    for number, paths in enumerate(samples.paths):
        report.check_cancelled()
        report.progress("images", number, len(samples))
        found, has_data = map_of(paths, reader, finder)
        labels = samples.read_labels(number).where(torch.from_numpy(has_data), IGNORED)
        outcomes = tally.add(paths[0].name, torch.from_numpy(found), labels, partial(_pictures, reader, paths))
        with reader.open(paths[0]) as source:
            write_outcomes(folder / OUTCOMES_FOLDER / f"{paths[0].stem}.tif", source.grid, outcomes, report)
    report.progress("images", len(samples), len(samples))


def _pictures(reader: ImageReader, paths: tuple[Path, ...]) -> list[np.ndarray]:
    return [reader.picture(path) for path in paths]
