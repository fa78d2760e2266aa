# SPDX-License-Identifier: GPL-2.0-or-later
"""Which detections are right, and what follows for precision and recall at every score."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model_runner.rotated_boxes.geometry import areas
from model_runner.rotated_boxes.overlap import overlapping_pairs, paired_iou

NONE = -1
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}  # square pixels


class Overlaps(NamedTuple):
    """The n detections of an image, best score first, and how they lie on its m labelled objects.

    Attributes:
        order: (n,) their places in the detector's answer.
        scores: (n,).
        labels: (n,) class numbers.
        areas: (n,) float64, square pixels.
        iou: (n,) float64, the largest overlap with an object of the same class; 0 without any.
        matched: (n,) which object that is; ``NONE`` without any.
        iou_of_any: (n,) float64, the largest overlap with an object of any class.
        nearest: (n,) which object that is; ``NONE`` without any.
        object_labels: (m,) class numbers.
        difficult: bool (m,), objects that do not count.
        object_areas: (m,) float64, square pixels.
        object_iou: (m,) float64, the largest overlap of each object with any detection.
    """

    order: Tensor
    scores: Tensor
    labels: Tensor
    areas: Tensor
    iou: Tensor
    matched: Tensor
    iou_of_any: Tensor
    nearest: Tensor
    object_labels: Tensor
    difficult: Tensor
    object_areas: Tensor
    object_iou: Tensor


class Judged(NamedTuple):
    """Which detections (n,) of an image are right, and which are wrong; neither are those of difficult objects."""

    right: Tensor
    wrong: Tensor


class Curve(NamedTuple):
    """What happens as the smallest score sinks: all (k,) float64, one value for each score that occurs, falling.

    Attributes:
        scores: the smallest score that counts.
        precision: share of the detections that are right.
        recall: share of the objects that are found; 0 where there are no objects.
    """

    scores: Tensor
    precision: Tensor
    recall: Tensor

    @property
    def f1(self) -> Tensor:
        """The harmonic mean of precision and recall (k,)."""
        return 2 * self.precision * self.recall / (self.precision + self.recall).clamp(min=1e-12)

    def at(self, threshold: float) -> tuple[float, float, float]:
        """Precision, recall and F1 when detections from a score on count; precision is NaN where there are none."""
        place = int((self.scores >= threshold).sum()) - 1
        if place < 0:
            return float("nan"), 0.0, 0.0
        return float(self.precision[place]), float(self.recall[place]), float(self.f1[place])

    def best_threshold(self) -> float:
        """The score from which F1 is highest; NaN without detections."""
        if not len(self.scores):
            return float("nan")
        following = torch.cat((self.scores[1:], self.scores.new_full((1,), -1.0)))
        return float(self.scores[self.f1.masked_fill(following == self.scores, -1).argmax()])


def overlaps(
    boxes: Tensor, scores: Tensor, labels: Tensor, object_boxes: Tensor, object_labels: Tensor, difficult: Tensor
) -> Overlaps:
    """How the detections of an image lie on its labelled objects; memory grows with what overlaps.

    Args:
        boxes: (n, 5) of the detections.
        scores: (n,).
        labels: (n,) class numbers.
        object_boxes: (m, 5).
        object_labels: (m,) class numbers.
        difficult: bool (m,), which objects do not count.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes, labels, object_boxes = boxes[order].double(), labels[order], object_boxes.double()
    count, total = len(boxes), len(object_boxes)
    pairs = overlapping_pairs(torch.cat((boxes, object_boxes))).sort(1).values
    pairs = pairs[(pairs[:, 0] < count) & (pairs[:, 1] >= count)]
    rows, columns = pairs[:, 0], pairs[:, 1] - count
    iou = paired_iou(boxes[rows], object_boxes[columns])
    same = labels[rows] == object_labels[columns]
    own, matched = _best(iou[same], rows[same], columns[same], count)
    of_any, nearest = _best(iou, rows, columns, count)
    return Overlaps(
        order,
        scores[order],
        labels,
        areas(boxes),
        own,
        matched,
        of_any,
        nearest,
        object_labels,
        difficult,
        areas(object_boxes),
        _best(iou, columns, rows, total)[0],
    )


