# SPDX-License-Identifier: GPL-2.0-or-later
"""Find, open, save and remove models.

A model is a folder with ``model.safetensors`` and ``card.json``. Those that come with the plugin are only read; those
of the user lie in ``user_models_folder()``, each in a folder named by its id.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from model_runner.contract.folders import user_models_folder
from model_runner.contract.model_card import (
    CARD_FILE,
    DEFAULT_MODELS,
    WEIGHTS_FILE,
    ModelCard,
    find_cards,
    model_folders,
    read_card,
)
from model_runner.contract.renaming import put_in_place
from model_runner.errors import ModelError, one_line
from model_runner.model_store.weight_files import weights_of
from model_runner.networks import build_network

NAMED_FAULTS = 3


def find_model(model_id: str, task: str) -> tuple[ModelCard, Path]:
    """The card and the folder of a model.

    Args:
        model_id: id of the model; the empty text stands for the task's default model.
        task: what the model must be for, "detect" for example.

    Raises:
        ModelError: there is no such model, its card is damaged, or it is for another task.
    """
    model_id = model_id or DEFAULT_MODELS.get(task, "")
    folder = find_folder(model_id)
    if folder is None:
        at_hand = ", ".join(card.id for card in find_cards(task)) or "none"
        raise ModelError(f"There is no model {model_id!r} for the task {task}; at hand are: {at_hand}.")
    card = read_card(folder)
    if card.task != task:
        raise ModelError(f"The model {card.id} is for the task {card.task}, not for {task}; choose another model.")
    return card, folder


def find_folder(model_id: str) -> Path | None:
    """The folder of a model of any task, or None; a model whose card is damaged goes by its folder's name."""
    for folder in model_folders():
        try:
            name = read_card(folder).id
        except ModelError:
            name = folder.name
        if name == model_id:
            return folder
    return None


def open_model(model_id: str, task: str) -> tuple[ModelCard, nn.Module]:
    """The card of a model, and its network in evaluation mode on the CPU.

    Raises:
        ModelError: as ``find_model``; or the weights are damaged or do not fit the network that the card names.
    """
    card, folder = find_model(model_id, task)
    return card, open_network(card, folder / WEIGHTS_FILE)


def open_network(card: ModelCard, weights: Path) -> nn.Module:
    """The network that a card names, with the weights in a file, in evaluation mode on the CPU.

    Raises:
        ModelError: the file cannot be read, differs from the card's SHA-256, or does not fit the network.
    """
    try:
        content = weights.read_bytes()
        if card.weights_sha256 and hashlib.sha256(content).hexdigest() != card.weights_sha256:
            raise ModelError(f"The weights {weights} are not those of the card of model {card.id}; install it again.")
        state_dict = weights_of(content)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"The weights {weights} of model {card.id} cannot be read: {one_line(error)}") from error
    network = network_of(card)
    refuse_misfit(f"The weights of model {card.id}", state_dict, network)
    network.load_state_dict(state_dict)
    return network.eval()


def network_of(card: ModelCard) -> nn.Module:
    """The network that a card names, with fresh weights.

    Raises:
        ModelError: there is no such network, or it does not take the card's options.
    """
    classes = {} if card.task == "change" else {"num_classes": len(card.classes)}  # change is one map, or its two sides
    bands = {} if len(card.bands) == 3 else {"in_channels": len(card.bands)}
    return build_network(card.network, **{**classes, **bands, **card.network_options})


def refuse_misfit(what: str, state_dict: Mapping[str, Tensor], network: nn.Module) -> None:
    """Return only when the names and the shapes of all tensors are exactly those of the network.

    Args:
        what: how the message names the tensors, "The weights of model x" for example.
        state_dict: tensors by name.
        network: what they are to fit.

    Raises:
        ModelError: something is missing, too much, or of another shape; the first few are named.
    """
    expected = network.state_dict()
    faults = {
        "missing": [name for name in expected if name not in state_dict],
        "unknown": [name for name in state_dict if name not in expected],
        "of another shape": [
            f"{name} {tuple(state_dict[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in state_dict and state_dict[name].shape != tensor.shape
        ],
    }
    found = [f"{len(names)} {kind} ({_first_few(names)})" for kind, names in faults.items() if names]
    if found:
        raise ModelError(f"{what} do not fit the network: {'; '.join(found)}.")


def _first_few(names: list[str]) -> str:
    return ", ".join(names[:NAMED_FAULTS]) + (", …" if len(names) > NAMED_FAULTS else "")


def save_model(card: ModelCard, state_dict: Mapping[str, Tensor], folder: Path | None = None) -> Path:
    """Write a model; what looks like a model is always whole.

    Args:
        card: its SHA-256 of the weights is filled in.
        state_dict: tensors by name, on any device.
        folder: where to write; without it the model goes into the user's store, under its id. A folder that holds
            other things already (a training's log) receives the two files.

    Returns:
        the model's folder.

    Raises:
        ModelError: there is a model of this id (or in this folder) already, or the disk refuses.
    """
    if folder is None and find_folder(card.id) is not None:
        raise ModelError(f"There is a model {card.id} already; remove it first or choose another id.")
    folder = folder or user_models_folder() / card.id
    if all((folder / name).exists() for name in (CARD_FILE, WEIGHTS_FILE)):
        raise ModelError(f"The folder {folder} holds a model already; remove it first or choose another one.")
    # not a folder of tempfile's: on Windows only its owner may read what was moved out of one
    unfinished = folder.parent / f".unfinished-{uuid4().hex[:12]}"
    try:
        unfinished.mkdir(parents=True)
        _write(card, state_dict, unfinished)
        if folder.is_dir():
            for name in (WEIGHTS_FILE, CARD_FILE):
                put_in_place(unfinished / name, folder / name)
        else:
            put_in_place(unfinished, folder)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"The model {card.id} cannot be written to {folder}: {one_line(error)}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write(card: ModelCard, state_dict: Mapping[str, Tensor], folder: Path) -> None:
    weights = folder / WEIGHTS_FILE
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}, weights)
    with weights.open("rb") as file:
        card = replace(card, weights_sha256=hashlib.file_digest(file, "sha256").hexdigest())
    (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")


def install_folder(path: Path, model_id: str = "") -> tuple[ModelCard, Path]:
    """Copy a model's folder into the user's store, after its weights were loaded into its network.

    Args:
        path: folder with ``model.safetensors`` and ``card.json``.
        model_id: id in the store; empty for the one on the card.

    Returns:
        the card and the folder in the store.

    Raises:
        ModelError: the folder holds no model, the model does not open, or its id is taken.
    """
    card = read_card(path)
    network = open_network(card, path / WEIGHTS_FILE)
    card = replace(card, id=model_id or card.id)
    return card, save_model(card, network.state_dict())


def remove_model(model_id: str) -> None:
    """Delete a model of the user's.

    Raises:
        ModelError: there is no such model, it came with the plugin, or the disk refuses.
    """
    folder = find_folder(model_id)
    if folder is None:
        own = [each.name for each in model_folders() if each.parent == user_models_folder()]
        raise ModelError(f"There is no model {model_id!r}; yours are: {', '.join(own) or 'none'}.")
    if folder.parent != user_models_folder():
        raise ModelError(f"The model {model_id} came with the plugin and cannot be removed.")
    try:
        with tempfile.TemporaryDirectory(prefix=".removed-", dir=folder.parent) as removed:
            put_in_place(folder, Path(removed) / "model")
    except OSError as error:
        raise ModelError(f"The model {model_id} cannot be removed from {folder}: {one_line(error)}") from error
