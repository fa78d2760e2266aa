# SPDX-License-Identifier: GPL-2.0-or-later
"""Scene classifiers measured on whole images, of which the network sees the middle."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.inference.computing import Computer
from model_runner.inference.prepare import prepare
from model_runner.metrics.confusion import agreement, confusion_matrix
from model_runner.metrics.ranking import top_accuracy
from model_runner.raster.source import TileInput
from model_runner.report import Report
from model_runner.tasks.evaluate.confusion import class_figures, confusion_table
from model_runner.training.datasets.scenes import MiddlesOfScenes, SceneDataset
from model_runner.training.pixel_statistics import pixels_of
from model_runner.training.recipes import find_recipe


@torch.inference_mode()
def measure_scenes(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, report: Report
) -> dict[str, Any]:
    """How often the right class is the likeliest, and how the classes are mistaken for each other.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    labelled = SceneDataset(Path(request.data), request.split, card.class_names, pixels_of(card))
    samples = MiddlesOfScenes(labelled, find_recipe(request.task, card.network).sample_side(card.tile_size))
    logits = []
    for first in range(0, len(samples), computer.batch_size):
        report.check_cancelled()
        report.progress("images", first, len(samples))
        batch = [
            samples[number].image.numpy() for number in range(first, min(first + computer.batch_size, len(samples)))
        ]
        images = prepare([TileInput(image, np.ones(image.shape[1:], bool)) for image in batch], card, computer.device)
        with torch.autocast(computer.device.type, computer.precision, computer.precision is not torch.float32):
            logits.append(network(images).float().cpu())
    report.progress("images", len(samples), len(samples))

    scores, labels = torch.cat(logits), torch.tensor(labelled.labels)
    confusion = confusion_matrix(scores.argmax(1), labels, len(card.classes))
    figures = agreement(confusion)
    return {
        "images": len(samples),
        "top-1": top_accuracy(scores, labels, 1),
        "top-5": top_accuracy(scores, labels, 5),
        "kappa": figures.kappa,
        "classes": class_figures(card.class_names, figures, confusion, "images"),
        "confusion": confusion_table(card.class_names, confusion),
    }
