# SPDX-License-Identifier: GPL-2.0-or-later
"""How well classes of pixels meet the labelled ones: of segmentations, and of changes (class 1) too."""

from typing import NamedTuple

import torch
from torch import Tensor


class Agreement(NamedTuple):
    """How well what was found agrees with what is labelled, from 0 to 1; tuples are in the order of the classes.

    A figure without any pixel to tell is NaN, and means leave it out.

    Attributes:
        mean_iou: of the classes.
        mean_f1: of the classes.
        overall_accuracy: share of the pixels that are right.
        kappa: agreement beyond that of chance (Cohen); below 0 it is worse than chance.
        iou: pixels found rightly, as a share of all that are found or labelled.
        f1: harmonic mean of precision and recall.
        precision: share of the found pixels that are right.
        recall: share of the labelled pixels that were found.
    """

    mean_iou: float
    mean_f1: float
    overall_accuracy: float
    kappa: float
    iou: tuple[float, ...]
    f1: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


def confusion_matrix(found: Tensor, labels: Tensor, class_count: int, ignored: int | None = None) -> Tensor:
    """Numbers of pixels by labelled class (rows) and found class (columns), int64; those of several images add up.

    Args:
        found: class numbers, of any shape.
        labels: class numbers, of the same shape.
        class_count: how many classes there are.
        ignored: the number of labels that do not count.
    """
    found, labels = found.flatten().long(), labels.flatten().long()
    if ignored is not None:
        counts = labels != ignored
        found, labels = found[counts], labels[counts]
    return torch.bincount(labels * class_count + found, minlength=class_count**2).view(class_count, class_count)


def agreement(confusion: Tensor) -> Agreement:
    """The figures of a confusion matrix (classes, classes)."""
    confusion = confusion.cpu().double()
    right, labelled, found, total = confusion.diag(), confusion.sum(1), confusion.sum(0), confusion.sum()
    iou, f1 = right / (labelled + found - right), 2 * right / (labelled + found)
    accuracy = right.sum() / total
    by_chance = (labelled * found).sum() / total**2
    return Agreement(
        mean_iou=float(iou.nanmean()),
        mean_f1=float(f1.nanmean()),
        overall_accuracy=float(accuracy),
        kappa=float((accuracy - by_chance) / (1 - by_chance)),
        iou=tuple(iou.tolist()),
        f1=tuple(f1.tolist()),
        precision=tuple((right / found).tolist()),
        recall=tuple((right / labelled).tolist()),
    )
