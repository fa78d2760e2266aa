# SPDX-License-Identifier: GPL-2.0-or-later
import hashlib
import json
import os
from dataclasses import replace
from functools import cache

import pytest
import torch
from safetensors.torch import load_file, save_file

from model_runner.contract import model_card
from model_runner.contract.model_card import ModelCard, ModelClass, find_cards, read_card
from model_runner.errors import ModelError
from model_runner.model_store.loaded import loaded_model
from model_runner.model_store.store import (
    find_model,
    install_folder,
    network_of,
    open_model,
    refuse_misfit,
    remove_model,
    save_model,
)

CPU = torch.device("cpu")
CARD = ModelCard(
    id="ships",
    title="Ships",
    task="detect",
    network="oriented_rcnn_l0",
    classes=(ModelClass("ship"), ModelClass("harbor")),
    network_options={"neck_channels": 32, "rpn_channels": 32, "head_channels": 32},
)


@cache
def weights(seed=0):
    torch.manual_seed(seed)
    return network_of(CARD).state_dict()


@pytest.fixture(autouse=True)
def embedded(tmp_path, monkeypatch):
    """A folder for the models that come with the plugin, empty."""
    monkeypatch.setattr(model_card, "embedded_models_folder", lambda: tmp_path / "embedded")
    return tmp_path / "embedded"


def refusal(function, *arguments):
    """The text of the refusal, which must be one line."""
    with pytest.raises(ModelError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def everything(folder):
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*"))


def test_what_is_saved_is_opened(home):
    folder = save_model(CARD, weights())
    assert folder == home / "models" / "ships"
    assert everything(home) == ["models", "models/ships", "models/ships/card.json", "models/ships/model.safetensors"]
    card, network = open_model("ships", "detect")
    content = (folder / "model.safetensors").read_bytes()
    assert card == replace(CARD, weights_sha256=hashlib.sha256(content).hexdigest())
    assert not network.training
    assert network.state_dict().keys() == weights().keys()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, weights()[name], rtol=0, atol=0)


def test_tensors_that_are_views_are_saved():
    turned = {name: tensor.T.contiguous().T if tensor.ndim == 2 else tensor for name, tensor in weights().items()}
    folder = save_model(CARD, turned)
    for name, tensor in load_file(folder / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights()[name], rtol=0, atol=0)


def test_a_model_is_found_by_its_id_and_an_empty_id_is_the_default(monkeypatch):
    folder = save_model(CARD, weights())
    assert find_model("ships", "detect") == (read_card(folder), folder)
    monkeypatch.setitem(model_card.DEFAULT_MODELS, "detect", "ships")
    assert find_model("", "detect")[1] == folder


def test_an_unknown_model_is_refused_with_those_at_hand():
    assert "none" in refusal(find_model, "ships", "detect")
    save_model(CARD, weights())
    save_model(replace(CARD, id="scenes", task="classify"), weights())
    text = refusal(find_model, "boats", "detect")
    assert "'boats'" in text
    assert "ships" in text
    assert "scenes" not in text
    assert "classify" in refusal(find_model, "", "classify")


def test_a_model_of_another_task_is_refused():
    save_model(CARD, weights())
    text = refusal(find_model, "ships", "segment")
    assert "detect" in text
    assert "segment" in text


def test_a_damaged_card_is_told_instead_of_an_unknown_model():
    folder = save_model(CARD, weights())
    (folder / "card.json").write_text("{}")
    assert "card.json" in refusal(find_model, "ships", "detect")


def test_weights_that_were_exchanged_are_refused():
    folder = save_model(CARD, weights())
    save_file(weights(seed=1), folder / "model.safetensors")
    assert "install it again" in refusal(open_model, "ships", "detect")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "weights_sha256": ""}))
    open_model("ships", "detect")


def test_a_damaged_file_of_weights_is_refused():
    folder = save_model(CARD, weights())
    content = (folder / "model.safetensors").read_bytes()[:1000]
    (folder / "model.safetensors").write_bytes(content)
    card = replace(CARD, weights_sha256=hashlib.sha256(content).hexdigest())
    (folder / "card.json").write_text(card.to_json())
    assert "cannot be read" in refusal(open_model, "ships", "detect")


def test_a_network_that_does_not_exist_is_refused():
    save_model(replace(CARD, network="oriented_rcnn_l9"), weights())
    assert "oriented_rcnn_l9" in refusal(open_model, "ships", "detect")


def test_weights_of_another_network_are_refused():
    save_model(replace(CARD, network_options={**CARD.network_options, "neck_channels": 64}), weights())
    text = refusal(open_model, "ships", "detect")
    assert "of another shape" in text
    assert "(64, 32, 1, 1)" in text
    assert len(text) < 600


def test_the_first_few_faults_are_named():
    network = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(5))
    given = {name: tensor for name, tensor in network.state_dict().items() if "weight" in name}
    given |= {"0.weight": torch.zeros(3, 2), "stranger": torch.zeros(1)}
    assert refusal(refuse_misfit, "The weights", given, network) == (
        "The weights do not fit the network: 5 missing (0.bias, 1.bias, 2.bias, …); 1 unknown (stranger); "
        "1 of another shape (0.weight (3, 2) instead of (2, 2))."
    )
    refuse_misfit("The weights", network.state_dict(), network)


