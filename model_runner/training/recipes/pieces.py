# SPDX-License-Identifier: GPL-2.0-or-later
"""Large validation images, seen piece by piece: the memory that a network needs grows with what it sees at once."""

from itertools import pairwise
from typing import NamedTuple

import shapely
import torch
from torch import Tensor

from model_runner.raster.tiling import network_side
from model_runner.rotated_boxes.geometry import corners
from model_runner.training.augmentation.objects import visible_parts
from model_runner.training.datasets.objects import Sample

LARGEST_SIDE = 2048  # of a piece in pixels


class Piece(NamedTuple):
    """Where a piece lies in an image, in pixels; ``bottom`` and ``right`` are those behind its last ones."""

    top: int
    left: int
    bottom: int
    right: int

    def of(self, pixels: Tensor) -> Tensor:
        """The pixels (…, h, w) of the piece."""
        return pixels[..., self.top : self.bottom, self.left : self.right]


def pieces_of(height: int, width: int) -> list[Piece]:
    """Pieces of about one size that together are an image; small images are one piece.

    Where both sides of the image are such that networks take them, so are those of the pieces.
    """
    return [
        Piece(top, left, bottom, right)
        for top, bottom in pairwise(_borders(height))
        for left, right in pairwise(_borders(width))
    ]


def objects_of(piece: Piece, height: int, width: int, sample: Sample) -> Sample:
    """What a piece of an image shows of the objects, in the piece's frame; those that it cuts do not count.

    Args:
        piece: of the image.
        height: of the image.
        width: of the image.
        sample: the image's objects.
    """
    vertices = corners(sample.boxes.double())
    low, high = vertices.amin(1), vertices.amax(1)
    first, last = low.new_tensor([piece.left, piece.top]), low.new_tensor([piece.right, piece.bottom])
    inner_first, inner_last = first > 0, last < low.new_tensor([width, height])
    cut = ((low < first) & inner_first | (high > last) & inner_last).any(1)
    shown = shapely.intersection(shapely.polygons(vertices.cpu().numpy()), shapely.box(*first.tolist(), *last.tolist()))
    boxes = sample.boxes - sample.boxes.new_tensor([piece.left, piece.top, 0, 0, 0])
    moved = sample._replace(boxes=boxes, difficult=sample.difficult | cut)
    held = torch.from_numpy(shapely.area(shown) > 0).to(cut.device)
    moved, cut = moved.where(held), cut[held]
    moved.boxes[cut] = visible_parts(moved.boxes[cut], piece.bottom - piece.top, piece.right - piece.left)
    return moved


def _borders(length: int) -> list[int]:
    count = -(-length // LARGEST_SIDE)
    side = network_side(-(-length // count))
    return [*range(0, length, side), length]
