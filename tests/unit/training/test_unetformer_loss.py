# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import torch

from model_runner.networks import build_network
from model_runner.networks.unetformer import SegmentationLogits
from model_runner.training.unetformer_loss import classification_loss, overlap_loss, unetformer_losses
from tests.golden import assert_official_step, fill, golden_input, sampled, without_dropout


@pytest.mark.parametrize("ignored", [7, 255])
def test_losses_and_gradients_are_the_official_ones(golden_facts, golden_arrays, ignored):
    official, golden = golden_facts("losses/simple_losses")["results"], golden_arrays("losses/simple_losses")
    main, auxiliary = (golden[key].double().requires_grad_() for key in ("seg_logits", "seg_aux_logits"))
    labels = golden["seg_labels"].masked_fill(golden["seg_labels"] == 7, ignored)
    losses = unetformer_losses(SegmentationLogits(main, auxiliary), labels, ignored)
    assert losses.classification.item() == pytest.approx(official[f"unetformer_ignore{ignored}_softce"], abs=1e-12)
    assert losses.overlap.item() == pytest.approx(official[f"unetformer_ignore{ignored}_dice"], abs=1e-12)
    total = sum(losses)
    assert total.item() == pytest.approx(official[f"unetformer_train_ignore{ignored}"], abs=1e-12)
    total.backward()
    torch.testing.assert_close(main.grad, golden[f"seg_grad_main_ignore{ignored}"], atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(auxiliary.grad, golden[f"seg_grad_aux_ignore{ignored}"], atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("size", ["l0", "l2"])
def test_a_training_step_is_the_official_one(golden_facts, golden_arrays, size):
    name = f"train_step/UNetFormer_{size.upper()}_nc7_256"
    facts, golden = golden_facts(name), golden_arrays(name)
    network = fill(build_network(f"unetformer_{size}", num_classes=7, drop_path=0.0), facts["weight_seed"]).double()
    logits = without_dropout(network)(golden_input(**facts["inputs"][0]).double())
    for key, found in (("main", logits.main), ("aux", logits.auxiliary)):
        torch.testing.assert_close(sampled(found, facts["arrays"][key]["step"]), golden[key], atol=1e-9, rtol=1e-6)
    labels = torch.from_numpy(np.random.default_rng(4002).integers(0, 8, (2, 256, 256)))
    loss = sum(unetformer_losses(logits, labels, 7))
    assert loss.item() == pytest.approx(facts["loss"], abs=1e-12)
    loss.backward()
    assert_official_step(network, facts, golden)


def test_ignored_pixels_teach_nothing():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    labels = torch.full((1, 4, 4), 255)
    assert classification_loss(logits, labels, 255).item() == 0
    assert overlap_loss(logits, labels, 255).item() == 0
