# SPDX-License-Identifier: GPL-2.0-or-later
"""Detections of all tiles become the detections of the raster.

A tile's inner edge, beyond which a neighbour continues, cuts objects. A box that touches such an edge is *cut*: where
a neighbour sees the object whole, the neighbour's box wins, whatever the scores. What remains is decided by score in
a non-maximum suppression over the whole raster, class by class.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from model_runner.contract.model_card import ModelCard
from model_runner.inference.prepare import prepare
from model_runner.raster.source import TileInput
from model_runner.raster.tiling import Tile
from model_runner.rotated_boxes.geometry import enclosing_boxes
from model_runner.rotated_boxes.overlap import class_wise_rotated_nms, overlapping_pairs, paired_iof

EDGE_MARGIN = 4.0  # pixels: the finest stride of the network, the least that separates a box from an edge
COVERED_SHARE = 0.3  # of a cut box, from which a whole box of its class is taken for the same object
COVERED_SHARE_OF_OTHERS = 0.6  # the same for a box of another class: a piece of a plane may pass for a vehicle


class Detections(NamedTuple):
    """Boxes (n, 5) cx, cy, w, h in pixels and angle in radians (le90), scores (n,), class numbers (n,)."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def only(self, index: Tensor) -> "Detections":
        """The detections of a boolean mask or of indices."""
        return Detections(self.boxes[index], self.scores[index], self.labels[index])


def detector(
    network: torch.nn.Module,
    card: ModelCard,
    device: torch.device,
    precision: torch.dtype,
    threshold: float,
    nms_iou: float,
) -> Callable[[list[TileInput]], list[Detections]]:
    """The function that predicts a batch of tiles, as the engine wants it.

    The network, which may have served other runs, is set to the smallest score and the overlap of this one.
    """
    network.roi_head.score_threshold, network.roi_head.nms_threshold = threshold, nms_iou
    return partial(_predict, network, card, device, precision)


@torch.inference_mode()
def _predict(
    network: torch.nn.Module, card: ModelCard, device: torch.device, precision: torch.dtype, tiles: list[TileInput]
) -> list[Detections]:
    images = prepare(tiles, card, device)
    with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
        found = network(images)
    return [Detections(*(each.float().cpu() for each in one[:2]), one.labels.cpu()) for one in found]


class DetectionCollector:
    """Collects the detections of tiles, which may come in any order, and merges them.

    Args:
        threshold: smallest score that is kept.
        nms_iou: rotated IoU from which two boxes of a class are one object.
        labels: class numbers to keep; empty keeps all.
    """

    def __init__(self, threshold: float, nms_iou: float, labels: tuple[int, ...] = ()) -> None:
        self.threshold = threshold
        self.nms_iou = nms_iou
        self._labels = torch.tensor(labels, dtype=torch.int64)
        self._found = [Detections(torch.zeros(0, 5), torch.zeros(0), torch.zeros(0, dtype=torch.int64))]
        self._cut = [torch.zeros(0, dtype=torch.bool)]

    def add(self, tile: Tile, pixels: TileInput, prediction: Detections) -> None:
        """Take a tile's detections (tile pixels), without those whose centre has no data."""
        keep = prediction.scores >= self.threshold
        if len(self._labels):
            keep &= torch.isin(prediction.labels, self._labels)
        found = prediction.only(keep)
        found = found.only(_centres_are_valid(found.boxes, torch.from_numpy(pixels.valid)))
        if not len(found.scores):  # of a large raster nearly all tiles are empty, and even empty tensors add up
            return
        offset = torch.tensor([tile.x, tile.y, 0, 0, 0], dtype=torch.float64)
        self._cut.append(touches_inner_edge(found.boxes, tile))
        self._found.append(found._replace(boxes=(found.boxes.double() + offset)))

    def finish(self) -> Detections:
        """The merged detections in working pixels (float64 boxes), best score first."""
        found = Detections(*(torch.cat(parts) for parts in zip(*self._found, strict=True)))
        return merge(found, torch.cat(self._cut), self.nms_iou)


def touches_inner_edge(boxes: Tensor, tile: Tile) -> Tensor:
    """Which boxes (n, 5), in tile pixels, come within ``EDGE_MARGIN`` of an edge where another tile continues; (n,)."""
    left, top, right, bottom = enclosing_boxes(boxes).unbind(1)
    touches = torch.zeros(len(boxes), dtype=torch.bool)
    for is_inner, distance in (
        (tile.inner_left, left),
        (tile.inner_top, top),
        (tile.inner_right, tile.width - right),
        (tile.inner_bottom, tile.height - bottom),
    ):
        if is_inner:
            touches |= distance <= EDGE_MARGIN
    return touches


def merge(found: Detections, cut: Tensor, nms_iou: float) -> Detections:
    """The detections of a raster from those of its tiles; the order of the input does not matter.

    Args:
        found: all detections in working pixels.
        cut: (n,) which of them touch an inner tile edge.
        nms_iou: rotated IoU from which two boxes of a class are one object.
    """
    order = _canonical_order(found)
    found, cut = found.only(order), cut[order]
    rank = found.scores.double() + (~cut).double()  # every whole box goes before every cut one
    kept = class_wise_rotated_nms(found.boxes, rank, found.labels, nms_iou)
    found, cut = found.only(kept), cut[kept]
    found = found.only(~_covered_by_whole(found, cut))
    return found.only(torch.argsort(found.scores, descending=True, stable=True))


def _canonical_order(found: Detections) -> Tensor:
    """An order that depends on the detections alone: by score, then class, then place and shape."""
    keys = (*found.boxes.unbind(1)[::-1], found.labels, -found.scores)
    order = torch.arange(len(found.scores))
    for key in keys:
        order = order[torch.argsort(key[order], stable=True)]
    return order


def _covered_by_whole(found: Detections, cut: Tensor) -> Tensor:
    """(n,) which cut boxes are pieces of what a whole box shows, mostly one of their class."""
    first, second = overlapping_pairs(found.boxes).unbind(1)
    mixed = cut[first] != cut[second]
    first, second = first[mixed], second[mixed]
    piece = torch.where(cut[first], first, second)
    whole = torch.where(cut[first], second, first)
    share = paired_iof(found.boxes[piece], found.boxes[whole])
    covered = torch.zeros_like(cut)
    same_class = found.labels[piece] == found.labels[whole]
    covered[piece[share >= torch.where(same_class, COVERED_SHARE, COVERED_SHARE_OF_OTHERS)]] = True
    return covered


def _centres_are_valid(boxes: Tensor, valid: Tensor) -> Tensor:
    """(n,) whether the pixel (H, W) under each box's centre has data; centres outside have none."""
    column, row = boxes[:, 0].floor().long(), boxes[:, 1].floor().long()
    height, width = valid.shape
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    return inside & valid[row.clamp(0, height - 1), column.clamp(0, width - 1)]
