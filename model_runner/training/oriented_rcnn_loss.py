# SPDX-License-Identifier: GPL-2.0-or-later
"""What Oriented R-CNN is trained to do: which anchors and regions stand for which object, and the four losses.

Boxes are pixels and radians (le90), horizontal boxes x1, y1, x2, y2; see ``rotated_boxes``. Assignment compares
overlaps in float32, as the published training does.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from model_runner.networks.maps import at_least_float32
from model_runner.networks.oriented_rcnn import OrientedRCNN, regions_of
from model_runner.rotated_boxes.coders import encode_midpoint_offsets, encode_rotated_deltas
from model_runner.rotated_boxes.geometry import enclosing_boxes
from model_runner.rotated_boxes.overlap import pairwise_iou

ANCHOR_FOREGROUND, ANCHOR_BACKGROUND = 0.7, 0.3  # IoU with an object
ANCHORS_PER_IMAGE, ANCHOR_FOREGROUND_SHARE = 256, 0.5
REGION_FOREGROUND = 0.5
REGIONS_PER_IMAGE, REGION_FOREGROUND_SHARE = 512, 0.25
FEWEST_REGIONS = 64
ANCHOR_SMOOTHNESS, REGION_SMOOTHNESS = 1 / 9, 1.0  # where the L1 losses turn quadratic
PAIRS_AT_ONCE = 4_000_000  # of boxes, when overlaps of anchors are found
SMALLEST_SIDE = 1e-3  # pixels, when overlaps of regions are compared

Choose = Callable[[Tensor, int], Tensor]


class Losses(NamedTuple):
    """The four terms, scalars; their sum is minimised."""

    objectness: Tensor
    proposal: Tensor
    classification: Tensor
    refinement: Tensor


class Assignment(NamedTuple):
    """Chosen anchors or regions of one image: positions of those that show an object, the object of each, and
    positions of those that show none."""

    foreground: Tensor
    objects: Tensor
    background: Tensor


def regions_to_learn_from(height: int, width: int) -> int:
    """Regions of an image of that many pixels: the published 512, below 512 x 512 pixels in proportion to the area.

    A small image holds few regions that differ, and pooling them takes most of a step's time.
    """
    return min(REGIONS_PER_IMAGE, max(FEWEST_REGIONS, REGIONS_PER_IMAGE * height * width // 512**2))


def choose_at_random(candidates: Tensor, count: int) -> Tensor:
    """At most ``count`` of the candidates (n,), without order."""
    if len(candidates) <= count:
        return candidates
    return candidates[torch.randperm(len(candidates), device=candidates.device)[:count]]


def oriented_rcnn_losses(
    network: OrientedRCNN,
    images: Tensor,
    boxes: list[Tensor],
    labels: list[Tensor],
    choose: Choose = choose_at_random,
    regions_per_image: int = REGIONS_PER_IMAGE,
) -> Losses:
    """The losses of a batch.

    Args:
        network: the detector, in the mode in which it shall compute.
        images: normalised, (n, bands, h, w).
        boxes: objects of each image, (k, 5).
        labels: their class numbers, (k,).
        choose: draws a number of candidates.
        regions_per_image: regions that the second stage learns from in an image.
    """
    maps = network.extract(images)
    objectness, offsets = network.rpn_head(maps)
    anchors = network.rpn_head.anchors(maps)
    proposals = network.rpn_head.proposals(objectness, offsets, anchors)
    chosen = [choose_anchors(torch.cat(anchors), each.float(), tuple(images.shape[-2:]), choose) for each in boxes]
    objectness_loss, proposal_loss = _proposal_losses(
        _by_anchor(objectness, 1)[..., 0], _by_anchor(offsets, 6), torch.cat(anchors), boxes, chosen
    )
    return Losses(
        objectness_loss,
        proposal_loss,
        *_region_losses(network, maps, proposals, boxes, labels, choose, regions_per_image),
    )


def choose_anchors(anchors: Tensor, boxes: Tensor, image_size: tuple[int, int], choose: Choose) -> Assignment:
    """The anchors (a, 4) to learn from in an image of (h, w) pixels with objects (k, 5).

    An anchor shows the object that it overlaps most, from the IoU 0.7 on; and the best anchors of each object show
    it from 0.3 on. Below 0.3 an anchor shows none. Anchors that reach beyond the image are left out.
    """
    height, width = image_size
    inside = (anchors[:, :2] >= 0).all(1) & (anchors[:, 2] < width) & (anchors[:, 3] < height)
    inside = inside.nonzero()[:, 0]
    overlap = _horizontal_iou(anchors[inside], enclosing_boxes(boxes))
    if not len(boxes):
        background = choose(torch.arange(len(inside), device=anchors.device), ANCHORS_PER_IMAGE)
        return Assignment(inside[:0], inside[:0], inside[background])
    best, objects = overlap.max(1)
    best_of_object = overlap.amax(0)
    ties = (overlap == best_of_object) & (best_of_object >= ANCHOR_BACKGROUND)
    last_tie = ties.shape[1] - 1 - ties.flip(1).int().argmax(1)
    tied = ties.any(1)
    objects = torch.where(tied, last_tie, objects)
    foreground = ((best >= ANCHOR_FOREGROUND) | tied).nonzero()[:, 0]
    background = ((best < ANCHOR_BACKGROUND) & ~tied).nonzero()[:, 0]
    foreground = choose(foreground, int(ANCHORS_PER_IMAGE * ANCHOR_FOREGROUND_SHARE))
    background = choose(background, ANCHORS_PER_IMAGE - len(foreground))
    return Assignment(inside[foreground], objects[foreground], inside[background])


def choose_regions(regions: Tensor, boxes: Tensor, choose: Choose, count: int) -> Assignment:
    """The regions (r, 5) to learn from in an image with objects (k, 5): foreground from the rotated IoU 0.5 on."""
    if not len(boxes):
        everything = torch.arange(len(regions), device=regions.device)
        return Assignment(everything[:0], everything[:0], choose(everything, count))
    best, objects = pairwise_iou(_with_area(regions), _with_area(boxes)).max(1)
    foreground = choose((best >= REGION_FOREGROUND).nonzero()[:, 0], int(count * REGION_FOREGROUND_SHARE))
    background = choose((best < REGION_FOREGROUND).nonzero()[:, 0], count - len(foreground))
    return Assignment(foreground, objects[foreground], background)


def _proposal_losses(
    logits: Tensor, offsets: Tensor, anchors: Tensor, boxes: list[Tensor], chosen: list[Assignment]
) -> tuple[Tensor, Tensor]:
    """Losses of objectness and of midpoint offsets, for logits (n, a) and offsets (n, a, 6)."""
    count = sum(max(len(each.foreground), 1) + max(len(each.background), 1) for each in chosen)
    objectness = logits.sum() * 0
    proposal = offsets.sum() * 0
    for i, each in enumerate(chosen):
        foreground, background = logits[i, each.foreground], logits[i, each.background]
        objectness = objectness + F.softplus(-foreground).sum() + F.softplus(background).sum()
        targets = encode_midpoint_offsets(anchors[each.foreground], boxes[i].float()[each.objects])
        proposal = proposal + F.smooth_l1_loss(
            offsets[i, each.foreground], targets.to(offsets), reduction="sum", beta=ANCHOR_SMOOTHNESS
        )
    return objectness / count, proposal / count


def _region_losses(
    network: OrientedRCNN,
    maps: list[Tensor],
    proposals: list[Tensor],
    boxes: list[Tensor],
    labels: list[Tensor],
    choose: Choose,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Losses of classes and of rotated deltas; the objects themselves are the first regions."""
    sampled, targets, classes = [], [], []
    background_class = network.roi_head.bbox_head.fc_cls.out_features - 1
    for proposed, objects, names in zip(proposals, boxes, labels, strict=True):
        objects = objects.to(proposed)
        regions = torch.cat((objects, proposed[:, :5]))
        chosen = choose_regions(regions.float(), objects.float(), choose, count)
        sampled.append(regions[torch.cat((chosen.foreground, chosen.background))])
        targets.append(encode_rotated_deltas(regions[chosen.foreground].float(), objects[chosen.objects].float()))
        classes.append(F.pad(names[chosen.objects], (0, len(chosen.background)), value=background_class))
    logits, deltas = network.roi_head(maps, regions_of(sampled))
    target_class = torch.cat(classes)
    shows_object = target_class != background_class
    classification = F.cross_entropy(at_least_float32(logits), target_class)
    refinement = F.smooth_l1_loss(
        at_least_float32(deltas)[shows_object],
        torch.cat(targets).to(at_least_float32(deltas)),
        reduction="sum",
        beta=REGION_SMOOTHNESS,
    )
    return classification, refinement / len(target_class)


