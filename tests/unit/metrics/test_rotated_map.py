# SPDX-License-Identifier: GPL-2.0-or-later
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.metrics.detection import SIZES, overlaps
from model_runner.metrics.rotated_map import average_precision, average_precisions
from model_runner.rotated_boxes.overlap import pairwise_iou

RESULTS = json.loads((Path(__file__).parents[2] / "data/ops/dota_map.json").read_text(encoding="utf-8"))["results"]
METHODS = {"11point": "voc07", "area": "area"}
BOX = torch.tensor([[50.0, 50, 30, 10, 0.3]])


def found(boxes, scores, labels=None):
    labels = torch.zeros(len(boxes), dtype=torch.int64) if labels is None else torch.tensor(labels)
    return boxes, torch.tensor(scores), labels


def truth(boxes, labels=None, difficult=None):
    labels = torch.zeros(len(boxes), dtype=torch.int64) if labels is None else torch.tensor(labels)
    return boxes, labels, torch.zeros(len(boxes), dtype=torch.bool) if difficult is None else torch.tensor(difficult)


def rotated_map(detections, ground_truths, class_count, iou=0.5, method="voc07", size=None):
    images = [overlaps(*found, *truth) for found, truth in zip(detections, ground_truths, strict=True)]
    return average_precisions(images, class_count, iou, method, size)


@pytest.fixture(scope="module")
def golden(golden_arrays):
    arrays = golden_arrays("ops/dota_map")
    detections, ground_truths = [], []
    for image in range(4):
        per_class = [arrays[f"det_img{image}_cls{label}"] for label in range(3)]
        labels = torch.cat([torch.full((len(each),), label) for label, each in enumerate(per_class)])
        rows = torch.cat(per_class)
        detections.append((rows[:, :5], rows[:, 5], labels))
        name = f"gt_img{image}"
        usual, ignored = arrays[f"{name}_bboxes"], arrays[f"{name}_bboxes_ignore"]
        ground_truths.append(
            (
                torch.cat((usual, ignored)),
                torch.cat((arrays[f"{name}_labels"], arrays[f"{name}_labels_ignore"])),
                torch.arange(len(usual) + len(ignored)) >= len(usual),
            )
        )
    return detections, ground_truths


@pytest.mark.parametrize("case", RESULTS)
def test_the_published_figures_are_reached(golden, case):
    iou, method = case.removeprefix("iou").split("_")
    result = rotated_map(*golden, 3, float(iou), METHODS[method])
    expected = RESULTS[case]
    assert result.mean == pytest.approx(expected["mAP"], abs=1e-6)
    assert result.per_class == pytest.approx(expected["ap"], abs=1e-6)
    assert result.recall == pytest.approx(expected["final_recall"], abs=1e-9)
    assert list(result.ground_truths) == expected["num_gts"]
    assert list(result.detections) == expected["num_dets"]


def test_the_order_of_detections_and_of_images_does_not_matter(golden):
    orders = [torch.randperm(len(scores)) for _, scores, _ in golden[0]]
    shuffled = [tuple(part[order] for part in image) for order, image in zip(orders, golden[0], strict=True)]
    assert rotated_map(shuffled[::-1], golden[1][::-1], 3).per_class == rotated_map(*golden, 3).per_class


def test_the_better_of_two_detections_claims_the_object():
    result = rotated_map([found(BOX.repeat(2, 1), [0.4, 0.9])], [truth(BOX)], 1, method="area")
    assert result.mean == 1
    assert result.recall == (1.0,)
    late = rotated_map(
        [found(torch.cat((BOX, BOX, BOX + 100)), [0.9, 0.8, 0.7])],
        [truth(torch.cat((BOX, BOX + 100)))],
        1,
        method="area",
    )
    assert late.mean == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_difficult_objects_are_neither_found_nor_missed():
    ground_truths = [truth(torch.cat((BOX, BOX + 100)), difficult=[True, False])]
    detections = [found(torch.cat((BOX, BOX, BOX + 100)), [0.9, 0.8, 0.7])]
    result = rotated_map(detections, ground_truths, 1)
    assert result.mean == pytest.approx(1)
    assert result.ground_truths == (1,)


def test_an_object_of_another_class_or_image_is_not_met():
    assert rotated_map([found(BOX, [0.9], [1])], [truth(BOX)], 2).per_class[0] == 0
    images = [found(BOX, [0.9]), found(BOX[:0], [])], [truth(BOX[:0]), truth(BOX)]
    assert rotated_map(*images, 1).mean == 0


def test_classes_without_objects_have_no_figure_and_do_not_lower_the_mean():
    result = rotated_map([found(BOX.repeat(2, 1), [0.9, 0.8], [0, 2])], [truth(BOX)], 3)
    assert result.per_class[0] == result.mean == pytest.approx(1)
    assert all(math.isnan(value) for value in (*result.per_class[1:], *result.recall[1:]))
    assert result.detections == (1, 0, 1)
    assert math.isnan(rotated_map([found(BOX, [0.9])], [truth(BOX[:0])], 1).mean)


def test_the_threshold_itself_suffices():
    half = torch.tensor([[50.0, 50, 8, 4, 0.0]]), torch.tensor([[50.0, 50, 8, 2, 0.0]])
    assert rotated_map([found(half[1], [0.9])], [truth(half[0])], 1, iou=0.5).mean == pytest.approx(1)
    assert rotated_map([found(half[1], [0.9])], [truth(half[0])], 1, iou=0.51).mean == 0


