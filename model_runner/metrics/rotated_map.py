# SPDX-License-Identifier: GPL-2.0-or-later
"""Mean average precision of oriented boxes by the protocol of Pascal VOC, as DOTA uses it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from model_runner.metrics.detection import Overlaps, curve_of, judge, objects_that_count

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


def average_precisions(
    images: Sequence[Overlaps],
    class_count: int,
    iou: float,
    method: Method,
    size: tuple[float, float] | None = None,
) -> RotatedMap:
    """Mean average precision over classes.

    Within a class a detection is compared with the one object in its image that it overlaps most. If the IoU reaches
    the threshold and no detection of a higher score has claimed the object, it is right; if one has, or if the
    overlap is too small, it is wrong. Where the object is difficult the detection does not count at all.

    Args:
        images: how the detections of each lie on its labelled objects.
        class_count: how many classes there are.
        iou: the least overlap of a right detection.
        method: see ``average_precision``.
        size: of the objects that count, all without it; see ``curve_of``.
    """
    judged = [judge(image, iou) for image in images]
    counted = torch.cat([image.object_labels[objects_that_count(image, size=size)] for image in images])
    counts = torch.bincount(counted, minlength=class_count).tolist()
    curves = [curve_of(images, judged, number, size) for number in range(class_count)]
    precisions = [
        average_precision(curve.recall, curve.precision, method) if count else float("nan")
        for curve, count in zip(curves, counts, strict=True)
    ]
    return RotatedMap(
        mean=float(torch.tensor(precisions, dtype=torch.float64).nanmean()),
        per_class=tuple(precisions),
        recall=tuple(
            (float(curve.recall[-1]) if len(curve.recall) else 0.0) if count else float("nan")
            for curve, count in zip(curves, counts, strict=True)
        ),
        ground_truths=tuple(counts),
        detections=tuple(len(curve.scores) for curve in curves),
    )