def _horizontal_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU (n, m) of horizontal boxes (n, 4) and (m, 4).

    So many boxes at a time that what is needed on the way stays small beside a crowded image's result.
    """
    result = first.new_empty(len(first), len(second))
    at_once = max(1, PAIRS_AT_ONCE // max(1, len(second)))
    for start in range(0, len(first), at_once):
        result[start : start + at_once] = _iou_of_pairs(first[start : start + at_once], second)
    return result


def _iou_of_pairs(first: Tensor, second: Tensor) -> Tensor:
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    common = (high - low).clamp(min=0).prod(2)
    size, other_size = (first[:, 2:] - first[:, :2]).prod(1), (second[:, 2:] - second[:, :2]).prod(1)
    return common / (size[:, None] + other_size[None] - common).clamp(min=1e-6)


def _with_area(boxes: Tensor) -> Tensor:
    return torch.cat((boxes[:, :2], boxes[:, 2:4].clamp(min=SMALLEST_SIDE), boxes[:, 4:]), 1)


def _by_anchor(maps: list[Tensor], values: int) -> Tensor:
    """Maps (n, 3 * values, h, w) of all levels as (n, anchors, values), in the order of the anchors."""
    return torch.cat([at_least_float32(each).permute(0, 2, 3, 1).reshape(len(each), -1, values) for each in maps], 1)
