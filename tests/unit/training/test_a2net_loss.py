# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import torch

from model_runner.networks import build_network
from model_runner.training.a2net_loss import a2net_losses
from tests.golden import assert_official_step, fill, golden_input, sampled, without_dropout


def test_losses_are_the_official_ones(golden_facts, golden_arrays):
    official, golden = golden_facts("losses/simple_losses")["results"], golden_arrays("losses/simple_losses")
    masks = tuple(golden[f"a2_mask{index}"].logit() for index in range(4))
    losses = [each.item() for each in a2net_losses(masks, golden["a2_target"][:, 0])]
    assert losses == pytest.approx([official[f"a2_bcedice{index}"] for index in range(4)], abs=1e-12)
    assert sum(losses) == pytest.approx(official["a2_total"], abs=1e-12)


@pytest.mark.parametrize("size", ["l0", "l2"])
def test_a_training_step_is_the_official_one(golden_facts, golden_arrays, size):
    name = f"train_step/A2Net_{size.upper()}_256"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fill(build_network(f"a2net_{size}", drop_path=0.0), facts["weight_seed"]).double()
    masks = without_dropout(network)(*(golden_input(**each).double() for each in facts["inputs"]))
    for scale, mask in enumerate(masks, 2):
        key = f"mask_p{scale}"
        found = sampled(mask.sigmoid(), facts["arrays"][key]["step"])
        torch.testing.assert_close(found, golden[key], atol=1e-9, rtol=1e-6)
    changed = torch.from_numpy(np.random.default_rng(4005).uniform(size=(2, 1, 256, 256)) < 0.3)[:, 0]
    loss = sum(a2net_losses(masks, changed))
    assert loss.item() == pytest.approx(facts["loss"], abs=1e-12)
    loss.backward()
    assert_official_step(network, facts, golden)


def test_sure_masks_have_finite_losses_and_gradients():
    mask = torch.tensor([[[[200.0, -200.0]]]], requires_grad=True)
    (loss,) = a2net_losses((mask,), torch.tensor([[[0, 1]]]))
    loss.backward()
    assert loss.isfinite()
    assert mask.grad.isfinite().all()
