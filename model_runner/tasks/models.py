# SPDX-License-Identifier: GPL-2.0-or-later
"""Import, download, remove, list and describe models."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from model_runner.contract.folders import user_models_folder
from model_runner.contract.messages import Finished
from model_runner.contract.model_card import Licence, ModelCard, model_folders, read_card
from model_runner.contract.task_requests import DownloadModelRequest, ImportModelRequest, RemoveModelRequest
from model_runner.errors import InputError, ModelError
from model_runner.model_store import store
from model_runner.model_store.official_checkpoints import convert_checkpoint
from model_runner.model_store.official_models import OfficialModel, downloaded_checkpoint, official_models
from model_runner.report import Report


def import_model(request: ImportModelRequest, report: Report) -> Finished:
    """Bring a checkpoint of the official programs, or a model's folder, into the user's store.

    Raises:
        InputError: there is no such file.
        ModelError: the file is refused, or the id is taken.
    """
    path = Path(request.file)
    if path.is_dir():
        card, folder = store.install_folder(path, request.model_id)
    elif path.is_file():
        card, weights = convert_checkpoint(path, request.model_id)
        report.check_cancelled()
        folder = store.save_model(card, weights)
    else:
        raise InputError(f"There is no file {path}; give a checkpoint (.pth) or a model's folder.")
    report.log("info", f"The model {card.id} is ready: {card.title}.")
    return _finished(card, folder)


def download_model(request: DownloadModelRequest, report: Report) -> Finished:
    """Fetch an official checkpoint and bring it into the user's store; what is there already is left as it is.

    Raises:
        InputError: the licence is not accepted; the text tells of it.
        ModelError: there is no official model of this id, or the checkpoint is refused.
        DownloadError: the file cannot be fetched, or differs from the one that was fetched the first time.
        Cancelled: the user asked to stop.
    """
    official = official_models().get(request.model)
    if official is None:
        raise ModelError(
            f"There is no official model {request.model!r}; what can be downloaded: {', '.join(official_models())}."
        )
    folder = store.find_folder(official.id)
    if folder is not None:
        report.log("info", f"The model {official.id} is installed already.")
        return _finished(read_card(folder), folder)
    if not request.accept_licence:
        raise InputError(
            f"The weights of {official.id} are under the licence {_licence(official.licence)}; if you accept it, "
            "repeat with --accept-licence."
        )
    with downloaded_checkpoint(official, report) as checkpoint:
        card, weights = convert_checkpoint(checkpoint, official.id)
    card = replace(card, title=official.title, licence=official.licence)
    folder = store.save_model(card, weights)
    report.log("info", f"The model {card.id} is ready: {card.title}; licence {_licence(card.licence)}.")
    return _finished(card, folder)


def remove_model(request: RemoveModelRequest, report: Report) -> Finished:
    """Delete a model of the user's.

    Raises:
        ModelError: there is no such model, or it came with the plugin.
    """
    store.remove_model(request.model)
    report.log("info", f"The model {request.model} is removed.")
    return Finished(uuid4().hex[:12])


def list_models() -> Iterator[str]:
    """Lines of text: the models at hand, then those that can be downloaded; the first line names the columns."""
    rows = [("id", "task", "licence", "state", "title")]
    rows += [(card.id, card.task, card.licence.name, state, card.title) for card, state in _cards_at_hand()]
    at_hand = {row[0] for row in rows}
    rows += [
        (each.id, each.task, each.licence.name, "can be downloaded", each.title)
        for each in official_models().values()
        if each.id not in at_hand
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def describe(model_id: str) -> str:
    """All that is known about a model at hand or one that can be downloaded, a line a fact.

    Raises:
        ModelError: there is no such model, or its card is damaged.
    """
    folder = store.find_folder(model_id)
    official = official_models().get(model_id)
    if folder is not None:
        facts = _facts_of_a_card(read_card(folder), folder)
    elif official is not None:
        facts = _facts_of_an_official_model(official)
    else:
        known = [card.id for card, _ in _cards_at_hand()] + list(official_models())
        raise ModelError(f"There is no model {model_id!r}; known are {', '.join(dict.fromkeys(known))}.")
    width = max(map(len, facts)) + 2
    return "\n".join(f"{name + ':':{width}}{fact}" for name, fact in facts.items() if fact)


def _finished(card: ModelCard, folder: Path) -> Finished:
    return Finished(uuid4().hex[:12], {"model": str(folder)}, {"classes": len(card.classes)})


def _cards_at_hand() -> Iterator[tuple[ModelCard, str]]:
    """The card of each usable model, and whether it is embedded or installed."""
    for folder in model_folders():
        try:
            yield read_card(folder), _state(folder)
        except ModelError:
            continue


def _state(folder: Path) -> str:
    return "installed" if folder.parent == user_models_folder() else "embedded"


def _licence(licence: Licence) -> str:
    address = f" ({licence.address})" if licence.address else ""
    return f"{licence.name}{address}{'' if licence.commercial_use else ', not for commercial use'}"


def _facts_of_a_card(card: ModelCard, folder: Path) -> dict[str, str]:
    resolution = card.resolution
    return {
        "id": card.id,
        "title": card.title,
        "state": f"{_state(folder)}, {folder}",
        "task": card.task,
        "licence": _licence(card.licence),
        "description": card.description,
        "limits": card.limits,
        "training data": card.training_data,
        "classes": ", ".join(card.class_names),
        "bands": ", ".join(card.bands),
        "resolution": f"{resolution.finest:.3g} to {resolution.coarsest:.3g} m per pixel, best at {resolution.best:.3g}"
        if resolution
        else "not known",
        "tiles": f"{card.tile_size} px, overlap {card.overlap} px",
        "threshold": f"{card.threshold:g}",
        "merge IoU": f"{card.merge_iou:g}",
        "mean": _numbers(card.mean),
        "standard deviation": _numbers(card.std),
        "stretch": _stretch(card),
        "network": card.network,
        "network options": _pairs(card.network_options),
        "metrics": _pairs(card.metrics),
        "weights SHA-256": card.weights_sha256,
        "data SHA-256": card.data_fingerprint,
        "made with": card.made_with,
    }


def _stretch(card: ModelCard) -> str:
    if card.stretch_limits:
        return ", ".join(f"{low:g} to {high:g}" for low, high in card.stretch_limits)
    return f"percentiles {_numbers(card.stretch_percentiles)} where pixels are not 8 bit"


def _facts_of_an_official_model(model: OfficialModel) -> dict[str, str]:
    return {
        "id": model.id,
        "title": model.title,
        "state": f"can be downloaded: models download {model.id} --accept-licence",
        "task": model.task,
        "licence": _licence(model.licence),
        "classes": ", ".join(each.name for each in model.classes),
        "address": model.address,
    }


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _pairs(values: dict) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())
