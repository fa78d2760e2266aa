# SPDX-License-Identifier: GPL-2.0-or-later
import torch
from torch.nn import functional as F

from model_runner.networks.deformable import DeformableAttention, modulated_deformable_conv
from tests.golden import fill, golden_input


def test_deformable_convolutions_are_the_official_ones(golden_arrays):
    golden = golden_arrays("ops/modulated_deform_conv2d")
    offsets, mask, wanted = (golden[f"{name}_s1_p1_d1_dg4"] for name in ("offset", "mask", "out"))
    found = modulated_deformable_conv(golden["x"], offsets, mask, golden["weight"], golden["bias"])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_taps_at_their_usual_places_make_a_convolution():
    x, weight = golden_input([2, 8, 5, 7], 0).double(), golden_input([6, 8, 3, 3], 1).double()
    bias = golden_input([6], 2).double()
    offsets, mask = x.new_zeros(2, 36, 5, 7), x.new_ones(2, 18, 5, 7)
    for memory in (torch.contiguous_format, torch.channels_last):
        found = modulated_deformable_conv(x.to(memory_format=memory), offsets, mask, weight, bias)
        torch.testing.assert_close(found, F.conv2d(x, weight, bias, padding=1), atol=1e-12, rtol=0)


def test_deformable_attention_is_the_official_one(golden_facts, golden_arrays):
    golden = golden_arrays("ops/ms_deform_attn")
    attention = fill(DeformableAttention(16, 8), golden_facts("ops/ms_deform_attn")["rng_seed"])
    value = golden["module_value"].transpose(1, 2).unflatten(2, (8, 6))
    reference = golden["module_reference_points"][0, :, 0]
    found = attention(golden["module_query"], golden["module_query_pos"], reference, value)
    torch.testing.assert_close(found, golden["module_out"], atol=1e-5, rtol=1e-5)
