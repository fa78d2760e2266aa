# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
import torch

from model_runner.networks import build_network
from model_runner.networks.oriented_rcnn import regions_of
from model_runner.rotated_boxes.coders import encode_midpoint_offsets, encode_rotated_deltas
from model_runner.rotated_boxes.geometry import enclosing_boxes
from model_runner.rotated_boxes.overlap import pairwise_iou
from model_runner.training.oriented_rcnn_loss import (
    choose_anchors,
    choose_at_random,
    choose_regions,
    oriented_rcnn_losses,
    regions_to_learn_from,
)
from tests.golden import fill, golden_input

SINGLE, DOUBLE = "losses/ORCNN_L2_losses_512", "losses/ORCNN_L2_losses_512_f64"


def first_ones(candidates, count):
    """The stand-in for chance in the golden files."""
    return candidates[:count]


@pytest.fixture(scope="module")
def anchors():
    network = build_network("oriented_rcnn_l0", num_classes=1)
    return torch.cat(network.rpn_head.anchors([torch.zeros(1, 1, 512 // s, 512 // s) for s in (4, 8, 16, 32, 64)]))


def test_anchors_stand_for_the_official_objects(golden_arrays, anchors):
    golden = golden_arrays(SINGLE)
    chosen = choose_anchors(anchors, golden["gt_bboxes"], (512, 512), first_ones)
    assert chosen.foreground.tolist() == golden["rpn_pos_anchor_index"].tolist()
    assert len(chosen.background) == len(golden["rpn_neg_inds"])
    targets = encode_midpoint_offsets(anchors[chosen.foreground], golden["gt_bboxes"][chosen.objects])
    torch.testing.assert_close(targets, golden["rpn_pos_targets"], atol=1e-4, rtol=1e-4)


def test_regions_stand_for_the_official_objects(golden_arrays):
    golden = golden_arrays(SINGLE)
    boxes = golden["gt_bboxes"]
    regions = torch.cat((boxes, golden["proposals"][:, :5]))
    chosen = choose_regions(regions, boxes, first_ones, 512)
    sampled = regions[torch.cat((chosen.foreground, chosen.background))]
    torch.testing.assert_close(regions_of([sampled]), golden["rois"])
    foreground = len(chosen.foreground)
    assert golden["gt_labels"][chosen.objects].tolist() == golden["roi_labels"][:foreground].tolist()
    assert (golden["roi_labels"][foreground:] == 15).all()
    targets = encode_rotated_deltas(regions[chosen.foreground], boxes[chosen.objects])
    torch.testing.assert_close(targets, golden["roi_bbox_targets"][:foreground], atol=1e-4, rtol=1e-4)


def test_losses_and_gradients_are_the_official_ones(golden_facts, golden_arrays):
    facts, golden = golden_facts(SINGLE), golden_arrays(SINGLE)
    network = fill(build_network("oriented_rcnn_l2", num_classes=15), facts["weight_seed"]).eval()
    losses = oriented_rcnn_losses(
        network, golden_input(**facts["inputs"][0]), [golden["gt_bboxes"]], [golden["gt_labels"]], first_ones
    )
    official = facts["results"]
    assert losses.objectness.item() == pytest.approx(sum(official["loss_rpn_cls"]), rel=1e-5)
    assert losses.proposal.item() == pytest.approx(sum(official["loss_rpn_bbox"]), rel=1e-5)
    assert losses.classification.item() == pytest.approx(official["loss_cls"], rel=1e-5)
    assert losses.refinement.item() == pytest.approx(official["loss_bbox"], rel=1e-5)
    sum(losses).backward()
    parameters = dict(network.named_parameters())
    found = {key: parameters[key].grad.norm().item() for key in official["grad_norms"]}
    assert found == pytest.approx(official["grad_norms"], rel=2e-3)  # float32; an arg-max may flip
    total = torch.stack([each.grad.norm() for each in parameters.values() if each.grad is not None]).norm()
    assert total.item() == pytest.approx(official["grad_norm_total"], rel=1e-3)


def test_the_second_stage_in_double_precision_is_the_official_one(golden_facts, golden_arrays):
    facts, golden = golden_facts(DOUBLE), golden_arrays(DOUBLE)
    network = fill(build_network("oriented_rcnn_l2", num_classes=15), facts["weight_seed"]).double().eval()
    losses = oriented_rcnn_losses(
        network, golden_input(**facts["inputs"][0]).double(), [golden["gt_bboxes"]], [golden["gt_labels"]], first_ones
    )
    official = facts["results"]
    # float64 computation on targets and stored losses that are rounded to float32
    assert losses.classification.item() == pytest.approx(official["loss_cls"], rel=1e-6)
    assert losses.refinement.item() == pytest.approx(official["loss_bbox"], rel=1e-6)
    (losses.classification + losses.refinement).backward()
    parameters = dict(network.named_parameters())
    head = {key: norm for key, norm in official["grad_norms"].items() if key.startswith("roi_head")}
    assert {key: parameters[key].grad.norm().item() for key in head} == pytest.approx(head, rel=1e-6)


@pytest.fixture
def light():
    torch.manual_seed(0)
    return build_network(
        "oriented_rcnn_l0", num_classes=2, neck_channels=16, rpn_channels=16, head_channels=32, proposals=100
    )


def test_images_without_objects_teach_the_background(light):
    losses = oriented_rcnn_losses(
        light, torch.rand(2, 3, 128, 128), [torch.zeros(0, 5)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2
    )
    assert losses.proposal.item() == losses.refinement.item() == 0
    assert losses.objectness.item() > 0
    sum(losses).backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in light.parameters())


def test_a_network_learns_one_image_by_heart(light):
    torch.manual_seed(1)
    box = torch.tensor([[60.0, 70.0, 60.0, 24.0, 0.5]])
    image = torch.zeros(1, 3, 128, 128)
    left, top, right, bottom = enclosing_boxes(box)[0].long().tolist()
    image[..., top:bottom, left:right] = 2
    optimizer = torch.optim.AdamW(light.parameters(), 2e-3)
    for _ in range(100):
        optimizer.zero_grad()
        sum(oriented_rcnn_losses(light, image, [box], [torch.tensor([1])])).backward()
        optimizer.step()
    (found,) = light.eval()(image)
    assert found.labels[0] == 1
    assert found.scores[0] > 0.4
    assert pairwise_iou(found.boxes[:1], box).item() > 0.6


def test_chance_chooses_without_repetition():
    torch.manual_seed(0)
    chosen = choose_at_random(torch.arange(100, 200), 30)
    assert len(set(chosen.tolist())) == 30
    assert choose_at_random(torch.arange(5), 30).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("height", "width", "regions"), [(1024, 1024, 512), (512, 512, 512), (256, 256, 128), (256, 512, 256), (96, 96, 64)]
)
def test_small_images_teach_by_fewer_regions(height, width, regions):
    assert regions_to_learn_from(height, width) == regions
