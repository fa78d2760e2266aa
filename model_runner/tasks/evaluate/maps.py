# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks that label each pixel, measured over whole images: tiles are blended as the tasks blend them."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest, Tiling
from model_runner.inference.changing import find_changes, likely_changes
from model_runner.inference.computing import Computer
from model_runner.inference.placing import WorkingPixels
from model_runner.inference.segmenting import find_classes, likeliest_classes
from model_runner.metrics.confusion import agreement, confusion_matrix
from model_runner.raster.pair import RasterPair
from model_runner.raster.source import RasterSource, open_source
from model_runner.report import Report
from model_runner.tasks.class_maps import Decide
from model_runner.tasks.evaluate.confusion import class_figures, confusion_table
from model_runner.training.datasets.maps import IGNORED, MapDataset, open_masks, open_pairs
from model_runner.training.recipes.change import change_figures


def measure_segmentation(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, report: Report
) -> dict[str, Any]:
    """The mean IoU, and how the classes are mistaken for each other.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """

    def find(images: list[RasterSource], pixels: WorkingPixels) -> None:
        (image,) = images
        find_classes(image, network, card, computer, Tiling(), False, pixels.take, pixels.margin, Report())

    samples = open_masks(Path(request.data), request.split, card.class_names)
    confusion = _confusion(samples, find, likeliest_classes, card, report)
    found = agreement(confusion)
    return {
        "images": len(samples),
        "mIoU": found.mean_iou,
        "mF1": found.mean_f1,
        "accuracy": found.overall_accuracy,
        "kappa": found.kappa,
        "classes": class_figures(card.class_names, found, confusion, "pixels"),
        "confusion": confusion_table(card.class_names, confusion),
    }


def measure_change(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, report: Report
) -> dict[str, Any]:
    """How well changed pixels are found.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    threshold = card.threshold if request.threshold is None else request.threshold

    def find(images: list[RasterSource], pixels: WorkingPixels) -> None:
        pair = RasterPair(*images)  # pixel by pixel, as the labels are
        find_changes(pair, network, card, computer, Tiling(), False, pixels.take, pixels.margin, Report())

    samples = open_pairs(Path(request.data), request.split)
    confusion = _confusion(samples, find, partial(likely_changes, threshold), card, report)
    return {
        "images": len(samples),
        "threshold": threshold,
        **change_figures(agreement(confusion)),
        "confusion": confusion_table(card.class_names, confusion),
    }


def _confusion(
    samples: MapDataset,
    find: Callable[[list[RasterSource], WorkingPixels], None],
    decide: Decide,
    card: ModelCard,
    report: Report,
) -> Tensor:
    """The confusion matrix over all images.

    Args:
        samples: the images and their labels.
        find: gives the probabilities of a place, whose images are open, to what takes them.
        decide: from probabilities to class numbers.
        card: of the model.
        report: is told of each image.
    """
    confusion = torch.zeros(len(card.classes), len(card.classes), dtype=torch.int64)
    for number, paths in enumerate(samples.paths):
        report.check_cancelled()
        report.progress("images", number, len(samples))
        with ExitStack() as opened:
            images = [opened.enter_context(open_source(str(path), band_count=len(card.bands))) for path in paths]
            find(images, WorkingPixels(partial(_compare, confusion, samples.read_labels(number), decide)))
    report.progress("images", len(samples), len(samples))
    return confusion


def _compare(
    confusion: Tensor, labels: Tensor, decide: Decide, x: int, y: int, probabilities: np.ndarray, valid: np.ndarray
) -> None:
    """Add a window to the confusion matrix; pixels without data, for which users get no class, do not count."""
    height, width = valid.shape
    labelled = labels[y : y + height, x : x + width].where(torch.from_numpy(valid), IGNORED)
    found = torch.from_numpy(decide(probabilities)[0])
    confusion += confusion_matrix(found, labelled, len(confusion), IGNORED)
