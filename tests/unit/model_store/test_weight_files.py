# SPDX-License-Identifier: GPL-2.0-or-later
import hashlib
from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save, save_file

from model_runner.contract.folders import embedded_models_folder
from model_runner.contract.model_card import WEIGHTS_FILE, ModelCard, ModelClass, model_folders, read_card
from model_runner.errors import ModelError
from model_runner.model_store.store import find_model, install_folder, network_of, open_network, save_model
from model_runner.model_store.weight_files import in_eight_bits, read_weights, weights_of

CARD = ModelCard(id="kinds", title="Kinds", task="classify", network="classifier_l0", classes=(ModelClass("field"),))


def example():
    """Tensors of every kind that a network has, some of the matrices' rows with much smaller numbers than others."""
    generator = torch.Generator().manual_seed(0)
    convolution = torch.randn(6, 4, 3, 3, generator=generator) * torch.logspace(-6, 2, 6).view(-1, 1, 1, 1)
    convolution[3] = 0
    return {
        "conv.weight": convolution,
        "linear.weight": torch.randn(5, 7, generator=generator).half(),
        "linear.bias": torch.randn(5, generator=generator),
        "norm.weight": torch.rand(4, generator=generator),
        "norm.num_batches_tracked": torch.tensor(7),
        "blur.filt": torch.tensor([1.0, 3, 3, 1]).repeat(2, 1, 1, 1),
    }


def test_matrices_are_rounded_to_a_254th_of_each_rows_largest_number():
    before, after = example(), weights_of(save(in_eight_bits(example())))
    assert after.keys() == before.keys()
    for name in ("conv.weight", "linear.weight"):
        assert after[name].dtype is torch.float32
        rows, error = before[name].float().flatten(1), (after[name] - before[name]).flatten(1).abs()
        assert (error <= rows.abs().amax(1, keepdim=True) / 253.9).all()
    for name in before.keys() - {"conv.weight", "linear.weight"}:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)


def test_rounding_twice_changes_nothing_more():
    once = weights_of(save(in_eight_bits(example())))
    twice = weights_of(save(in_eight_bits(once)))
    torch.testing.assert_close(twice, once, rtol=1e-6, atol=0)


def test_a_number_takes_a_byte():
    big = {"conv.weight": torch.randn(64, 64, 3, 3)}
    assert len(save(in_eight_bits(big))) < 64 * 64 * 9 * 1.05


def test_scales_that_are_missing_or_too_few_are_told(tmp_path):
    stored = in_eight_bits(example())
    for scale in (None, torch.ones(1), torch.ones(2, 1, 1, 1)):
        damaged = {**stored, "conv.weight.scale": scale}
        save_file({name: tensor for name, tensor in damaged.items() if tensor is not None}, tmp_path / "damaged")
        with pytest.raises(SafetensorError, match=r"conv\.weight has 6 rows"):
            read_weights(tmp_path / "damaged")
        with pytest.raises(ModelError, match=r"cannot be read: conv\.weight has 6 rows"):
            open_network(CARD, tmp_path / "damaged")


def test_a_model_in_eight_bits_is_opened_installed_and_saved_in_full(tmp_path):
    torch.manual_seed(0)
    weights = network_of(CARD).state_dict()
    folder = save_model(CARD, in_eight_bits(weights), tmp_path / "given")
    assert (folder / WEIGHTS_FILE).stat().st_size < 0.35 * sum(4 * tensor.numel() for tensor in weights.values())
    card, installed = install_folder(folder, "mine")
    assert card == replace(CARD, id="mine", weights_sha256=card.weights_sha256)
    torch.testing.assert_close(
        open_network(find_model("mine", "classify")[0], installed / WEIGHTS_FILE).state_dict(),
        weights_of((folder / WEIGHTS_FILE).read_bytes()),
        rtol=0,
        atol=0,
    )


def test_embedded_models_are_small_and_whole():
    folders = [folder for folder in model_folders() if folder.parent == embedded_models_folder()]
    assert len(folders) == 7
    assert sum((folder / WEIGHTS_FILE).stat().st_size for folder in folders) < 18e6
    for folder in folders:
        content = (folder / WEIGHTS_FILE).read_bytes()
        assert hashlib.sha256(content).hexdigest() == read_card(folder).weights_sha256
        open_network(read_card(folder), folder / WEIGHTS_FILE)
