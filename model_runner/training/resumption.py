# SPDX-License-Identifier: GPL-2.0-or-later
"""What a training that goes on keeps from its beginning, beside its weights and its plan."""

from dataclasses import fields, replace
from typing import Any

from model_runner.contract.finetune_request import FinetuneRequest
from model_runner.contract.model_card import ModelCard, card_from_json
from model_runner.errors import InputError

KEPT = (
    "task",
    "init",
    "network",
    "network_options",
    "backbone",
    "resolution",
    "bands",
    "sample_size",
    "scale",
    "mosaic",
    "mixing",
    "frozen_stages",
    "balance",
    "seed",
)
PREFERRED = ("model_id", "precision", "skip_unreadable")  # kept unless the user names another


def beginning(request: FinetuneRequest, card: ModelCard) -> dict[str, Any]:
    """What a checkpoint says of how its training began, in plain values."""
    return {"card": card.to_json(), "request": {name: getattr(request, name) for name in (*KEPT, *PREFERRED)}}


def as_begun(request: FinetuneRequest, checkpoint: dict[str, Any]) -> FinetuneRequest:
    """The request with what the training began with, where the user leaves that open now.

    Raises:
        InputError: the user asks for something else than at the beginning.
    """
    open_now = {each.name: each.default for each in fields(request)}
    changes = {}
    for name, begun in checkpoint["request"].items():
        wanted = getattr(request, name)
        if wanted == begun:
            continue
        if wanted != open_now[name]:
            if name in PREFERRED:
                continue
            raise InputError(
                f"The training began with {_told(name, begun)}; it cannot go on with {_told(name, wanted)}. "
                "Leave that away, or begin anew in another folder."
            )
        changes[name] = begun
    return replace(request, **changes)


def card_as_begun(checkpoint: dict[str, Any]) -> ModelCard:
    """The card that the training began with."""
    return card_from_json(checkpoint["card"])


def _told(name: str, value: Any) -> str:
    told = ",".join(map(str, value)) if isinstance(value, tuple) else value
    return f"the {name.replace('_', ' ')} {'left open' if told in (None, '') else told}"
