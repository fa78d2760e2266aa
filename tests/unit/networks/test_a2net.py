# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
import torch

from model_runner.networks import build_network, fuse_for_inference
from tests.golden import (
    assert_equal_but_for_rare_flips,
    assert_fused_is_the_same,
    fill,
    golden_input,
    keys_and_shapes,
    official_keys_and_shapes,
    sampled,
)

SIZES = ["l0", "l2"]


def network_of(size, seed=0):
    return fill(build_network(f"a2net_{size}"), seed)


@pytest.mark.parametrize("size", SIZES)
def test_keys_and_shapes_are_the_official_ones_in_their_order(golden_facts, size):
    manifest = golden_facts(f"change_a2net/A2Net_{size.upper()}.manifest")
    assert keys_and_shapes(build_network(f"a2net_{size}")) == official_keys_and_shapes(manifest)


@pytest.mark.parametrize(("size", "prepare"), [("l0", torch.nn.Module.eval), ("l2", fuse_for_inference)])
def test_changes_are_the_official_ones(golden_facts, golden_arrays, size, prepare):
    name = f"change_a2net/A2Net_{size.upper()}_256_f64"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = prepare(network_of(size, facts["weight_seed"]).double())
    with torch.inference_mode():
        found = network(*(golden_input(**each).double() for each in facts["inputs"])).sigmoid()
    step = facts["arrays"]["mask_p2"]["step"]
    torch.testing.assert_close(sampled(found, step), golden["mask_p2"], atol=1e-9, rtol=1e-6)


def test_changes_in_single_precision_are_the_official_ones_but_for_rare_flips(golden_facts, golden_arrays):
    name = "change_a2net/A2Net_L0_256"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fuse_for_inference(network_of("l0", facts["weight_seed"]))
    with torch.inference_mode():
        found = network(*(golden_input(**each) for each in facts["inputs"])).sigmoid()
    assert_equal_but_for_rare_flips(sampled(found, facts["arrays"]["mask_p2"]["step"]), golden["mask_p2"])


@pytest.mark.parametrize("size", SIZES)
def test_masks_are_the_official_ones_on_maps_that_are_not_square(golden_facts, golden_arrays, size):
    name = f"change_a2net/A2Net_{size.upper()}_head_256x320"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = network_of(size, facts["weight_seed"]).double().eval()
    maps = [golden_input(**each).double() for each in facts["inputs"]]
    with torch.inference_mode():
        masks = network.decoder(network.tfm(network.swa(maps[:4]), network.swa(maps[4:])))
    for scale, mask in enumerate(masks, 2):
        key = f"mask_p{scale}_raw"
        found = sampled(mask, facts["arrays"][key]["step"])
        torch.testing.assert_close(found.float(), golden[key], atol=5e-6, rtol=1e-6)


@pytest.mark.parametrize("shape", [(96, 160), (224, 320)])
def test_any_multiple_of_32_works_square_or_not_and_fused_is_the_same(shape):
    network = network_of("l0").double().eval()
    images = [golden_input([1, 3, *shape], seed).double() for seed in (1, 2)]
    plain = assert_fused_is_the_same(network, *images)
    assert plain.shape == (1, 1, *shape)


def test_the_order_of_the_dates_makes_no_difference():
    network = network_of("l0").eval()
    images = [golden_input([1, 3, 96, 96], seed) for seed in (1, 2)]
    with torch.inference_mode():
        assert torch.equal(network(*images), network(*images[::-1]))


def test_training_gives_four_masks():
    network = build_network("a2net_l1", in_channels=4).train()
    masks = network(torch.rand(2, 4, 96, 128), torch.rand(2, 4, 96, 128))
    assert [mask.shape for mask in masks] == [(2, 1, 96, 128)] * 4


@pytest.mark.parametrize(("size", "rate"), [("l0", 0.0), ("l1", 0.0), ("l2", 0.1)])
def test_blocks_are_dropped_as_published(size, rate):
    assert build_network(f"a2net_{size}").backbone.stages[6].blocks[-1].drop_path == pytest.approx(rate)
