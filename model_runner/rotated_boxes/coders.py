# SPDX-License-Identifier: GPL-2.0-or-later
"""Boxes as differences to anchors and proposals, as Oriented R-CNN (Xie et al., ICCV 2021) encodes them.

A midpoint offset describes a rectangle in six numbers: the move and growth from an anchor to the rectangle's
horizontal hull, and where its topmost vertex touches the hull's upper side and its rightmost one the right side.
A rotated delta describes it in five: move, growth and turn in the frame of an oriented proposal.
"""

import math

import torch
from torch import Tensor

from model_runner.rotated_boxes.geometry import (
    QUARTER_TURN,
    axes,
    corners,
    from_quadrilaterals,
    long_side_first,
    wrap_angle,
)

LARGEST_GROWTH = abs(math.log(16 / 1000))
MIDPOINT_SCALE = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
ROTATED_SCALE = (0.1, 0.1, 0.2, 0.2, 0.1)
SAME_HEIGHT = 0.1  # pixels: vertices that are equally high or equally far right


def encode_midpoint_offsets(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Offsets (n, 6) that lead from horizontal anchors (n, 4) to boxes (n, 5)."""
    vertices = corners(boxes)
    low, high = vertices.amin(1), vertices.amax(1)
    centre, size = (low + high) / 2, high - low
    anchor_centre, anchor_size = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    x, y = vertices.unbind(2)
    at_top = y <= low[:, 1:] + SAME_HEIGHT
    at_right = x >= high[:, :1] - SAME_HEIGHT
    top_x = x.masked_fill(~at_top, -math.inf).amax(1)
    right_y = y.masked_fill(~at_right, -math.inf).amax(1)
    touching = (torch.stack((top_x, right_y), 1) - centre) / size
    offsets = torch.cat(((centre - anchor_centre) / anchor_size, (size / anchor_size).log(), touching), 1)
    return offsets / offsets.new_tensor(MIDPOINT_SCALE)


def decode_midpoint_offsets(anchors: Tensor, offsets: Tensor) -> Tensor:
    """The le90 boxes (n, 5) to which offsets (n, 6) lead from horizontal anchors (n, 4).

    The six numbers give a parallelogram; its shorter diagonal is stretched to make a rectangle.
    """
    offsets = offsets * offsets.new_tensor(MIDPOINT_SCALE)
    anchor_centre, anchor_size = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    centre = anchor_centre + anchor_size * offsets[:, :2]
    width, height = (anchor_size * offsets[:, 2:4].clamp(-LARGEST_GROWTH, LARGEST_GROWTH).exp()).unbind(1)
    top, right = offsets[:, 4:].clamp(-0.5, 0.5).unbind(1)
    upper = torch.stack((top * width, -height / 2), 1)
    right_hand = torch.stack((width / 2, right * height), 1)
    vertices = torch.stack((upper, right_hand, -upper, -right_hand), 1)
    distance = vertices.norm(dim=2, keepdim=True)
    return from_quadrilaterals(centre[:, None] + vertices * (distance.amax(1, keepdim=True) / distance))


def encode_rotated_deltas(proposals: Tensor, boxes: Tensor) -> Tensor:
    """Deltas (n, 5) that lead from oriented proposals (n, 5) to boxes (n, 5), by the smaller of both turns."""
    along, across = axes(proposals[:, 4])
    offset = boxes[:, :2] - proposals[:, :2]
    size = proposals[:, 2:4]
    move = torch.stack(((offset * along).sum(1), (offset * across).sum(1)), 1) / size
    turn = wrap_angle(boxes[:, 4] - proposals[:, 4])
    other_turn = wrap_angle(boxes[:, 4] - proposals[:, 4] + QUARTER_TURN)
    straight = turn.abs() < other_turn.abs()
    sides = torch.where(straight[:, None], boxes[:, 2:4], boxes[:, 2:4].flip(1))
    deltas = torch.cat((move, (sides / size).log(), torch.where(straight, turn, other_turn)[:, None]), 1)
    return deltas / deltas.new_tensor(ROTATED_SCALE)


def decode_rotated_deltas(proposals: Tensor, deltas: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
    """The le90 boxes (n, 5) to which deltas (n, 5) lead from oriented proposals (n, 5).

    Args:
        proposals: le90 boxes.
        deltas: as of ``encode_rotated_deltas``.
        image_size: height and width in pixels; if given, centres are moved into the image.
    """
    deltas = deltas * deltas.new_tensor(ROTATED_SCALE)
    along, across = axes(proposals[:, 4])
    move = deltas[:, :2] * proposals[:, 2:4]
    centre = proposals[:, :2] + move[:, :1] * along + move[:, 1:] * across
    if image_size is not None:
        height, width = image_size
        centre = torch.stack((centre[:, 0].clamp(0, width - 1), centre[:, 1].clamp(0, height - 1)), 1)
    size = proposals[:, 2:4] * deltas[:, 2:4].clamp(-LARGEST_GROWTH, LARGEST_GROWTH).exp()
    angle = wrap_angle(proposals[:, 4:] + deltas[:, 4:])
    return long_side_first(torch.cat((centre, size, angle), 1))
