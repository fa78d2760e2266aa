# SPDX-License-Identifier: GPL-2.0-or-later
"""Corners, hulls and conversions of oriented boxes (see the package for the convention)."""

import math

import torch
from torch import Tensor

HALF_TURN = math.pi
QUARTER_TURN = math.pi / 2


def wrap_angle(angle: Tensor) -> Tensor:
    """The angles in radians, moved by half turns into [-pi/2, pi/2)."""
    return (angle + QUARTER_TURN) % HALF_TURN - QUARTER_TURN


def axes(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors (n, 2) along the w and along the h side, for angles (n,)."""
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack((cosine, sine), 1), torch.stack((-sine, cosine), 1)


def corners(boxes: Tensor) -> Tensor:
    """Corners (n, 4, 2) of boxes (n, 5), in the box's frame (-,-), (+,-), (+,+), (-,+)."""
    along, across = axes(boxes[:, 4])
    half_width, half_height = along * boxes[:, 2:3] / 2, across * boxes[:, 3:4] / 2
    centre = boxes[:, :2]
    return torch.stack(
        (
            centre - half_width - half_height,
            centre + half_width - half_height,
            centre + half_width + half_height,
            centre - half_width + half_height,
        ),
        1,
    )


def areas(boxes: Tensor) -> Tensor:
    """Areas (n,) of boxes (n, 5)."""
    return boxes[:, 2] * boxes[:, 3]


def enclosing_boxes(boxes: Tensor) -> Tensor:
    """The smallest horizontal boxes (n, 4) around boxes (n, 5)."""
    cosine, sine = boxes[:, 4].cos().abs(), boxes[:, 4].sin().abs()
    width = boxes[:, 2] * cosine + boxes[:, 3] * sine
    height = boxes[:, 2] * sine + boxes[:, 3] * cosine
    half = torch.stack((width, height), 1) / 2
    return torch.cat((boxes[:, :2] - half, boxes[:, :2] + half), 1)


def long_side_first(boxes: Tensor) -> Tensor:
    """The same boxes (n, 5) in le90: sides swapped where w <= h, the angle turned with them and wrapped."""
    centre, width, height, angle = boxes[:, :2], boxes[:, 2], boxes[:, 3], boxes[:, 4]
    swap = width <= height
    angle = wrap_angle(torch.where(swap, angle + QUARTER_TURN, angle))
    rest = torch.stack((torch.where(swap, height, width), torch.where(swap, width, height), angle), 1)
    return torch.cat((centre, rest), 1)


def from_horizontal(horizontal: Tensor) -> Tensor:
    """Le90 boxes (n, 5) for horizontal boxes (n, 4); upright ones get the angle -pi/2."""
    size = horizontal[:, 2:] - horizontal[:, :2]
    upright = size[:, 1] > size[:, 0]
    angle = torch.where(upright, -QUARTER_TURN, 0.0).to(horizontal)
    centre = (horizontal[:, :2] + horizontal[:, 2:]) / 2
    return torch.cat((centre, size.amax(1, keepdim=True), size.amin(1, keepdim=True), angle[:, None]), 1)


def from_quadrilaterals(vertices: Tensor) -> Tensor:
    """Le90 boxes (n, 5) for rectangles given by vertices (n, 4, 2) in order.

    For other quadrilaterals the sides are the first two edges and the centre is that of the first diagonal, as in
    Oriented R-CNN; see ``minimum_area_boxes`` for boxes that enclose.
    """
    first, second, third, fourth = vertices.unbind(1)
    edge, next_edge = second - first, third - second
    length, next_length = edge.norm(dim=1), next_edge.norm(dim=1)
    direction = torch.where((length > next_length)[:, None], edge, fourth - first)
    angle = wrap_angle(torch.atan2(direction[:, 1], direction[:, 0]))
    sides = torch.stack((torch.maximum(length, next_length), torch.minimum(length, next_length), angle), 1)
    return torch.cat(((first + third) / 2, sides), 1)


def minimum_area_boxes(vertices: Tensor) -> Tensor:
    """The smallest enclosing le90 boxes (n, 5) of four points each, (n, 4, 2), in any order.

    A side of the smallest rectangle lies on an edge of the convex hull, and each such edge joins two of the points:
    all six directions are tried.
    """
    first, second = torch.triu_indices(4, 4, 1, device=vertices.device)
    edges = vertices[:, second] - vertices[:, first]
    angle = torch.atan2(edges[..., 1], edges[..., 0])
    cosine, sine = angle.cos()[..., None], angle.sin()[..., None]
    x, y = vertices[:, None, :, 0], vertices[:, None, :, 1]
    along, across = x * cosine + y * sine, y * cosine - x * sine
    low = torch.stack((along.amin(2), across.amin(2)), 2)
    high = torch.stack((along.amax(2), across.amax(2)), 2)
    best = (high - low).prod(2).argmin(1)
    rows = torch.arange(len(vertices), device=vertices.device)
    low, high, angle = low[rows, best], high[rows, best], angle[rows, best]
    u, v = axes(angle)
    middle = (low + high) / 2
    centre = middle[:, :1] * u + middle[:, 1:] * v
    return long_side_first(torch.cat((centre, high - low, angle[:, None]), 1))