def _best(iou: Tensor, rows: Tensor, columns: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest overlap (count,) of each row, and the first column that has it; 0 and ``NONE`` without any."""
    best = torch.zeros(count, dtype=torch.float64).scatter_reduce(0, rows, iou, "amax")
    reaches = (iou == best[rows]) & (iou > 0)
    nobody = torch.iinfo(torch.int64).max
    first = torch.full((count,), nobody).scatter_reduce(0, rows[reaches], columns[reaches], "amin")
    return best, first.masked_fill(first == nobody, NONE)


def judge(image: Overlaps, iou: float) -> Judged:
    """Judge the detections of an image by the protocol of Pascal VOC.

    A detection meets that object of its class which it overlaps most, if it does so by ``iou`` or more. Of those that
    meet an object the one with the best score is right, all others are wrong; of a difficult object none counts.
    """
    meets = (image.iou >= iou) & (image.matched != NONE)
    matched = image.matched.clamp(min=0)
    count = len(meets)
    place = torch.arange(count)
    first = torch.full((max(len(image.difficult), 1),), count)
    first = first.scatter_reduce(0, matched[meets], place[meets], "amin")
    is_difficult = torch.zeros(count, dtype=torch.bool)
    is_difficult[meets] = image.difficult[matched[meets]]
    right = meets & ~is_difficult & (first[matched] == place)
    return Judged(right, ~is_difficult & ~right)


def found_objects(image: Overlaps, judged: Judged, threshold: float) -> Tensor:
    """Which objects bool (m,) of an image are found by detections from a score on."""
    found = torch.zeros(len(image.difficult), dtype=torch.bool)
    found[image.matched[judged.right & (image.scores >= threshold)]] = True
    return found


def curve_of(
    images: Sequence[Overlaps],
    judged: Sequence[Judged],
    label: int | None = None,
    size: tuple[float, float] | None = None,
) -> Curve:
    """Precision and recall over all images.

    Args:
        images: the detections.
        judged: which of them are right.
        label: of the class that counts; None counts all.
        size: the least area that counts and the first one beyond, in square pixels. As in COCO's protocol, what is
            right counts by its object's area and what is wrong by its own: objects of other sizes are not missed,
            and neither what is right there nor what is wrong and of another size itself counts.
    """
    scores, right, wrong, total = [], [], [], 0
    for image, verdict in zip(images, judged, strict=True):
        chosen = torch.ones(len(image.scores), dtype=torch.bool) if label is None else image.labels == label
        if size is not None:
            area = image.areas.clone()
            area[verdict.right] = image.object_areas[image.matched[verdict.right]]
            chosen &= (area >= size[0]) & (area < size[1])
        scores.append(image.scores[chosen])
        right.append(verdict.right[chosen])
        wrong.append(verdict.wrong[chosen])
        total += int(objects_that_count(image, label, size).sum())
    return _curve(torch.cat(scores), torch.cat(right), torch.cat(wrong), total)


def objects_that_count(image: Overlaps, label: int | None = None, size: tuple[float, float] | None = None) -> Tensor:
    """Which objects bool (m,) of an image count: those that are not difficult, of a class and of a size if named."""
    counted = ~image.difficult
    if label is not None:
        counted &= image.object_labels == label
    if size is not None:
        counted &= (image.object_areas >= size[0]) & (image.object_areas < size[1])
    return counted


def _curve(scores: Tensor, right: Tensor, wrong: Tensor, total: int) -> Curve:
    order = scores.argsort(descending=True, stable=True)
    scores = scores[order].double()
    right, wrong = (each[order].double().cumsum(0) for each in (right, wrong))
    return Curve(scores, right / (right + wrong).clamp(min=1), right / max(total, 1))
