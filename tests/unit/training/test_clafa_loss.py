# SPDX-License-Identifier: GPL-2.0-or-later
import itertools

import numpy as np
import pytest
import torch

from model_runner.networks import build_network, clafa
from model_runner.networks.clafa import ChangeLogits
from model_runner.training.clafa_loss import clafa_losses, focal_loss, overlap_loss
from tests.golden import assert_official_step, fill, golden_input, sampled, without_dropout


def conv_with_places_rounded_as_officially(x, offsets, mask, weight, bias):
    """The operator, pixel by pixel; the pixel before a place is found in float32, where gradients jump at pixels."""
    count, channels, height, width = x.shape
    groups = mask.shape[1] // 9
    down, right = offsets.view(count, groups, 9, 2, height, width).unbind(3)
    tap = torch.arange(9).view(-1, 1, 1)
    row = torch.arange(height).view(-1, 1) + tap // 3 - 1 + down
    column = torch.arange(width) + tap % 3 - 1 + right
    first_row, first_column = row.detach().float().floor(), column.detach().float().floor()
    pixels = x.view(count, groups, -1, height * width)
    sampled = 0
    for i, j in itertools.product((0, 1), (0, 1)):
        i_row, j_column = first_row + i, first_column + j
        inside = (i_row >= 0) & (i_row < height) & (j_column >= 0) & (j_column < width)
        place = i_row.clamp(0, height - 1) * width + j_column.clamp(0, width - 1)
        place = place.long().view(count, groups, 1, -1)
        values = pixels.gather(3, place.expand(-1, -1, pixels.shape[2], -1)).unflatten(3, (9, height, width))
        share = (1 - i + (2 * i - 1) * (row - first_row)) * (1 - j + (2 * j - 1) * (column - first_column))
        sampled = sampled + values * (share * inside)[:, :, None]
    weighted = sampled * mask.view(count, groups, 1, 9, height, width)
    convolved = weight.flatten(1) @ weighted.view(count, channels * 9, -1) + bias[:, None]
    return convolved.view(count, -1, height, width)


def test_losses_and_gradients_are_the_official_ones(golden_facts, golden_arrays):
    official, golden = golden_facts("losses/simple_losses")["results"], golden_arrays("losses/simple_losses")
    logits, labels = golden["clafa_logits"].requires_grad_(), golden["clafa_labels"]
    assert focal_loss(logits, labels).item() == pytest.approx(official["clafa_focal"], abs=1e-12)
    assert overlap_loss(logits, labels).item() == pytest.approx(official["clafa_dice_kornia_0.6.12"], abs=1e-12)
    clafa_losses(ChangeLogits(logits, *[logits.detach()] * 3), labels).main.backward()
    torch.testing.assert_close(logits.grad, golden["clafa_grad_half_focal_plus_dice"], atol=1e-12, rtol=1e-9)


def test_a_training_step_is_the_official_one(golden_facts, golden_arrays, monkeypatch):
    monkeypatch.setattr(clafa, "modulated_deformable_conv", conv_with_places_rounded_as_officially)
    name = "train_step/CLAFA_L0_256"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fill(build_network("clafa_l0"), facts["weight_seed"]).double()
    logits = without_dropout(network)(*(golden_input(**each).double() for each in facts["inputs"]))
    for key, found in zip(("pred", "pred_p3", "pred_p4", "pred_p5"), logits, strict=True):
        torch.testing.assert_close(sampled(found, facts["arrays"][key]["step"]), golden[key], atol=1e-9, rtol=1e-6)
    changed = torch.from_numpy(np.random.default_rng(4008).uniform(size=(2, 256, 256)) < 0.3)
    loss = sum(clafa_losses(logits, changed))
    assert loss.item() == pytest.approx(facts["loss"], abs=1e-12)
    loss.backward()
    assert_official_step(network, facts, golden)
    untrained = {key for key, parameter in network.named_parameters() if parameter.grad is None}
    assert untrained == set(facts["params_without_grad"])
    assert not any(network.get_parameter(key).requires_grad for key in untrained)
