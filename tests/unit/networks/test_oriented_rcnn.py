# SPDX-License-Identifier: GPL-2.0-or-later
import math

import pytest
import torch

from model_runner.errors import ModelError
from model_runner.networks import build_network, fuse_for_inference
from model_runner.networks.oriented_rcnn import region_levels, regions_of
from model_runner.rotated_boxes.coders import decode_rotated_deltas
from model_runner.rotated_boxes.geometry import wrap_angle
from tests.golden import fill, golden_input, sampled

CASES = ["ORCNN_L2_512_f64", "ORCNN_L2_necks_512x768_f64"]


@pytest.fixture(scope="module")
def network():
    return fill(build_network("oriented_rcnn_l2", num_classes=15), 0).double().eval()


@pytest.fixture(scope="module", params=CASES)
def case(request, golden_facts, golden_arrays, network):
    """Description, arrays and the pyramid of a golden case."""
    name = f"detection/{request.param}"
    facts = golden_facts(name)
    inputs = [golden_input(**each).double() * facts["feature_multiplier"] for each in facts["inputs"]]
    with torch.inference_mode():
        maps = network.extract(inputs[0]) if len(inputs) == 1 else network.neck(tuple(inputs))
    return facts, golden_arrays(name), maps


def assert_like(facts, golden, name, found):
    """Equal within float64 accuracy, or within that of float32 where the golden file stores that."""
    stored = golden[name]
    tolerance = {"atol": 1e-9, "rtol": 0} if stored.dtype is torch.float64 else {"atol": 2e-6, "rtol": 1e-6}
    found = sampled(found, facts["arrays"][name]["step"])
    torch.testing.assert_close(found, stored, check_dtype=False, **tolerance)


def row_distances(found, wanted):
    """The distance (n,) of each wanted box with score, (n, 6), to the nearest found one; angles count by half turns."""
    difference = (wanted[:, None] - found[None]).abs()
    turn = wrap_angle(difference[..., 4]).abs()
    return torch.cat((difference[..., :4], turn[..., None], difference[..., 5:]), 2).amax(2).amin(1)


def test_keys_and_shapes_are_the_official_ones_in_their_order(golden_facts, network):
    official = [(entry["key"], entry["shape"]) for entry in golden_facts("detection/ORCNN_L2.manifest")["entries"]]
    assert [(key, list(value.shape)) for key, value in network.state_dict().items()] == official


def test_pyramid_and_first_stage_are_the_official_ones(case, network):
    facts, golden, maps = case
    with torch.inference_mode():
        objectness, deltas = network.rpn_head(maps)
    for level in range(5):
        assert_like(facts, golden, f"fpn{level}", maps[level])
        assert_like(facts, golden, f"rpn_cls{level}", objectness[level])
        assert_like(facts, golden, f"rpn_reg{level}", deltas[level])


def test_proposals_are_the_official_ones(case, network):
    _, golden, maps = case
    with torch.inference_mode():
        objectness, deltas = network.rpn_head(maps)
        (found,) = network.rpn_head.proposals(objectness, deltas, network.rpn_head.anchors(maps))
    assert found.shape == golden["proposals"].shape
    # ties among equal scores come in any order
    assert row_distances(found, golden["proposals"]).max() < 1e-9


def test_the_second_stage_is_the_official_one(case, network):
    facts, golden, maps = case
    boxes = golden["proposals"][:, :5]
    regions = regions_of([boxes])
    assert torch.equal(region_levels(regions), golden["roi_levels"])
    with torch.inference_mode():
        assert_like(facts, golden, "roi_feats64", network.roi_head.pool(maps, regions[:64]))
        logits, deltas = network.roi_head(maps, regions)
        assert_like(facts, golden, "cls_score", logits)
        assert_like(facts, golden, "bbox_pred", deltas)
        image_size = tuple(facts["img_shape"])
        assert_like(facts, golden, "decoded", decode_rotated_deltas(boxes, deltas, image_size))
        found = network.roi_head.detections(logits, deltas, boxes, image_size)
    assert torch.equal(found.labels, golden["det_labels"])
    assert_like(facts, golden, "det_bboxes", torch.cat((found.boxes, found.scores[:, None]), 1))


