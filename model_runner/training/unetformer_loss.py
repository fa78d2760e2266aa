# SPDX-License-Identifier: GPL-2.0-or-later
"""What UNetFormer is trained to do: name every pixel, and cover the labelled areas of every class."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from model_runner.networks.maps import at_least_float32
from model_runner.networks.unetformer import SegmentationLogits

LABEL_SMOOTHING = 0.05
DICE_SMOOTHING = 0.05
AUXILIARY_SHARE = 0.4


class Losses(NamedTuple):
    """The three terms, scalars; their sum is minimised."""

    classification: Tensor
    overlap: Tensor
    auxiliary: Tensor


def unetformer_losses(logits: SegmentationLogits, labels: Tensor, ignored: int) -> Losses:
    """The losses of a batch.

    Args:
        logits: what the network gives in training mode.
        labels: class numbers of the pixels, int64 (n, h, w).
        ignored: the number of pixels that teach nothing.
    """
    return Losses(
        classification_loss(logits.main, labels, ignored),
        overlap_loss(logits.main, labels, ignored),
        AUXILIARY_SHARE * classification_loss(logits.auxiliary, labels, ignored),
    )


def classification_loss(logits: Tensor, labels: Tensor, ignored: int) -> Tensor:
    """Cross entropy of logits (n, classes, h, w) with smoothed labels (n, h, w), the mean over all pixels.

    Ignored pixels add nothing to the sum, but count in the mean, as published.
    """
    each = F.cross_entropy(
        at_least_float32(logits), labels, ignore_index=ignored, label_smoothing=LABEL_SMOOTHING, reduction="none"
    )
    return each.mean()


def overlap_loss(logits: Tensor, labels: Tensor, ignored: int) -> Tensor:
    """Dice loss of logits (n, classes, h, w) with labels (n, h, w): of each class in the whole batch, then the mean.

    Classes that no pixel has add nothing to the sum, but count in the mean, as published.
    """
    counts = (labels != ignored)[:, None]
    probabilities = at_least_float32(logits).softmax(1) * counts
    classes = torch.arange(logits.shape[1], device=labels.device).view(-1, 1, 1)
    targets = (labels[:, None] == classes) & counts
    common = (probabilities * targets).sum((0, 2, 3))
    labelled = targets.sum((0, 2, 3))
    areas = probabilities.sum((0, 2, 3)) + labelled
    losses = 1 - (2 * common + DICE_SMOOTHING) / (areas + DICE_SMOOTHING)
    return (losses * (labelled > 0)).mean()
