# SPDX-License-Identifier: GPL-2.0-or-later
import math

import pytest
import torch

from model_runner.metrics.confusion import agreement, confusion_matrix

# the official figures have small offsets in their denominators
CLOSE = {"abs": 1e-7}


def test_figures_of_a_segmentation_are_the_official_ones(golden_facts, golden_arrays):
    official, golden = golden_facts("ops/metrics")["results"]["seg"], golden_arrays("ops/metrics")
    confusion = sum(
        confusion_matrix(found, labels, 7, ignored=7)
        for found, labels in zip(golden["seg_pred"], golden["seg_gt"], strict=True)
    )
    assert torch.equal(confusion.double(), golden["seg_confusion"])
    found = agreement(confusion)
    for mine, theirs in (("iou", "IoU"), ("f1", "F1"), ("precision", "Precision"), ("recall", "Recall")):
        assert getattr(found, mine) == pytest.approx(official[theirs], **CLOSE)
    assert found.mean_iou == pytest.approx(official["mIoU"], **CLOSE)
    assert found.mean_f1 == pytest.approx(official["mF1"], **CLOSE)
    assert found.overall_accuracy == pytest.approx(official["OA"], **CLOSE)


def test_figures_of_changes_are_the_official_ones(golden_facts, golden_arrays):
    results, golden = golden_facts("ops/metrics")["results"], golden_arrays("ops/metrics")
    found = agreement(confusion_matrix(golden["cd_pred"], golden["cd_gt"], 2))
    binary, both = results["a2net"], results["clafa"]
    assert found.kappa == pytest.approx(binary["Kappa"], **CLOSE)
    assert found.overall_accuracy == pytest.approx(binary["OA"], **CLOSE)
    changed = [figure[1] for figure in (found.iou, found.f1, found.precision, found.recall)]
    assert changed == pytest.approx([binary[name] for name in ("IoU", "F1", "precision", "recall")], **CLOSE)
    assert found.mean_iou == pytest.approx(both["miou"], **CLOSE)
    assert found.mean_f1 == pytest.approx(both["mf1"], **CLOSE)
    assert found.iou == pytest.approx([both["iou_0"], both["iou_1"]], **CLOSE)
    assert found.f1 == pytest.approx([both["F1_0"], both["F1_1"]], **CLOSE)


def test_means_leave_out_classes_that_are_nowhere():
    found = agreement(confusion_matrix(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 3))
    assert found.mean_iou == pytest.approx(0.5)
    assert math.isnan(found.iou[2])
    assert found.recall[:2] == (1.0, 0.5)


def test_nothing_to_tell_is_no_error():
    found = agreement(confusion_matrix(torch.zeros(4), torch.full((4,), 255), 2, ignored=255))
    assert math.isnan(found.mean_iou)
    assert math.isnan(found.overall_accuracy)
