# SPDX-License-Identifier: GPL-2.0-or-later
"""Detectors measured tile by tile, merged, over whole images."""

from functools import partial
from pathlib import Path

from torch import nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.evaluation.images import ImageReader
from model_runner.evaluation.measured import Measured
from model_runner.evaluation.objects import ObjectTally, Truth
from model_runner.features import write_vector
from model_runner.inference.computing import Computer
from model_runner.inference.detecting import find_objects
from model_runner.inference.detections import DetectionCollector
from model_runner.report import Report
from model_runner.reports.examples import Gallery
from model_runner.training.datasets.objects import ObjectDataset

LOWEST_SCORE = 0.05
LAYER = "outcomes.gpkg"
MAIN = ("mAP50", "mAP75", "F1", "best threshold")


def measure_objects(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, folder: Path, report: Report
) -> Measured:
    """Mean average precision, and of each class; every image is looked at without change of its resolution.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    lowest, shown = thresholds(request, card)
    reader = ImageReader(card, request.bands)
    samples = ObjectDataset(Path(request.data), request.split, card.class_names, pixels=reader.pixels)
    tally = ObjectTally(card, request.iou, shown, Gallery())
    for number, path in enumerate(samples.paths):
        report.check_cancelled()
        report.progress("images", number, len(samples))
        collector = collector_of(request, card)
        with reader.open(path) as source:
            found, _ = find_objects(source, network, card, computer, request.tiling, collector, Report())
        truth = Truth(*samples.labelled_objects(number))
        errors = tally.add(path.name, found, truth, source.grid)
        tally.offer(path.name, partial(reader.picture, path), found, truth, errors)
    report.progress("images", len(samples), len(samples))
    return measured_objects(tally, lowest, folder)


def thresholds(request: EvaluateRequest, card: ModelCard) -> tuple[float, float]:
    """The smallest score that counts, and that from which detections are shown."""
    return (LOWEST_SCORE, card.threshold) if request.threshold is None else (request.threshold,) * 2


def collector_of(request: EvaluateRequest, card: ModelCard) -> DetectionCollector:
    """What takes the detections that count."""
    return DetectionCollector(
        thresholds(request, card)[0], card.merge_iou if request.nms_iou is None else request.nms_iou
    )


def measured_objects(tally: ObjectTally, lowest: float, folder: Path) -> Measured:
    """What a tally found out, its layer written."""
    write_vector(folder / LAYER, tally.outcomes(), "outcomes")
    figures = tally.figures()
    return Measured({**figures, "threshold": lowest}, MAIN, tally.sections(figures), {"outcomes": LAYER})
