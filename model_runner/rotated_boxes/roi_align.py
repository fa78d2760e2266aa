# SPDX-License-Identifier: GPL-2.0-or-later
"""Features of oriented regions, sampled on a grid that turns with the region (RoIAlignRotated)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def rotated_roi_align(features: Tensor, rois: Tensor, scale: float, output_size: int = 7, samples: int = 2) -> Tensor:
    """Average features (r, c, output_size, output_size) of the bins of oriented regions.

    Each bin is the mean of ``samples`` x ``samples`` bilinear samples. A sample beyond the map by more than a pixel
    is zero. All reads are one weighted sum of rows of the map, seen as a table with a row for each pixel.

    Args:
        features: map (n, c, h, w).
        rois: (r, 6) image index, cx, cy, w, h in image pixels and angle in radians.
        scale: map pixels per image pixel.
        output_size: bins along each side.
        samples: samples along each side of a bin.
    """
    count, channels, height, width = features.shape
    x, y = _sample_points(rois, scale, output_size, samples)
    row, weight = _bilinear(x, y, height, width)
    row = row + rois[:, :1, None].long() * (height * width)
    table = features.permute(0, 2, 3, 1).reshape(count * height * width, channels).contiguous()
    bins = F.embedding_bag(row.flatten(0, 1), table, per_sample_weights=weight.flatten(0, 1).to(table), mode="sum")
    return bins.view(len(rois), output_size, output_size, channels).permute(0, 3, 1, 2)


def _sample_points(rois: Tensor, scale: float, output_size: int, samples: int) -> tuple[Tensor, Tensor]:
    """Map coordinates x, y of the samples, (r, bins, samples) each, bins by row; 0 is the first pixel's centre."""
    steps = output_size * samples
    fraction = (torch.arange(steps, device=rois.device, dtype=rois.dtype) + 0.5) / steps - 0.5
    by_bin = fraction.view(output_size, samples)
    u = by_bin[None, :, None, :].expand(output_size, -1, samples, -1).reshape(output_size**2, samples**2)
    v = by_bin[:, None, :, None].expand(-1, output_size, -1, samples).reshape(output_size**2, samples**2)
    centre_x, centre_y, width, height = (rois[:, 1:5] * scale).unbind(1)
    along, across = width[:, None, None] * u, height[:, None, None] * v
    cosine, sine = rois[:, 5, None, None].cos(), rois[:, 5, None, None].sin()
    x = along * cosine - across * sine + (centre_x - 0.5)[:, None, None]
    y = along * sine + across * cosine + (centre_y - 0.5)[:, None, None]
    return x, y


def _bilinear(x: Tensor, y: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows of the pixel table and their weights, (r, bins, 4 * samples) each, for points (r, bins, samples)."""
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.floor(), y.floor()
    right_share, lower_share = x - left, y - top
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    share = inside.to(x) / x.shape[2]
    upper, lower = (1 - lower_share) * share, lower_share * share
    row = torch.cat((top * width + left, top * width + right, bottom * width + left, bottom * width + right), 2)
    weight = torch.cat(
        (upper * (1 - right_share), upper * right_share, lower * (1 - right_share), lower * right_share), 2
    )
    return row, weight
