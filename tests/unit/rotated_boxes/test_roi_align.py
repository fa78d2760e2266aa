# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
import torch

from model_runner.rotated_boxes.roi_align import rotated_roi_align


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_samples_are_the_official_ones(golden_arrays, stride):
    golden = golden_arrays("ops/roi_align_rotated")
    found = rotated_roi_align(golden["feat"], golden["rois"], 1 / stride)
    torch.testing.assert_close(found, golden[f"out_stride{stride}_cw1_aligned1_s2"], atol=1e-4, rtol=1e-4)


def test_the_gradient_is_the_official_one(golden_arrays):
    golden = golden_arrays("ops/roi_align_rotated")
    features = golden["feat"].double().requires_grad_()
    found = rotated_roi_align(features, golden["rois"].double(), 1 / 8)
    (found * golden["grad_out_stride8"].double()).sum().backward()
    torch.testing.assert_close(features.grad, golden["grad_feat_stride8"], atol=1e-9, rtol=1e-6)


def test_the_image_index_chooses_the_map():
    features = torch.stack((torch.zeros(1, 8, 12), torch.ones(1, 8, 12)))
    rois = torch.tensor([[1.0, 6, 4, 4, 4, 0.3], [0, 6, 4, 4, 4, 0.3]])
    found = rotated_roi_align(features, rois, 1.0)
    assert found[0].allclose(torch.ones(1, 7, 7))
    assert found[1].abs().max() == 0


def test_no_regions_give_no_features():
    assert rotated_roi_align(torch.zeros(1, 3, 8, 8), torch.zeros(0, 6), 0.25).shape == (0, 3, 7, 7)
