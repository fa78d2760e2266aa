# SPDX-License-Identifier: GPL-2.0-or-later
"""Operators that look where they choose: deformable convolution (Zhu et al., CVPR 2019) and deformable attention
(Zhu et al., ICLR 2021)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_runner.networks.maps import at_least_float32

TAPS = 9  # of a 3 x 3 kernel


def modulated_deformable_conv(x: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 3 x 3 convolution, with one pixel of zeros around the map, whose taps are moved and weighted at every pixel.

    Places are computed in float32 or better whatever the precision of the convolutions.

    Args:
        x: (n, c, h, w).
        offsets: in pixels, (n, groups * 9 * 2, h, w): by group of channels, tap (row by row), then down and right.
        mask: shares of the taps, (n, groups * 9, h, w).
        weight: (d, c, 3, 3).
        bias: (d,).

    Returns:
        (n, d, h, w)
    """
    count, channels, height, width = x.shape
    groups = mask.shape[1] // TAPS
    offsets = at_least_float32(offsets)
    down, right = offsets.view(count, groups, TAPS, 2, height, width).unbind(3)
    tap = torch.arange(TAPS, device=x.device).view(-1, 1, 1)
    row = torch.arange(height, device=x.device).view(-1, 1) + tap // 3 - 1 + down
    column = torch.arange(width, device=x.device) + tap % 3 - 1 + right
    places = torch.stack(((2 * column + 1) / width - 1, (2 * row + 1) / height - 1), -1)
    sampled = F.grid_sample(
        x.reshape(count * groups, -1, height, width).to(places),
        places.view(count * groups, TAPS * height, width, 2),
        align_corners=False,
    )
    weighted = sampled.view(count, groups, -1, TAPS, height * width) * mask.reshape(count, groups, 1, TAPS, -1)
    convolved = weight.flatten(1) @ weighted.view(count, channels * TAPS, -1) + bias[:, None]
    return convolved.view(count, -1, height, width)


class DeformableAttention(nn.Module):
    """Each query looks at a few points of a map around its own place; one head."""

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.sampling_offsets = nn.Linear(channels, 2 * points)
        self.attention_weights = nn.Linear(channels, points)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        angles = torch.arange(points) * (2 * math.pi / points)
        nn.init.zeros_(self.sampling_offsets.weight)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(torch.stack((angles.cos(), angles.sin()), 1).flatten())

    def forward(self, query: Tensor, position: Tensor, reference: Tensor, value: Tensor) -> Tensor:
        """Queries with what they see added.

        Args:
            query: (n, q, c).
            position: added to the queries when they choose, (q, c).
            reference: place of each query, right and down as shares of the map, (q, 2).
            value: the map, (n, c, h, w).

        Returns:
            (n, q, c)
        """
        size = query.new_tensor([value.shape[3], value.shape[2]])
        placed = query + position
        offsets = self.sampling_offsets(placed).unflatten(2, (-1, 2))
        places = 2 * (reference[:, None] + offsets / size) - 1
        shares = self.attention_weights(placed).softmax(2)
        projected = F.conv2d(value, self.value_proj.weight[..., None, None], self.value_proj.bias)
        seen = F.grid_sample(projected.to(places), places, align_corners=False)
        return query + self.output_proj((seen * shares[:, None]).sum(3).transpose(1, 2))
