# SPDX-License-Identifier: GPL-2.0-or-later
"""Scene classifiers measured on whole images, of which the network sees the middle."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.evaluation.images import ImageReader
from model_runner.evaluation.measured import Measured
from model_runner.evaluation.scenes import SceneTally
from model_runner.inference.computing import Computer
from model_runner.inference.prepare import prepare_mirrored
from model_runner.inference.scenes import scene_probabilities
from model_runner.metrics.confusion import agreement
from model_runner.raster.scenes import seen_side
from model_runner.raster.source import TileInput
from model_runner.report import Report
from model_runner.reports.examples import Gallery
from model_runner.tasks.evaluate.confusion import class_figures, confusion_table
from model_runner.training.datasets.scenes import MiddlesOfScenes, SceneDataset

MAIN = ("top-1", "top-5", "kappa")


@torch.inference_mode()
def measure_scenes(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, folder: Path, report: Report
) -> Measured:
    """How often the right class is the likeliest, and how the classes are mistaken for each other.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    reader = ImageReader(card, request.bands)
    labelled = SceneDataset(Path(request.data), request.split, card.class_names, reader.pixels)
    samples = MiddlesOfScenes(labelled, seen_side(card.tile_size))
    tally = SceneTally(card, Gallery())
    for first in range(0, len(samples), computer.batch_size):
        report.check_cancelled()
        report.progress("images", first, len(samples))
        numbers = range(first, min(first + computer.batch_size, len(samples)))
        seen = [samples[number].image.numpy() for number in numbers]
        batch = [TileInput(image, np.ones(image.shape[1:], bool)) for image in seen]
        images = prepare_mirrored(batch, card, computer.device)
        found = scene_probabilities(network, images, computer, request.flips).cpu()
        for number, probabilities in zip(numbers, found, strict=True):
            path = labelled.paths[number]
            name = f"{path.parent.name}/{path.name}"
            tally.add(name, probabilities, labelled.labels[number], partial(reader.picture, path))
    report.progress("images", len(samples), len(samples))
    return measured_scenes(tally, card, {})


def measured_scenes(tally: SceneTally, card: ModelCard, files: dict[str, str]) -> Measured:
    """What a tally found out."""
    confusion = tally.confusion
    figures = {
        **tally.totals(),
        "classes": class_figures(card.class_names, agreement(confusion), confusion, "images"),
        "confusion": confusion_table(card.class_names, confusion),
    }
    return Measured(figures, MAIN, tally.sections(), files)
