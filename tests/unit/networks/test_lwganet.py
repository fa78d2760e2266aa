# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
import torch

from model_runner.networks import build_network, fuse_for_inference
from model_runner.networks.lwganet import LargeKernelAttention, MediumRangeAttention
from tests.golden import (
    assert_equal_but_for_rare_flips,
    assert_official_step,
    fill,
    golden_input,
    keys_and_shapes,
    official_keys_and_shapes,
    sampled,
)

SIZES = ["l0", "l1", "l2"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "manifest", "options"),
    [
        ("backbone", "backbone/LWGANet_{}_fork_feat", {}),
        ("classifier", "classification/LWGANet_{}_nc45", {"num_classes": 45}),
    ],
)
def test_keys_and_shapes_are_the_official_ones_in_their_order(golden_facts, size, name, manifest, options):
    network = build_network(f"{name}_{size}", **options)
    official = official_keys_and_shapes(golden_facts(f"{manifest.format(size.upper())}.manifest"))
    assert keys_and_shapes(network) == official


@pytest.mark.parametrize("size", SIZES)
def test_maps_are_the_official_ones(golden_facts, golden_arrays, size):
    name = f"backbone/LWGANet_{size.upper()}_fork_feat_256_f64"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fill(build_network(f"backbone_{size}"), facts["weight_seed"]).double().eval()
    image = golden_input(**facts["inputs"][0]).double()
    with torch.inference_mode():
        plain = network(image)
        fused = fuse_for_inference(network)(image)
    for index in range(4):
        stored = golden[f"out{index}"]
        step = facts["arrays"][f"out{index}"]["step"]
        for maps in (plain, fused):
            torch.testing.assert_close(sampled(maps[index], step), stored, atol=1e-9, rtol=1e-6)


def test_maps_in_single_precision_are_the_official_ones_but_for_rare_flips(golden_facts, golden_arrays):
    name = "backbone/LWGANet_L0_fork_feat_320"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fill(build_network("backbone_l0"), facts["weight_seed"]).eval()
    with torch.inference_mode():
        maps = network(golden_input(**facts["inputs"][0]))
    for index in range(4):
        assert_equal_but_for_rare_flips(
            sampled(maps[index], facts["arrays"][f"out{index}"]["step"]), golden[f"out{index}"]
        )


@pytest.mark.parametrize("size", SIZES)
def test_logits_of_scenes_are_the_official_ones(golden_facts, golden_arrays, size):
    name = f"classification/LWGANet_{size.upper()}_nc45_224_f64"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fill(build_network(f"classifier_{size}", num_classes=45), facts["weight_seed"]).double().eval()
    with torch.inference_mode():
        logits = network(golden_input(**facts["inputs"][0]).double())
    torch.testing.assert_close(sampled(logits, facts["arrays"]["out"]["step"]), golden["out"], atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_a_training_step_is_the_official_one(golden_facts, golden_arrays, size):
    name = f"train_step/backbone_{size.upper()}_128"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fill(build_network(f"backbone_{size}"), facts["weight_seed"]).double().train()
    maps = network(golden_input(**facts["inputs"][0]).double())
    loss = sum((each * golden_input(each.shape, 4010 + i).double()).mean() for i, each in enumerate(maps))
    loss.backward()
    assert loss.item() == pytest.approx(facts["loss"], abs=1e-12)
    assert_official_step(network, facts, golden)


@pytest.mark.parametrize("shape", [(96, 160), (224, 96), (320, 128)])
def test_any_multiple_of_32_works_square_or_not(shape):
    network = fill(build_network("backbone_l0"), 0).eval()
    with torch.inference_mode():
        maps = network(torch.zeros(1, 3, *shape))
    assert [tuple(each.shape[2:]) for each in maps] == [(shape[0] // s, shape[1] // s) for s in (4, 8, 16, 32)]


def test_strip_convolutions_follow_their_direct_formulas():
    attention = fill(MediumRangeAttention(2), 3).double()
    reduced = golden_input([1, 2, 14, 17], 5).double()
    wanted = attention.H_att1(reduced) + attention.V_att1(reduced)
    padded = torch.nn.functional.pad(reduced, (12, 12, 12, 12))

    def shifted(row, column):
        return padded[..., 12 + row : 26 + row, 12 + column : 29 + column]

    for p in range(-5, 6):
        for q in range(-1, 2):
            wanted = wanted + attention.H_att2.weight[:, 0, p + 5, q + 1, None, None] * shifted(p, q - p)
            wanted = wanted + attention.V_att2.weight[:, 0, q + 1, p + 5, None, None] * shifted(q - p, p)
    torch.testing.assert_close(attention.strips(reduced), wanted, atol=1e-12, rtol=0)


def test_the_global_part_works_on_odd_maps():
    part = fill(LargeKernelAttention(8, torch.nn.GELU), 0)
    assert part(torch.rand(1, 8, 13, 9)).shape == (1, 8, 13, 9)


def test_dropped_paths_leave_the_input_and_only_in_training():
    network = fill(build_network("backbone_l0", drop_path=0.9), 0)
    image = golden_input([2, 3, 96, 96], 1)
    network.eval()
    assert all(torch.equal(a, b) for a, b in zip(network(image), network(image), strict=True))
    network.train()
    torch.manual_seed(0)
    assert not torch.equal(network(image)[3], network(image)[3])


@pytest.mark.parametrize(
    ("name", "options", "dates"),
    [
        ("classifier_l0", {"num_classes": 2}, 1),
        ("unetformer_l0", {"num_classes": 2}, 1),
        ("a2net_l0", {}, 2),
        ("clafa_l0", {}, 2),
    ],
)
def test_a_single_image_of_the_smallest_size_can_be_learnt_from(name, options, dates):
    torch.manual_seed(0)
    network = build_network(name, **options).train()
    answer = network(*(torch.randn(1, 3, 96, 96) for _ in range(dates)))
    sum(each.square().mean() for each in ([answer] if isinstance(answer, torch.Tensor) else answer)).backward()
    trunk = getattr(network, "backbone", network)
    strips = trunk.stages[6].blocks[0].MRA
    assert strips.H_att1.weight.grad.abs().sum() > 0
    assert torch.equal(strips.norm.running_var, torch.ones(64))  # one value has no spread


def test_four_bands_are_possible():
    assert build_network("classifier_l0", num_classes=2, in_channels=4)(torch.zeros(2, 4, 96, 96)).shape == (2, 2)
