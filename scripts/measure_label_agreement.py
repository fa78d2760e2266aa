# SPDX-License-Identifier: GPL-2.0-or-later
"""Count the labels in ``resources/ucm_labels``, and measure how well the two labellings of the same images agree.

    PYTHONPATH=. .venv/bin/python scripts/measure_label_agreement.py

Boxes of a class are matched from an IoU of 0.5 on, the best pairs first. An object that one side calls difficult is
not counted on that side, and its pair not among the IoUs.
"""

from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from model_runner.rotated_boxes.geometry import minimum_area_boxes
from model_runner.rotated_boxes.overlap import pairwise_iou

LABELS = Path(__file__).resolve().parents[1] / "resources" / "ucm_labels"
SAME_OBJECT = 0.5  # IoU


class Labels(NamedTuple):
    """The boxes (n, 5) of an image, their classes and which are difficult."""

    boxes: torch.Tensor
    classes: list[str]
    difficult: list[bool]


def main() -> None:
    """Print both tables."""
    everything = [read_labels(path) for path in sorted((LABELS / "labelTxt").glob("*.txt"))]
    for name in sorted({name for labels in everything for name in labels.classes}):
        flags = [
            flag
            for labels in everything
            for each, flag in zip(labels.classes, labels.difficult, strict=True)
            if each == name
        ]
        print(f"{name}: {len(flags)} objects, {sum(flags)} difficult")

    counted, found, overlaps = defaultdict(lambda: [0, 0]), defaultdict(lambda: [0, 0]), defaultdict(list)
    for path in sorted((LABELS / "second_labelTxt").glob("*.txt")):
        sides = read_labels(LABELS / "labelTxt" / path.name), read_labels(path)
        pairs = match(*sides)
        for side, labels in enumerate(sides):
            matched = {pair[side] for pair in pairs}
            for index, (name, difficult) in enumerate(zip(labels.classes, labels.difficult, strict=True)):
                for key in (name, "all") if not difficult else ():
                    counted[key][side] += 1
                    found[key][side] += index in matched
        for (first, second), iou in pairs.items():
            if not sides[0].difficult[first] and not sides[1].difficult[second]:
                for key in (sides[0].classes[first], "all"):
                    overlaps[key].append(iou)
    for key in sorted(counted, key=lambda name: (name == "all", name)):
        recall = [each / total for each, total in zip(found[key], counted[key], strict=True)]
        print(
            f"{key}: {counted[key][0]} and {counted[key][1]} objects, recall {recall[0]:.3f} and {recall[1]:.3f}, "
            f"median IoU {median(overlaps[key]):.3f}"
        )


def read_labels(path: Path) -> Labels:
    """The objects of a label file."""
    fields = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    corners = torch.tensor([[float(value) for value in each[:8]] for each in fields]).view(-1, 4, 2)
    return Labels(minimum_area_boxes(corners), [each[8] for each in fields], [each[9] == "1" for each in fields])


def match(first: Labels, second: Labels) -> dict[tuple[int, int], float]:
    """Which boxes of two labellings are of one object, and their IoU."""
    iou = pairwise_iou(first.boxes, second.boxes)
    candidates = sorted(
        ((iou[row, column].item(), row, column) for row in range(len(iou)) for column in range(iou.shape[1])),
        reverse=True,
    )
    pairs: dict[tuple[int, int], float] = {}
    for overlap, row, column in candidates:
        taken = any(row == each or column == other for each, other in pairs)
        if overlap >= SAME_OBJECT and not taken and first.classes[row] == second.classes[column]:
            pairs[row, column] = overlap
    return pairs


if __name__ == "__main__":
    main()
