# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.metrics.detection import NONE, SIZES, curve_of, found_objects, judge, overlaps
from model_runner.rotated_boxes.overlap import pairwise_iou

TRUTH = torch.tensor([[20.0, 20, 20, 10, 0], [60, 60, 40, 40, 0], [200, 200, 150, 100, 0.3]])


def image(boxes, scores, labels, difficult=(False, False, False)):
    found = torch.tensor(boxes).reshape(-1, 5), torch.tensor(scores), torch.tensor(labels, dtype=torch.int64)
    return overlaps(*found, TRUTH, torch.tensor([0, 0, 1]), torch.tensor(difficult))


def test_the_best_detection_of_an_object_is_right_and_the_second_wrong():
    seen = image([[20, 20, 20, 9, 0], [20, 20, 20, 10, 0], [60, 60, 40, 40, 0]], [0.5, 0.9, 0.7], [0, 0, 1])
    assert seen.order.tolist() == [1, 2, 0]
    judged = judge(seen, 0.5)
    assert judged.right.tolist() == [True, False, False]
    assert judged.wrong.tolist() == [False, True, True]
    assert seen.matched.tolist() == [0, NONE, 0]
    assert seen.nearest.tolist() == [0, 1, 0]
    assert found_objects(seen, judged, 0.8).tolist() == [True, False, False]
    assert found_objects(seen, judged, 0.95).tolist() == [False, False, False]
    assert seen.object_iou.tolist() == [1, 1, 0]


def test_a_detection_of_a_difficult_object_is_neither_right_nor_wrong():
    judged = judge(image([[20, 20, 20, 10, 0]], [0.9], [0], (True, False, False)), 0.5)
    assert not judged.right.any()
    assert not judged.wrong.any()


def test_the_best_threshold_is_that_of_the_highest_f1_and_takes_all_of_equal_score():
    seen = image(
        [[20, 20, 20, 10, 0], [300, 20, 20, 10, 0], [60, 60, 40, 40, 0], [400, 60, 40, 40, 0]],
        [0.9, 0.6, 0.6, 0.2],
        [0, 0, 0, 0],
    )
    curve = curve_of([seen], [judge(seen, 0.5)], label=0)
    assert curve.best_threshold() == pytest.approx(0.6)
    assert curve.at(0.6) == pytest.approx((2 / 3, 1, 0.8))
    assert curve.at(0.95)[1:] == (0, 0)


def test_objects_count_in_their_own_size_and_what_is_false_in_its_own():
    seen = image([[20, 20, 20, 10, 0], [60, 60, 40, 40, 0], [300, 300, 10, 10, 0]], [0.9, 0.8, 0.7], [0, 0, 0])
    judged = judge(seen, 0.5)
    at = {name: curve_of([seen], [judged], size=limits).at(0.5) for name, limits in SIZES.items()}
    assert at["small"][:2] == (0.5, 1)
    assert at["medium"][:2] == (1, 1)
    assert at["large"][1] == 0


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(4, 30), st.floats(4, 30), st.integers(0, 1)),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 1000),
)
def test_overlaps_are_those_of_all_pairs(objects, seed):
    torch.manual_seed(seed)
    truth = torch.tensor([[*each[:4], 0.2] for each in objects])
    truth_labels = torch.tensor([each[4] for each in objects])
    boxes, scores, labels = truth + torch.randn_like(truth), torch.rand(len(truth)), torch.randint(0, 2, (len(truth),))
    boxes[:, 2:4] = boxes[:, 2:4].clamp(min=1)
    seen = overlaps(boxes, scores, labels, truth, truth_labels, torch.zeros(len(truth), dtype=torch.bool))
    dense = pairwise_iou(boxes[seen.order].double(), truth.double())
    torch.testing.assert_close(seen.iou_of_any, dense.amax(1))
    torch.testing.assert_close(seen.object_iou, dense.amax(0))
    own = dense.masked_fill(labels[seen.order][:, None] != truth_labels, 0)
    torch.testing.assert_close(seen.iou, own.amax(1))
