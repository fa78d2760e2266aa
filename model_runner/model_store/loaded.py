# SPDX-License-Identifier: GPL-2.0-or-later
"""Models that are ready to compute, kept for the next job."""

import functools
from pathlib import Path

import torch
from torch import nn

from model_runner.contract.model_card import CARD_FILE, WEIGHTS_FILE, ModelCard, read_card
from model_runner.model_store.store import find_model, open_network
from model_runner.networks import fuse_for_inference

KEPT_MODELS = 2


def loaded_model(model_id: str, task: str, device: torch.device) -> tuple[ModelCard, nn.Module]:
    """The card of a model and its network on a device, in evaluation mode, normalisations folded away.

    The last two are kept; a model whose files changed is loaded again.

    Args:
        model_id: id of the model; the empty text stands for the task's default model.
        task: what the model must be for.
        device: where the network computes.

    Raises:
        ModelError: there is no such model, it is damaged or for another task.
    """
    _, folder = find_model(model_id, task)
    changed = tuple((folder / name).stat().st_mtime_ns for name in (CARD_FILE, WEIGHTS_FILE))
    return _load(folder, device, changed)


@functools.lru_cache(maxsize=KEPT_MODELS)
def _load(folder: Path, device: torch.device, changed: tuple[int, ...]) -> tuple[ModelCard, nn.Module]:
    card = read_card(folder)
    return card, fuse_for_inference(open_network(card, folder / WEIGHTS_FILE)).to(device)
