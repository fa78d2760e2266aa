# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
import torch
from torch.nn import functional as F

from model_runner.networks import build_network, fuse_for_inference
from model_runner.networks.clafa import ContextGatedConv
from tests.golden import (
    assert_equal_but_for_rare_flips,
    assert_fused_is_the_same,
    fill,
    golden_input,
    keys_and_shapes,
    official_keys_and_shapes,
    sampled,
)

# the official operator rounds places to float32
TOLERANCE = {"atol": 1e-6, "rtol": 1e-6}


def network_of(size, seed=0):
    return fill(build_network(f"clafa_{size}"), seed)


@pytest.mark.parametrize("size", ["l0", "l2"])
def test_keys_and_shapes_are_the_official_ones_in_their_order(golden_facts, size):
    manifest = golden_facts(f"change_clafa/CLAFA_{size.upper()}.manifest")
    assert keys_and_shapes(build_network(f"clafa_{size}")) == official_keys_and_shapes(manifest)


def test_every_part_is_the_official_one(golden_facts, golden_arrays):
    name = "change_clafa/CLAFA_L0_256_f64"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = network_of("l0", facts["weight_seed"]).double().eval()
    found = {}

    def keep(name):
        return lambda module, inputs, output: found.update({name: output})

    for part in ("p5_to_p4", "p3_to_p2", "fpn.p4_beta", "fpn.p4_Gamma"):
        network.get_submodule(part).register_forward_hook(keep(f"{part}_t2" if part.startswith("fpn") else part))
    network.fpn.p2.register_forward_hook(keep("fpn.p2_dcn_t2"))
    before, after = (golden_input(**each).double() for each in facts["inputs"])
    with torch.inference_mode():
        first = network.fpn(network.backbone(before))
        f2, f3, _, f5 = network.fuse_differences(first, network.fpn(network.backbone(after)))
        found |= {"fpn_t1_p3": first[1], "pred": network.head(f2)}
        for scale, each in ((2, f2), (3, f3), (5, f5)):
            side = network.get_submodule(f"p{scale}_head")(each)
            found[f"pred_p{scale}"] = F.interpolate(side, (256, 256), mode="bilinear")
    assert found.keys() == golden.keys()
    for key, stored in golden.items():
        torch.testing.assert_close(sampled(found[key], facts["arrays"][key]["step"]), stored, **TOLERANCE)


def test_fused_changes_are_the_official_ones(golden_facts, golden_arrays):
    name = "change_clafa/CLAFA_L2_256_f64"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fuse_for_inference(network_of("l2", facts["weight_seed"]).double())
    with torch.inference_mode():
        found = network(*(golden_input(**each).double() for each in facts["inputs"]))
    torch.testing.assert_close(sampled(found, facts["arrays"]["pred"]["step"]), golden["pred"], **TOLERANCE)


def test_changes_in_single_precision_are_the_official_ones_but_for_rare_flips(golden_facts, golden_arrays):
    name = "change_clafa/CLAFA_L0_256"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fuse_for_inference(network_of("l0", facts["weight_seed"]))
    with torch.inference_mode():
        found = network(*(golden_input(**each) for each in facts["inputs"]))
    assert_equal_but_for_rare_flips(sampled(found, facts["arrays"]["pred"]["step"]), golden["pred"])


@pytest.mark.parametrize("shape", [(96, 160), (224, 320)])
def test_any_multiple_of_32_works_square_or_not_and_fused_is_the_same(shape):
    network = network_of("l0").double().eval()
    images = [golden_input([1, 3, *shape], seed).double() for seed in (1, 2)]
    plain = assert_fused_is_the_same(network, *images)
    assert plain.shape == (1, 2, *shape)


def test_each_image_of_a_batch_has_its_own_kernel():
    layer = fill(ContextGatedConv(), 0).double().eval()
    x = golden_input([2, 128, 6, 9], 1).double()
    wanted = []
    for image in x.split(1):
        gate = layer.gate(image)[0].view(128, 128, 3, 3)
        wanted.append(F.conv2d(image, layer.weight * gate, padding=1))
    torch.testing.assert_close(layer(x), torch.cat(wanted), atol=1e-12, rtol=0)


def test_training_gives_logits_of_four_maps():
    network = build_network("clafa_l1", in_channels=4).train()
    logits = network(torch.rand(2, 4, 96, 128), torch.rand(2, 4, 96, 128))
    assert [each.shape for each in logits] == [(2, 2, 96, 128)] * 4


def test_places_stay_precise_when_convolutions_are_not():
    network = network_of("l0").eval()
    images = [golden_input([1, 3, 128, 128], seed) for seed in (1, 2)]
    with torch.inference_mode():
        wanted = network(*images)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(*images)
    assert (found - wanted).abs().median() < 0.05
