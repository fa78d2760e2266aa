# SPDX-License-Identifier: GPL-2.0-or-later
"""Train a model on a labelled dataset and put it into the model store."""

import re
import time
from colorsys import hsv_to_rgb
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from model_runner.contract.messages import Finished
from model_runner.contract.model_card import Licence, ModelCard, ModelClass, Resolution
from model_runner.contract.task_requests import FinetuneRequest
from model_runner.errors import InputError, ModelError
from model_runner.model_store.store import find_folder, install_folder, network_of, open_model, save_model
from model_runner.report import Report
from model_runner.training.fit import fit, seed_everything
from model_runner.training.recipes import RECIPES

SCRATCH = "none"
SCRATCH_TILE = 1024


def finetune(request: FinetuneRequest, report: Report) -> Finished:
    """Fine-tune a model; the new one is written into the output folder and, under its id, into the model store.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; the last checkpoint is left for ``resume``.
    """
    began = time.perf_counter()
    output = Path(request.output)
    model_id = request.model_id or re.sub(r"[^a-z0-9._-]+", "-", output.resolve().name.lower()).strip("-._")
    if find_folder(model_id) is not None:
        raise ModelError(f"There is a model {model_id} already; remove it first or choose another with --model-id.")
    _refuse_other_content(output, request.resume)
    seed_everything(request.seed)
    card, network = _starting_point(request, model_id, report)
    fitted = fit(network, card, request, report)
    card = replace(card, metrics={**fitted.metrics, "measured on": "the dataset's validation images"})
    save_model(card, fitted.state, output)
    _, installed = install_folder(output, model_id)
    numbers = {**fitted.metrics, "seconds": round(time.perf_counter() - began, 1)}
    return Finished(job="", outputs={"model": str(installed), "folder": str(output)}, numbers=numbers)


def _refuse_other_content(output: Path, resume: bool) -> None:
    if output.exists() and not output.is_dir():
        raise InputError(f"The output {output} is a file; name a folder.")
    if not resume and output.is_dir() and any(output.iterdir()):
        raise InputError(f"The output folder {output} is not empty; choose a new one, or --resume to go on in it.")
    if resume and (output / "model.safetensors").exists():
        raise InputError(f"The training in {output} is complete; choose a new folder.")


def _starting_point(request: FinetuneRequest, model_id: str, report: Report) -> tuple[ModelCard, nn.Module]:
    """The new model's card and its network with the weights to start from."""
    recipe = RECIPES[request.task]
    folder = Path(request.data)
    names = recipe.class_names(folder)
    metres = request.resolution or recipe.resolution(folder)
    resolution = Resolution(metres / 2, metres, metres * 2) if metres else None
    facts = {
        "id": model_id,
        "title": model_id,
        "task": request.task,
        "description": "",
        "limits": "",
        "metrics": {},
        "weights_sha256": "",
    }
    if request.init == SCRATCH:
        card = ModelCard(
            **facts,
            network=request.network,
            classes=_coloured(names, {}),
            resolution=resolution,
            network_options=_options(request.network_options),
            tile_size=SCRATCH_TILE,
            licence=Licence("as its training data"),
            training_data=f"trained from scratch on {folder.name}",
        )
        network = network_of(card)
        if request.backbone:
            _load_backbone(network, request.backbone, report)
        return card, network
    first_card, first_network = open_model(request.init, request.task)
    card = replace(
        first_card,
        **facts,
        classes=_coloured(names, {each.name: each.colour for each in first_card.classes}),
        resolution=resolution or first_card.resolution,
        training_data=f"{first_card.id}, fine-tuned on {folder.name}; {first_card.id}: {first_card.training_data}",
    )
    network = network_of(card)
    _carry_over(first_network, first_card.class_names, network, names, report)
    return card, network


def _carry_over(
    old: nn.Module, old_names: tuple[str, ...], new: nn.Module, new_names: tuple[str, ...], report: Report
) -> None:
    """Give the new network the old one's weights; in its class layer, those of classes of the same name."""
    state = old.state_dict()
    for key, value in new.state_dict().items():
        if state[key].shape != value.shape:
            state[key] = _rows_by_name(state[key], old_names, value, new_names)
        elif value.shape[:1] == (len(new_names) + 1,) and "fc_cls" in key:
            state[key] = _rows_by_name(state[key], old_names, value, new_names)
    new.load_state_dict(state)
    shared = [name for name in new_names if name in old_names]
    report.log("info", f"Classes that the first model knows already: {', '.join(shared) or 'none'}.")


def _rows_by_name(old: Tensor, old_names: tuple[str, ...], fresh: Tensor, names: tuple[str, ...]) -> Tensor:
    """Rows of the class layer, background last."""
    rows = fresh.clone()
    rows[-1] = old[-1]
    for index, name in enumerate(names):
        if name in old_names:
            rows[index] = old[old_names.index(name)]
    return rows


def _load_backbone(network: nn.Module, path: str, report: Report) -> None:
    """Load what fits of a file of backbone weights."""
    try:
        state = load_file(path)
    except Exception as error:
        raise InputError(f"The backbone weights {path} cannot be read: {error}.") from error
    own = network.backbone.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise InputError(f"None of the {len(state)} tensors in {path} fits the backbone; check the network's size.")
    network.backbone.load_state_dict(fitting, strict=False)
    report.log("info", f"Took {len(fitting)} of {len(own)} tensors of the backbone from {Path(path).name}.")


def _options(pairs: tuple[str, ...]) -> dict[str, int]:
    options = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not value.isdigit():
            raise InputError(
                f"The network option {pair!r} must be a name and a whole number, such as neck_channels=64."
            )
        options[name] = int(value)
    return options


def _coloured(names: tuple[str, ...], known: dict[str, str]) -> tuple[ModelClass, ...]:
    """Classes with the known colours, and others around the colour wheel."""
    classes = []
    for index, name in enumerate(names):
        red, green, blue = (round(255 * part) for part in hsv_to_rgb(index / len(names), 0.85, 0.9))
        classes.append(ModelClass(name, known.get(name, f"#{red:02x}{green:02x}{blue:02x}")))
    return tuple(classes)
