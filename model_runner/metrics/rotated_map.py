# SPDX-License-Identifier: GPL-2.0-or-later
"""Mean average precision of oriented boxes by the protocol of Pascal VOC, as DOTA uses it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from model_runner.rotated_boxes.overlap import pairwise_iou

Method = Literal["voc07", "area"]
LEVELS = 11


class RotatedMap(NamedTuple):
    """How well detections meet the labelled objects; all but the mean in the order of the classes.

    Attributes:
        mean: of the average precisions of the classes that have objects; NaN if none has.
        per_class: average precisions from 0 to 1; NaN for classes without objects.
        recall: shares of the objects that were found by all detections together; NaN likewise.
        ground_truths: numbers of the objects that count, difficult ones left out.
        detections: numbers of the detections.
    """

    mean: float
    per_class: tuple[float, ...]
    recall: tuple[float, ...]
    ground_truths: tuple[int, ...]
    detections: tuple[int, ...]


class _Judged(NamedTuple):
    """Detections (n,) of any images: their scores and classes, and which of them are right, and which wrong."""

    scores: Tensor
    labels: Tensor
    right: Tensor
    wrong: Tensor


def average_precision(recall: Tensor, precision: Tensor, method: Method) -> float:
    """What precision is on average over the recall from 0 to 1.

    Precision at a recall is the best one at that or any higher recall.

    Args:
        recall: (n,) float64, rising.
        precision: (n,) float64, at these recalls.
        method: "voc07" takes the mean at the recalls 0, 0.1 … 1 (Pascal VOC until 2009), "area" the area under the
            curve (Pascal VOC since 2010).
    """
    envelope = precision.flip(0).cummax(0).values.flip(0)
    if method == "area":
        return float((torch.diff(recall, prepend=recall.new_zeros(1)) * envelope).sum())
    # rounded as published: 0.1 * 6 > 0.6, so that a recall of 12 / 20 does not reach that level
    levels = torch.arange(LEVELS, dtype=torch.float64) * 0.1
    reached = torch.searchsorted(recall, levels)
    return float(torch.cat((envelope, envelope.new_zeros(1)))[reached].sum() / LEVELS)


def rotated_map(
    detections: Sequence[tuple[Tensor, Tensor, Tensor]],
    ground_truths: Sequence[tuple[Tensor, Tensor, Tensor]],
    class_count: int,
    iou: float = 0.5,
    method: Method = "voc07",
) -> RotatedMap:
    """Mean average precision over classes.

    Within a class a detection is compared with the one object in its image that it overlaps most. If the IoU reaches
    the threshold and no detection of a higher score has claimed the object, it is right; if one has, or if the
    overlap is too small, it is wrong. Where the object is difficult the detection does not count at all.

    Args:
        detections: for each image boxes (n, 5), scores (n,) and class numbers (n,).
        ground_truths: for each image boxes (m, 5), class numbers (m,) and which objects are difficult, bool (m,).
        class_count: how many classes there are.
        iou: the least overlap of a right detection.
        method: see ``average_precision``.
    """
    images = [_judge(*found, *truth, iou) for found, truth in zip(detections, ground_truths, strict=True)]
    judged = _Judged(*(torch.cat(parts) for parts in zip(*images, strict=True)))
    truth_labels = torch.cat([labels[~difficult] for _, labels, difficult in ground_truths])
    truth_counts = torch.bincount(truth_labels, minlength=class_count).tolist()
    curves = [_curve(judged, number, count) for number, count in enumerate(truth_counts)]
    precisions = [
        average_precision(*curve, method) if count else float("nan")
        for curve, count in zip(curves, truth_counts, strict=True)
    ]
    return RotatedMap(
        mean=float(torch.tensor(precisions, dtype=torch.float64).nanmean()),
        per_class=tuple(precisions),
        recall=tuple(
            (float(recall[-1]) if len(recall) else 0.0) if count else float("nan")
            for (recall, _), count in zip(curves, truth_counts, strict=True)
        ),
        ground_truths=tuple(truth_counts),
        detections=tuple(torch.bincount(judged.labels, minlength=class_count).tolist()),
    )


def _judge(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    truth_boxes: Tensor,
    truth_labels: Tensor,
    difficult: Tensor,
    iou: float,
) -> _Judged:
    """The detections of one image, best score first, judged by its objects."""
    order = scores.argsort(descending=True, stable=True)
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    if not len(truth_boxes):
        return _Judged(scores, labels, torch.zeros_like(labels, dtype=torch.bool), torch.ones_like(labels, dtype=bool))
    overlap = pairwise_iou(boxes.double(), truth_boxes.double())
    overlap = overlap.masked_fill(labels[:, None] != truth_labels, -1)
    best, matched = overlap.max(1)
    meets = best >= iou
    # of the detections that meet an object the first one claims it
    place = torch.arange(len(boxes)).masked_fill(~meets, len(boxes))
    first = torch.full((len(truth_boxes),), len(boxes)).scatter_reduce(0, matched, place, "amin")
    counts = ~(meets & difficult[matched])
    right = meets & counts & (first[matched] == place)
    return _Judged(scores, labels, right, counts & ~right)


def _curve(judged: _Judged, label: int, truth_count: int) -> tuple[Tensor, Tensor]:
    """Recall and precision (n,) float64 of a class when the detections are taken one by one, best score first."""
    chosen = (judged.labels == label).nonzero()[:, 0]
    chosen = chosen[judged.scores[chosen].argsort(descending=True, stable=True)]
    right = judged.right[chosen].double().cumsum(0)
    wrong = judged.wrong[chosen].double().cumsum(0)
    return right / max(truth_count, 1), right / (right + wrong).clamp(min=1)
