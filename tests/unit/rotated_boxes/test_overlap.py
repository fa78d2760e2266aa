# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.rotated_boxes.geometry import corners, enclosing_boxes
from model_runner.rotated_boxes.overlap import (
    class_wise_rotated_nms,
    horizontal_nms,
    level_wise_horizontal_nms,
    overlapping_pairs,
    paired_iof,
    paired_iou,
    pairwise_iof,
    pairwise_iou,
    rotated_nms,
)

# Pairs of nearly parallel boxes with coinciding edges for which the official float32 operator is wrong: its values
# are not even symmetric.
WRONG = {
    "iou": [(5, 8), (8, 5), (16, 22), (22, 16)],
    "iof": [(5, 8), (8, 5), (16, 22), (22, 16), (13, 5), (13, 22), (13, 23)],
}


def random_boxes(count, seed, extent=60.0):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    return unit * torch.tensor([extent, extent, 30, 15, 3.0]) + torch.tensor([0, 0, 0.5, 0.5, -1.5])


@pytest.mark.parametrize(("name", "measure"), [("iou", pairwise_iou), ("iof", pairwise_iof)])
def test_overlaps_are_the_official_ones(golden_arrays, name, measure):
    golden = golden_arrays("ops/box_iou_rotated")
    found = measure(golden["boxes1"].double(), golden["boxes2"].double()).float()
    for pair in WRONG[name]:
        found[pair] = golden[name][pair]
    torch.testing.assert_close(found, golden[name], atol=2e-4, rtol=1e-4)


def test_paired_overlaps_are_the_official_ones(golden_arrays):
    golden = golden_arrays("ops/box_iou_rotated")
    found = paired_iou(golden["boxes1"].double(), golden["aligned2"].double()).float()
    torch.testing.assert_close(found, golden["iou_aligned"], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_overlaps_agree_with_polygons(dtype):
    first, second = random_boxes(300, 0), random_boxes(300, 1)
    polygons = [shapely.polygons(corners(boxes).numpy()) for boxes in (first, second)]
    common = torch.from_numpy(shapely.area(shapely.intersection(*polygons)))
    union = torch.from_numpy(shapely.area(shapely.union(*polygons)))
    found = paired_iou(first.to(dtype), second.to(dtype)).double()
    torch.testing.assert_close(found, common / union, atol=1e-9 if dtype is torch.float64 else 1e-4, rtol=0)


def test_a_box_without_area_overlaps_nothing():
    flat = torch.tensor([[5.0, 5, 4, 0, 0], [5, 5, 0, 0, 1]])
    whole = torch.tensor([[5.0, 5, 4, 4, 0]]).expand(2, -1)
    assert paired_iou(flat, whole).tolist() == [0, 0]
    assert paired_iof(flat, whole).tolist() == [0, 0]


@settings(max_examples=50)
@given(st.floats(-3.2, 3.2), st.floats(0.1, 100), st.floats(0.1, 100), st.floats(-1e5, 1e5))
def test_a_box_overlaps_itself_wholly(angle, width, height, centre):
    box = torch.tensor([[centre, -centre, width, height, angle]], dtype=torch.float64)
    assert paired_iou(box, box).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.8])
def test_suppression_keeps_the_official_boxes(golden_arrays, threshold):
    golden = golden_arrays("ops/nms_rotated")
    kept = rotated_nms(golden["boxes"], golden["scores"], threshold)
    assert kept.tolist() == golden[f"keep_{threshold}"].tolist()
    kept = rotated_nms(golden["boxes"].double(), golden["scores"].double(), threshold)
    assert kept.tolist() == golden[f"keep_{threshold}_f64"].tolist()


@pytest.mark.parametrize("threshold", [0.3, 0.8])
def test_horizontal_suppression_keeps_the_official_boxes(golden_arrays, threshold):
    golden = golden_arrays("ops/nms_horizontal")
    assert horizontal_nms(golden["boxes"], golden["scores"], threshold).tolist() == golden[f"keep_{threshold}"].tolist()
    kept = level_wise_horizontal_nms(golden["boxes"], golden["scores"], golden["ids"], threshold)
    assert kept.tolist() == golden[f"keep_batched_{threshold}"].tolist()


@pytest.mark.parametrize("settings_", ["0.05_0.1_2000", "0.05_0.1_50", "0.2_0.5_2000"])
def test_class_wise_suppression_keeps_the_official_boxes(golden_arrays, settings_):
    golden = golden_arrays("ops/multiclass_nms_rotated")
    least_score, threshold, most = (float(part) for part in settings_.split("_"))
    box, label = (golden["scores"][:, :-1] > least_score).nonzero(as_tuple=True)
    boxes, scores = golden["boxes"][box], golden["scores"][box, label]
    kept = class_wise_rotated_nms(boxes, scores, label, threshold)[: int(most)]
    assert kept.tolist() == golden[f"keep_{settings_}"].tolist()
    assert label[kept].tolist() == golden[f"labels_{settings_}"].tolist()


def test_suppression_of_nothing_keeps_nothing():
    nothing, scores, labels = torch.zeros(0, 5), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    assert class_wise_rotated_nms(nothing, scores, labels, 0.1).tolist() == []
    assert horizontal_nms(torch.zeros(0, 4), scores, 0.1).tolist() == []
    assert overlapping_pairs(nothing).shape == (0, 2)


def one_after_the_other(boxes, scores, threshold):
    """The textbook's greedy suppression."""
    overlap = pairwise_iou(boxes, boxes)
    kept = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        if all(overlap[better, index] < threshold for better in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize("seed", range(5))
def test_suppression_in_rounds_is_the_greedy_one(seed):
    boxes = random_boxes(200, seed)
    scores = torch.rand(200, generator=torch.Generator().manual_seed(seed)).round(decimals=1)  # with ties
    assert rotated_nms(boxes, scores, 0.2).tolist() == one_after_the_other(boxes, scores, 0.2)


@pytest.mark.parametrize(
    "scale", [[1, 1, 1, 1, 1], [0, 1, 1, 1, 1], [1, 0, 1, 1, 1], [1, 1, 40, 1, 1], [1, 1, 0, 0, 1]]
)
def test_touching_pairs_are_found_once(scale):
    boxes = random_boxes(150, 3, extent=200) * torch.tensor(scale)
    boxes[0, 2:4] = 500  # a giant among them
    hulls = enclosing_boxes(boxes)
    touch = (hulls[:, None, :2] <= hulls[None, :, 2:]).all(2) & (hulls[None, :, :2] <= hulls[:, None, 2:]).all(2)
    wanted = {tuple(pair) for pair in touch.triu(1).nonzero().tolist()}
    found = [tuple(sorted(pair)) for pair in overlapping_pairs(boxes).tolist()]
    assert len(found) == len(set(found))
    assert set(found) == wanted
