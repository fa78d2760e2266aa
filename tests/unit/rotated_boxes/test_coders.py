# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
import torch

from model_runner.rotated_boxes.coders import (
    decode_midpoint_offsets,
    decode_rotated_deltas,
    encode_midpoint_offsets,
    encode_rotated_deltas,
)
from model_runner.rotated_boxes.geometry import corners, wrap_angle


@pytest.fixture
def golden(golden_arrays):
    return golden_arrays("ops/coders")


def test_midpoint_offsets_are_the_official_ones(golden):
    found = encode_midpoint_offsets(golden["anchors"], golden["gt"])
    torch.testing.assert_close(found, golden["mid_encode"], atol=1e-4, rtol=1e-4)


def test_midpoint_offsets_lead_to_the_official_boxes(golden):
    found = decode_midpoint_offsets(golden["anchors"].double(), golden["deltas6"].double())
    torch.testing.assert_close(found, golden["mid_decode_f64"], atol=1e-9, rtol=1e-9)
    found = decode_midpoint_offsets(golden["anchors"], golden["deltas6"])
    torch.testing.assert_close(found[:, :4], golden["mid_decode"][:, :4], atol=1e-3, rtol=1e-4)
    assert wrap_angle(found[:, 4] - golden["mid_decode"][:, 4]).abs().max() < 1e-4


def test_rotated_deltas_are_the_official_ones(golden):
    found = encode_rotated_deltas(golden["proposals"], golden["gt"])
    torch.testing.assert_close(found, golden["xywha_encode"], atol=1e-4, rtol=1e-4)


def test_rotated_deltas_lead_to_the_official_boxes(golden):
    proposals, deltas = golden["proposals"], golden["deltas5"]
    found = decode_rotated_deltas(proposals.double(), deltas.double())
    torch.testing.assert_close(found, golden["xywha_decode_f64"], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(decode_rotated_deltas(proposals, deltas), golden["xywha_decode"], atol=1e-3, rtol=1e-4)
    clipped = decode_rotated_deltas(proposals, deltas, image_size=(80, 90))
    torch.testing.assert_close(clipped, golden["xywha_decode_clipped"], atol=1e-3, rtol=1e-4)


def test_what_is_encoded_is_decoded(golden):
    boxes, anchors, proposals = golden["gt"].double(), golden["anchors"].double(), golden["proposals"].double()
    for decoded in (
        decode_rotated_deltas(proposals, encode_rotated_deltas(proposals, boxes)),
        decode_midpoint_offsets(anchors, encode_midpoint_offsets(anchors, boxes)),
    ):
        fits = (boxes[:, 2:4] / proposals[:, 2:4]).log().abs().amax(1) < 4  # growth is limited
        hull = corners(boxes).amax(1) - corners(boxes).amin(1)
        fits &= (hull / (anchors[:, 2:] - anchors[:, :2])).log().abs().amax(1) < 4
        assert fits.sum() > 40
        apart = torch.cdist(corners(decoded), corners(boxes)).amin(2).amax(1)
        assert apart[fits].max() < 0.2  # vertices within 0.1 pixels count as equally high