def test_average_precision_of_a_curve_worked_out_by_hand():
    recall, precision = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64), torch.tensor([1, 0.5, 2 / 3]).double()
    assert average_precision(recall, precision, "area") == pytest.approx(0.25 + 0.25 * 2 / 3)
    assert average_precision(recall, precision, "voc07") == pytest.approx((3 + 3 * 2 / 3) / 11)
    assert average_precision(recall[:0], precision[:0], "area") == 0
    assert average_precision(recall[:0], precision[:0], "voc07") == 0


def test_objects_of_other_sizes_are_neither_missed_nor_are_their_detections_false():
    small, large = torch.tensor([[50.0, 50, 20, 10, 0.3]]), torch.tensor([[200.0, 200, 150, 100, 0]])
    labelled = truth(torch.cat((small, large)))
    both = found(torch.cat((large, small)), [0.9, 0.8])
    assert rotated_map([both], [labelled], 1, method="area", size=SIZES["small"]).mean == 1
    assert rotated_map([both], [labelled], 1, method="area", size=SIZES["large"]).mean == 1
    empty = rotated_map([both], [labelled], 1, method="area", size=SIZES["medium"])
    assert math.isnan(empty.mean)
    assert empty.ground_truths == empty.detections == (0,)
    aside = torch.tensor([300.0, 300, 0, 0, 0])  # where nothing is
    stray = found(torch.cat((large + aside, small)), [0.9, 0.8])
    assert rotated_map([stray], [labelled], 1, method="area", size=SIZES["small"]).mean == 1
    near = found(torch.cat((small + aside, small)), [0.9, 0.8])
    assert rotated_map([near], [labelled], 1, method="area", size=SIZES["small"]).mean == 0.5
    # of the size of small objects, and yet found an object that is a little larger
    limits = (0.0, 200.5)
    larger = torch.tensor([[50.0, 50, 20.1, 10, 0.3]])
    met = rotated_map([found(small, [0.9])], [truth(larger)], 1, method="area", size=limits)
    assert met.detections == (0,)
    assert rotated_map([found(larger, [0.9])], [truth(small)], 1, method="area", size=limits).mean == 1


def one_by_one(detections, ground_truths, label, iou, size=(0, math.inf)):
    """The protocol as it is told: which detections of a class, best first, are right, and which wrong."""
    rows = [
        (float(score), image, boxes[index])
        for image, (boxes, scores, labels) in enumerate(detections)
        for index, score in enumerate(scores)
        if labels[index] == label
    ]
    claimed, told = set(), []

    def counts(box):
        return int(size[0] <= float(box[2].double() * box[3].double()) < size[1])

    for _, image, box in sorted(rows, key=lambda row: -row[0]):
        boxes, labels, difficult = ground_truths[image]
        same = (labels == label).nonzero()[:, 0].tolist()
        overlaps = pairwise_iou(box[None].double(), boxes[same].double())[0].tolist()
        best = max(range(len(same)), key=overlaps.__getitem__, default=None)
        if best is None or overlaps[best] < iou:
            told.append((0, counts(box)))
        elif difficult[same[best]]:
            told.append((0, 0))
        elif (image, same[best]) in claimed:
            told.append((0, counts(box)))
        else:
            told.append((counts(boxes[same[best]]), 0))
            claimed.add((image, same[best]))
    return told


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 5))
def test_vectorised_matching_is_the_matching_one_by_one(seed, detection_count, truth_count):
    generator = torch.Generator().manual_seed(seed)
    span = torch.tensor([20.0, 20, 20, 10, 3])

    def boxes(count):
        return torch.rand(count, 5, generator=generator) * span + torch.tensor([0.0, 0, 10, 5, -1.5])

    def labels(count):
        return torch.randint(2, (count,), generator=generator)

    detections = [
        (boxes(detection_count), torch.rand(detection_count, generator=generator), labels(detection_count))
        for _ in range(2)
    ]
    ground_truths = [(boxes(truth_count), labels(truth_count), labels(truth_count) > 0) for _ in range(2)]
    for size in (None, (0.0, 150.0), (150.0, math.inf)):
        limits = size or (0.0, math.inf)
        result = rotated_map(detections, ground_truths, 2, iou=0.3, method="area", size=size)
        for label in range(2):
            told = one_by_one(detections, ground_truths, label, 0.3, limits)
            right, wrong = torch.tensor(told, dtype=torch.float64).reshape(-1, 2).cumsum(0).T
            areas = [boxes[:, 2] * boxes[:, 3] for boxes, _, _ in ground_truths]
            counted = sum(
                int(((labels == label) & ~difficult & (area >= limits[0]) & (area < limits[1])).sum())
                for area, (_, labels, difficult) in zip(areas, ground_truths, strict=True)
            )
            assert result.ground_truths[label] == counted
            if counted:
                recall, precision = right / counted, right / (right + wrong).clamp(min=1)
                assert result.per_class[label] == pytest.approx(average_precision(recall, precision, "area"))
                assert result.recall[label] == pytest.approx(float(recall[-1]) if len(recall) else 0)