def test_an_existing_model_is_not_replaced(embedded):
    folder = save_model(CARD, weights())
    before = (folder / "model.safetensors").read_bytes()
    assert "remove it first or choose another id" in refusal(save_model, CARD, weights(seed=1))
    assert (folder / "model.safetensors").read_bytes() == before
    save_model(replace(CARD, id="own"), weights(), embedded / "own")
    assert "own" in refusal(save_model, replace(CARD, id="own"), weights())


def test_a_folder_can_be_chosen_even_one_that_holds_other_things(tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "log.csv").write_text("loss")
    assert save_model(CARD, weights(), tmp_path / "training") == tmp_path / "training"
    assert everything(tmp_path / "training") == ["card.json", "log.csv", "model.safetensors"]
    assert "holds a model already" in refusal(save_model, CARD, weights(), tmp_path / "training")
    assert find_cards() == []


def test_what_cannot_be_written_leaves_nothing(home, monkeypatch):
    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("model_runner.model_store.store.save_file", full_disk)
    assert "No space left" in refusal(save_model, CARD, weights())
    assert everything(home) == ["models"]


def test_a_folder_is_installed_after_it_was_opened(tmp_path, home):
    folder = save_model(CARD, weights(), tmp_path / "given")
    card, installed = install_folder(folder, "mine")
    assert (card.id, installed) == ("mine", home / "models" / "mine")
    torch.testing.assert_close(
        open_model("mine", "detect")[1].state_dict(), load_file(folder / "model.safetensors"), rtol=0, atol=0
    )
    assert install_folder(folder)[0].id == "ships"
    assert "already" in refusal(install_folder, folder)
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
    refusal(install_folder, folder, "other")
    refusal(install_folder, tmp_path, "other")
    refusal(install_folder, tmp_path / "nowhere", "other")
    assert sorted(os.listdir(home / "models")) == ["mine", "ships"]


@pytest.mark.parametrize("model_id", ["../escape", "/tmp/escape", "A", ".hidden", ""])
def test_ids_that_are_none_are_refused(tmp_path, home, model_id):
    folder = save_model(CARD, weights(), tmp_path / "given")
    if model_id:
        assert repr(model_id) in refusal(install_folder, folder, model_id)
    refusal(remove_model, model_id)
    assert not home.exists()
    assert everything(folder) == ["card.json", "model.safetensors"]


def test_a_model_is_removed_and_nothing_else(home):
    folder = save_model(CARD, weights())
    save_model(replace(CARD, id="boats"), weights())
    remove_model("ships")
    assert not folder.exists()
    assert everything(home / "models") == ["boats", "boats/card.json", "boats/model.safetensors"]
    assert "yours are: boats" in refusal(remove_model, "ships")


def test_a_damaged_model_is_removed_by_its_folder(home):
    (save_model(CARD, weights()) / "card.json").write_text("{}")
    remove_model("ships")
    assert everything(home / "models") == []


def test_a_model_behind_a_link_is_only_unlinked(tmp_path, home):
    folder = save_model(CARD, weights(), tmp_path / "elsewhere")
    (home / "models").mkdir(parents=True)
    os.symlink(folder, home / "models" / "ships")
    remove_model("ships")
    assert everything(home / "models") == []
    assert everything(folder) == ["card.json", "model.safetensors"]


def test_a_model_of_the_plugin_is_not_removed(embedded):
    folder = save_model(CARD, weights(), embedded / "ships")
    assert "came with the plugin" in refusal(remove_model, "ships")
    assert everything(folder) == ["card.json", "model.safetensors"]


def test_a_loaded_model_is_fused_and_kept():
    save_model(CARD, weights())
    card, network = loaded_model("ships", "detect", CPU)
    assert card.id == "ships"
    assert not network.training
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.backbone.stages.modules())
    assert loaded_model("ships", "detect", CPU)[1] is network


def test_a_replaced_model_is_loaded_again():
    save_model(CARD, weights())
    first = loaded_model("ships", "detect", CPU)[1]
    remove_model("ships")
    save_model(CARD, weights(seed=1))
    second = loaded_model("ships", "detect", CPU)[1]
    name = "roi_head.bbox_head.fc_cls.weight"
    torch.testing.assert_close(second.state_dict()[name], weights(seed=1)[name], rtol=0, atol=0)
    assert not torch.equal(first.state_dict()[name], second.state_dict()[name])


def test_two_models_are_kept():
    for name in ("a", "b", "c"):
        save_model(replace(CARD, id=name), weights())
    first, second = (loaded_model(name, "detect", CPU)[1] for name in ("a", "b"))
    assert loaded_model("a", "detect", CPU)[1] is first
    loaded_model("c", "detect", CPU)
    assert loaded_model("a", "detect", CPU)[1] is first
    assert loaded_model("b", "detect", CPU)[1] is not second
