# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be wrong with labelled objects."""

import torch
from shapely import Polygon, box
from torch import Tensor

from model_runner.rotated_boxes.geometry import corners
from model_runner.training.datasets.checks.examination import Examination
from model_runner.training.datasets.labelled_objects import LabelledImage
from model_runner.training.datasets.objects import MINIMUM_SIDE, boxes_of

DEGENERATE = 0.1  # shorter side in pixels up to which a box is a line or a point
VISIBLE_SHARE = 0.5


def examine_objects(image: LabelledImage, split: str, examination: Examination) -> None:
    """Look at an image and its objects."""
    size = examination.look_at(image.path, split)
    if size is not None and image.size is not None and size != image.size:
        (height, width), (told_height, told_width) = size, image.size
        text = f"{image.path} measures {width} x {height} pixels, and {image.labels} says {told_width} x {told_height}."
        examination.tell("size", image.path, text)
    if image.labels is None:
        examination.tell("unlabelled", image.path, f"{image.path} has no file of labels: it counts as empty.")
        return
    boxes = boxes_of(image.objects)
    for labelled, found in zip(image.objects, boxes, strict=True):
        examination.count(split, labelled.class_name, 1, image.labels, labelled.place)
        shorter = float(found[3])
        measures = f"measures {float(found[2]):.1f} x {shorter:.1f} pixels"
        if shorter <= DEGENERATE:
            examination.tell("degenerate", image.labels, f"{labelled.place}: the {labelled.class_name} {measures}.")
        elif size is not None and not _holds(size, found[:2]):
            examination.tell("outside", image.labels, f"{labelled.place}: {_where(found, size, image)}.")
        elif shorter < MINIMUM_SIDE:
            examination.tell("small", image.labels, f"{labelled.place}: the {labelled.class_name} {measures}.")
        elif size is not None and visible_share(found, size) < VISIBLE_SHARE:
            text = f"{labelled.place}: less than half of the {labelled.class_name} is in {image.path.name}."
            examination.tell("cut", image.labels, text)


def visible_share(found: Tensor, size: tuple[int, int]) -> float:
    """Which share of a box (5,) lies in an image of a height and width."""
    around = corners(found[None].double())[0]
    if all(_holds(size, corner) for corner in around):
        return 1.0
    outline = Polygon(around.tolist())
    height, width = size
    return outline.intersection(box(0, 0, width, height)).area / outline.area


def _holds(size: tuple[int, int], point: Tensor) -> bool:
    limits = torch.tensor(size[::-1], dtype=point.dtype)
    return bool(((point >= 0) & (point <= limits)).all())


def _where(found: Tensor, size: tuple[int, int], image: LabelledImage) -> str:
    x, y = found[:2].tolist()
    return f"the middle of the box, {x:.0f}, {y:.0f}, is outside {image.path.name} ({size[1]} x {size[0]} pixels)"
