# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
import torch

from model_runner.networks import build_network, fuse_for_inference
from model_runner.networks.unetformer import _pad_to_windows
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
    return fill(build_network(f"unetformer_{size}", num_classes=7), seed)


@pytest.mark.parametrize("size", SIZES)
def test_keys_and_shapes_are_the_official_ones_in_their_order(golden_facts, size):
    manifest = golden_facts(f"segmentation/UNetFormer_{size.upper()}_nc7.manifest")
    assert keys_and_shapes(build_network(f"unetformer_{size}", num_classes=7)) == official_keys_and_shapes(manifest)


@pytest.mark.parametrize(("size", "prepare"), [("l0", torch.nn.Module.eval), ("l2", fuse_for_inference)])
def test_logits_are_the_official_ones(golden_facts, golden_arrays, size, prepare):
    name = f"segmentation/UNetFormer_{size.upper()}_nc7_512_f64"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = prepare(network_of(size, facts["weight_seed"]).double())
    with torch.inference_mode():
        found = network(golden_input(**facts["inputs"][0]).double())
    torch.testing.assert_close(sampled(found, facts["arrays"]["out"]["step"]), golden["out"], atol=1e-9, rtol=1e-6)


def test_logits_in_single_precision_are_the_official_ones_but_for_rare_flips(golden_facts, golden_arrays):
    name = "segmentation/UNetFormer_L0_nc7_256"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fuse_for_inference(network_of("l0", facts["weight_seed"]))
    with torch.inference_mode():
        found = sampled(network(golden_input(**facts["inputs"][0])), facts["arrays"]["out"]["step"])
    assert_equal_but_for_rare_flips(found, golden["out"])


@pytest.mark.parametrize("size", SIZES)
def test_the_decoder_is_the_official_one_on_maps_that_are_not_square(golden_facts, golden_arrays, size):
    name = f"segmentation/UNetFormer_{size.upper()}_nc7_decoder_320x256"
    facts, golden = golden_facts(name), golden_arrays(name)
    decoder = network_of(size, facts["weight_seed"]).decoder.double().eval()
    with torch.inference_mode():
        logits = decoder(tuple(golden_input(**each).double() for each in facts["inputs"]), (320, 256))
    found = sampled(logits, facts["arrays"]["logits"]["step"])
    torch.testing.assert_close(found.float(), golden["logits"], atol=5e-6, rtol=1e-6)


@pytest.mark.parametrize("shape", [(96, 160), (224, 320)])
def test_any_multiple_of_32_works_square_or_not_and_fused_is_the_same(shape):
    network = network_of("l0").double().eval()
    image = golden_input([1, 3, *shape], 1).double()
    plain = assert_fused_is_the_same(network, image)
    assert plain.shape == (1, 7, *shape)


def test_maps_are_padded_to_windows_by_reflection_else_by_replication():
    padded = _pad_to_windows(torch.arange(5 * 3.0).view(1, 1, 5, 3))[0, 0]
    assert padded[0].tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    assert padded[:, 0].tolist() == [0, 3, 6, 9, 12, 9, 6, 3]


def test_training_gives_logits_of_both_heads():
    network = build_network("unetformer_l1", num_classes=4, in_channels=4).train()
    main, auxiliary = network(torch.rand(2, 4, 96, 128))
    assert main.shape == auxiliary.shape == (2, 4, 96, 128)


@pytest.mark.parametrize(("size", "rate"), [("l0", 0.0), ("l1", 0.1), ("l2", 0.1)])
def test_blocks_are_dropped_as_published(size, rate):
    network = build_network(f"unetformer_{size}", num_classes=2)
    assert network.backbone.stages[6].blocks[-1].drop_path == pytest.approx(rate)