@pytest.mark.parametrize("fused", [False, True])
def test_detections_of_an_image_are_the_official_ones(golden_facts, golden_arrays, fused):
    name = "detection/ORCNN_L2_512_f64"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fill(build_network("oriented_rcnn_l2", num_classes=15), 0).double().eval()
    with torch.inference_mode():
        (found,) = (fuse_for_inference(network) if fused else network)(golden_input(**facts["inputs"][0]).double())
    assert torch.equal(found.labels, golden["det_labels"])
    rows = torch.cat((found.boxes, found.scores[:, None]), 1)
    torch.testing.assert_close(rows, golden["det_bboxes"], atol=1e-9, rtol=0)


def test_detections_in_single_precision_are_the_official_ones_but_for_few(golden_facts, golden_arrays):
    name = "detection/ORCNN_L2_512"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fuse_for_inference(fill(build_network("oriented_rcnn_l2", num_classes=15), 0))
    with torch.inference_mode():
        (found,) = network(golden_input(**facts["inputs"][0]))
    distance = row_distances(torch.cat((found.boxes, found.scores[:, None]), 1), golden["det_bboxes"])
    assert distance.median() < 1e-3
    assert (distance > 0.1).double().mean() < 0.05


def test_anchors_are_the_official_ones(golden_arrays):
    golden = golden_arrays("ops/anchors")
    network = build_network("oriented_rcnn_l0", num_classes=1)
    maps = [torch.zeros(1, 1, *shape) for shape in [(16, 20), (8, 10), (4, 5), (2, 3), (1, 2)]]
    for level, anchors in enumerate(network.rpn_head.anchors(maps)):
        torch.testing.assert_close(anchors, golden[f"grid{level}"], atol=1e-4, rtol=1e-6)


def test_anchors_can_be_smaller_for_smaller_objects():
    maps = [torch.zeros(1, 1, 2, 2)] * 5
    official = build_network("oriented_rcnn_l0", num_classes=1).rpn_head.anchors(maps)
    halved = build_network("oriented_rcnn_l0", num_classes=1, anchor_scale=4).rpn_head.anchors(maps)
    for whole, half in zip(official, halved, strict=True):
        torch.testing.assert_close(half[:, :2] + half[:, 2:], whole[:, :2] + whole[:, 2:])
        torch.testing.assert_close(half[:, 2:] - half[:, :2], (whole[:, 2:] - whole[:, :2]) / 2)


def test_sizes_are_parameters_and_any_shape_and_batch_works():
    network = build_network(
        "oriented_rcnn_l0", num_classes=3, neck_channels=16, rpn_channels=8, head_channels=24, proposals=50
    )
    found = fuse_for_inference(network)(torch.rand(2, 3, 96, 160))
    assert len(found) == 2
    for boxes, scores, labels in found:
        assert boxes.shape == (len(scores), 5)
        assert len(labels) == len(scores)
        assert ((boxes[:, 4] >= -math.pi / 2) & (boxes[:, 4] < math.pi / 2)).all()
        assert (boxes[:, 2] >= boxes[:, 3]).all()


@pytest.mark.parametrize("precision", [torch.bfloat16])
def test_boxes_stay_precise_when_convolutions_are_not(precision):
    network = fuse_for_inference(fill(build_network("oriented_rcnn_l0", num_classes=3, neck_channels=32), 1))
    network.roi_head.score_threshold = 0.0
    with torch.inference_mode(), torch.autocast("cpu", precision):
        (found,) = network(golden_input([1, 3, 128, 128], 0))
    assert found.boxes.dtype is torch.float32
    assert found.scores.dtype is torch.float32
    assert len(found.scores) > 0


def test_unknown_networks_and_options_are_refused_in_one_line():
    with pytest.raises(ModelError, match="no network 'yolo'"):
        build_network("yolo")
    with pytest.raises(ModelError, match="cannot be built"):
        build_network("oriented_rcnn_l0", num_classes=3, colour=1)
