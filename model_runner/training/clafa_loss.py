# SPDX-License-Identifier: GPL-2.0-or-later
"""What CLAFA is trained to do: say for every pixel, at four resolutions, whether it changed."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from model_runner.networks.clafa import ChangeLogits
from model_runner.networks.maps import at_least_float32

CLASS_SHARES = (0.25, 0.75)  # of what did not change, and of what did
FOCUS = 4
FOCAL_SHARE = 0.5
ONE_HOT_OFFSET, DICE_OFFSET = 1e-6, 1e-8  # as published


class Losses(NamedTuple):
    """The terms of the result and of the coarser maps, scalars; their sum is minimised."""

    main: Tensor
    p3: Tensor
    p4: Tensor
    p5: Tensor


def clafa_losses(logits: ChangeLogits, changed: Tensor) -> Losses:
    """The losses of a batch.

    Args:
        logits: what the network gives in training mode.
        changed: 1 for pixels that changed, else 0, of any type; (n, h, w).
    """
    labels = changed.long()
    return Losses(*(FOCAL_SHARE * focal_loss(each, labels) + overlap_loss(each, labels) for each in logits))


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of logits (n, 2, h, w) with labels (n, h, w) in which unsure pixels count most, the mean of all.

    How much a pixel counts is taken as given: no gradient flows through it.
    """
    log_probability = at_least_float32(logits).log_softmax(1).gather(1, labels[:, None])[:, 0]
    unsure = (1 - log_probability.detach().exp()) ** FOCUS
    share = log_probability.new_tensor(CLASS_SHARES)[labels]
    return -(share * unsure * log_probability).mean()


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Dice loss of logits (n, 2, h, w) with labels (n, h, w): of an image's classes and pixels, then the mean."""
    probabilities = at_least_float32(logits).softmax(1)
    targets = F.one_hot(labels, 2).permute(0, 3, 1, 2).to(probabilities) + ONE_HOT_OFFSET
    common = (probabilities * targets).sum((1, 2, 3))
    areas = (probabilities + targets).sum((1, 2, 3))
    return (1 - 2 * common / (areas + DICE_OFFSET)).mean()
