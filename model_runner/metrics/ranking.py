# SPDX-License-Identifier: GPL-2.0-or-later
"""How often the right class is among the likeliest ones."""

import torch
from torch import Tensor


def top_accuracy(scores: Tensor, labels: Tensor, count: int) -> float:
    """Share of the images whose labelled class has one of the ``count`` highest scores.

    Args:
        scores: (n, classes), logits or probabilities.
        labels: int64 (n,), class numbers.
        count: how many classes may be named; all if there are fewer.
    """
    likeliest = scores.topk(min(count, scores.shape[1]), dim=1).indices
    return float(torch.any(likeliest == labels[:, None], dim=1).double().mean())
