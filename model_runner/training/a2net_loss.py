# SPDX-License-Identifier: GPL-2.0-or-later
"""What A2Net is trained to do: say for every pixel, at four resolutions, whether it changed."""

from torch import Tensor
from torch.nn import functional as F

from model_runner.networks.maps import at_least_float32

DICE_SMOOTHING = 1e-5


def a2net_losses(masks: tuple[Tensor, ...], changed: Tensor) -> tuple[Tensor, ...]:
    """The loss of each mask, scalars; their sum is minimised.

    Args:
        masks: logits (n, 1, h, w) that the network gives in training mode.
        changed: 1 for pixels that changed, else 0, of any type; (n, h, w).
    """
    return tuple(mask_loss(mask[:, 0], changed) for mask in masks)


def mask_loss(logits: Tensor, changed: Tensor) -> Tensor:
    """Cross entropy plus Dice loss of logits (n, h, w) with what changed (n, h, w), over the whole batch."""
    logits = at_least_float32(logits)
    changed = changed.to(logits)
    probability = logits.sigmoid()
    common, areas = (probability * changed).sum(), probability.sum() + changed.sum()
    dice = (2 * common + DICE_SMOOTHING) / (areas + DICE_SMOOTHING)
    return F.binary_cross_entropy_with_logits(logits, changed) + 1 - dice
