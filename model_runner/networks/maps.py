# SPDX-License-Identifier: GPL-2.0-or-later
"""What the networks and their losses do with maps in common."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def at_least_float32(x: Tensor) -> Tensor:
    """The same in float32, or as it is if it is more precise: boxes, places and losses suffer from half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """A map (n, c, h, w) interpolated to ``size``, height and width; edges of pixels meet (align_corners False)."""
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Images (n, c, h, w) interpolated to (n, c, factor * h, factor * w)."""
    return x if factor == 1 else resize(x, (factor * x.shape[-2], factor * x.shape[-1]))


class LoneValueNorm(nn.BatchNorm2d):
    """Batch normalisation that in training also takes a single pixel of a single image.

    One value has no spread to be normalised by; the statistics of the training so far are taken, and left as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        if self.training and x.numel() == self.num_features:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)
