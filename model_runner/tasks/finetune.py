# SPDX-License-Identifier: GPL-2.0-or-later
"""Train a model on a labelled dataset and put it into the model store."""

import time
from colorsys import hsv_to_rgb
from contextlib import suppress
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model_runner.contract.finetune_request import CHECK_FILE, REPORT_FILE, SCRATCH
from model_runner.contract.folders import program_name
from model_runner.contract.messages import Finished
from model_runner.contract.model_card import (
    CARD_FILE,
    DEFAULT_MODELS,
    WEIGHTS_FILE,
    Licence,
    ModelCard,
    ModelClass,
    Resolution,
    id_of_name,
    read_card,
)
from model_runner.contract.task_requests import FinetuneRequest
from model_runner.errors import Cancelled, InputError, ModelError, UnreadableRaster
from model_runner.model_store.official_checkpoints import read_checkpoint, tensors_of_checkpoint
from model_runner.model_store.store import (
    find_folder,
    install_folder,
    network_of,
    open_model,
    refuse_misfit,
    remove_model,
    save_model,
)
from model_runner.model_store.weight_files import read_weights
from model_runner.report import Report
from model_runner.tasks.data_check import check_data
from model_runner.tasks.training_report import fingerprint, write_training_report
from model_runner.training.checkpoints import LAST, load_checkpoint
from model_runner.training.datasets.images import ground_resolution
from model_runner.training.datasets.layouts import dataset_splits
from model_runner.training.fit import Fitted, best_so_far, fit, is_finished, seed_everything
from model_runner.training.pixel_statistics import pixel_facts
from model_runner.training.recipes import DEFAULT_NETWORKS, find_recipe
from model_runner.training.recipes.recipe import Recipe
from model_runner.training.resumption import as_begun, card_as_begun

BACKBONE_PARTS = ("Stem.", "stages.", "norm")
FIRST_TENSOR = "Stem.proj.weight"


def finetune(request: FinetuneRequest, report: Report) -> Finished:
    """Fine-tune a model; the new one is written into the output folder and, under its id, into the model store.

    The dataset is checked before; with ``check`` nothing else is done.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; the best model so far is in both places if there is one, and a checkpoint
            is left for ``resume``.
        KeyboardInterrupt: the process was asked to end; the same is left.
    """
    if request.check:
        return check_data(request, report)
    began = time.perf_counter()
    output = Path(request.output)
    checkpoint = load_checkpoint(output, LAST) if request.resume else None
    if checkpoint is not None:
        request = as_begun(request, checkpoint)
    request = replace(request, init=request.init or DEFAULT_MODELS[request.task])
    model_id = request.model_id or id_of_name(output.resolve().name)
    if find_folder(model_id) is not None and not (request.resume and _is_of_this_training(model_id, output)):
        raise ModelError(f"There is a model {model_id} already; remove it first or choose another with --model-id.")
    _refuse_other_content(output, request.resume, model_id)
    check_data(request, report)
    seed_everything(request.seed)
    card, network, from_model = _starting_point(request, model_id, checkpoint, report)
    if card.resolution is None and checkpoint is None:
        report.log(
            "warning",
            "The images have no georeference: the model will not know at which ground resolution it works. Name "
            "--resolution if you know theirs.",
        )
    try:
        fitted = fit(network, card, request, from_model, report)
    except (Cancelled, KeyboardInterrupt):
        card = _keep_best_so_far(card, request, report)
        write_training_report(request, card, began, report)
        raise
    card, installed = _deliver(card, fitted, request, report)
    figures = {name: figure for name, figure in fitted.metrics.items() if not isnan(figure)}
    numbers = {**figures, "epoch": fitted.epoch, "seconds": round(time.perf_counter() - began, 1)}
    page = write_training_report(request, card, began, report)
    return Finished(job="", outputs={"model": str(installed), "folder": str(output), **page}, numbers=numbers)


def _refuse_other_content(output: Path, resume: bool, model_id: str) -> None:
    if output.exists() and not output.is_dir():
        raise InputError(f"The output {output} is a file; name a folder.")
    if not resume and output.is_dir() and any(each.name != CHECK_FILE for each in output.iterdir()):
        raise InputError(f"The output folder {output} is not empty; choose a new one, or --resume to go on in it.")
    if resume and _is_complete(output) and find_folder(model_id) is not None:
        raise InputError(f"The training in {output} is complete; choose a new folder.")


def _holds_model(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (CARD_FILE, WEIGHTS_FILE))


def _is_complete(output: Path) -> bool:
    """Whether the training in a folder came to its end, and its model and the report on it were written after that."""
    card, page = output / CARD_FILE, output / REPORT_FILE
    has_report = card.is_file() and page.is_file() and page.stat().st_mtime >= card.stat().st_mtime
    return has_report and _holds_model(output) and is_finished(output)


def _is_of_this_training(model_id: str, output: Path) -> bool:
    """Whether the model in the store is the one in the output folder: what a cancelled training left."""
    folder = find_folder(model_id)
    return (
        folder is not None
        and _holds_model(output)
        and read_card(folder).weights_sha256 == read_card(output).weights_sha256
    )


def _keep_best_so_far(card: ModelCard, request: FinetuneRequest, report: Report) -> ModelCard:
    """Deliver the best model so far, if there is one, and return its card."""
    best = best_so_far(Path(request.output))
    if best is None:
        report.log("info", "Cancelled before the first validation: there is no model yet. Go on with --resume.")
        return card
    card, _ = _deliver(card, best, request, report)
    name, figure = next(iter(best.metrics.items()))
    report.log(
        "info",
        f"The best model so far, of epoch {best.epoch} ({name} {figure:.3f}), is {card.id}. Go on with --resume.",
    )
    return card


def _deliver(card: ModelCard, fitted: Fitted, request: FinetuneRequest, report: Report) -> tuple[ModelCard, Path]:
    """Write the model into the output folder and the store, in the place of what the same training left before."""
    output = Path(request.output)
    if _is_of_this_training(card.id, output):
        remove_model(card.id)
    for name in (CARD_FILE, WEIGHTS_FILE):
        (output / name).unlink(missing_ok=True)
    figures = {name: figure for name, figure in fitted.metrics.items() if not isnan(figure)}
    decisions = find_recipe(card.task, card.network).decisions(figures)
    divided = dataset_splits(Path(request.data), request.task)
    where = "the dataset's validation images" if divided else "the images that it learnt from"
    card = replace(card, **decisions, metrics={**figures, "measured on": where})
    if "threshold" in decisions:
        f1 = f" (F1 {figures['F1']:.3f} on the validation images)" if "F1" in figures else ""
        report.log("info", f"The threshold of {card.id} is {card.threshold:g}{f1}.")
    save_model(card, fitted.state, output)
    return install_folder(output)


def _starting_point(
    request: FinetuneRequest, model_id: str, checkpoint: dict[str, Any] | None, report: Report
) -> tuple[ModelCard, nn.Module, bool]:
    """The new model's card, its network with the weights to start from, and whether these are all of a model's.

    A training that goes on from a checkpoint has its weights there, and its card as it began.
    """
    facts = {
        "id": model_id,
        "title": model_id,
        "task": request.task,
        "data_fingerprint": fingerprint(Path(request.data), Path(request.output)),
        "made_with": program_name(),
    }
    if checkpoint is not None:
        card = replace(card_as_begun(checkpoint), **facts)
        return card, network_of(card), request.init != SCRATCH
    if request.init == SCRATCH:
        card = _card_from_scratch(request, facts)
        network = network_of(card)
        if request.backbone:
            _load_backbone(network, card.bands, request.backbone, report)
        return card, network, False
    first_card, first_network = open_model(request.init, request.task)
    card = _card_of_successor(request, facts, first_card)
    network = network_of(card)
    _carry_over(first_network, first_card, network, card, report)
    return card, network, True


def _card_from_scratch(request: FinetuneRequest, facts: dict[str, str]) -> ModelCard:
    network = request.network or DEFAULT_NETWORKS[request.task]
    recipe, folder = find_recipe(request.task, network), Path(request.data)
    paths = recipe.training_images(folder)
    use = recipe.card_facts(request.sample_size or recipe.sample_size)
    return ModelCard(
        **facts,
        **pixel_facts(paths, request.bands, None),
        **use,
        **_origin(request.backbone, folder.name),
        network=network,
        classes=_coloured(recipe.classes(folder), {}),
        resolution=_resolution(request, recipe, paths, use.get("tile_size", ModelCard.tile_size)),
        network_options=_options(request.network_options),
    )


def _origin(backbone: str | None, data: str) -> dict[str, Any]:
    """What a card says of terms and data: those of the backbone hold on; of a file's nothing is known."""
    if not backbone:
        return {"licence": Licence("as its training data"), "training_data": f"trained from scratch on {data}"}
    folder = find_folder(backbone)
    if folder is None:
        return {"training_data": f"trained on {data}, with the backbone of {Path(backbone).name}"}
    first = read_card(folder)
    text = f"trained on {data}, with the backbone of {first.id}; {first.id}: {first.training_data}"
    return {"licence": first.licence, "training_data": text}


def _card_of_successor(request: FinetuneRequest, facts: dict[str, str], first: ModelCard) -> ModelCard:
    recipe, folder = find_recipe(request.task, first.network), Path(request.data)
    paths = recipe.training_images(folder)
    use = recipe.card_facts(request.sample_size) if request.sample_size else {}
    return replace(
        first,
        **facts,
        **pixel_facts(paths, request.bands, first),
        **use,
        classes=_coloured(recipe.classes(folder), {each.name: each.colour for each in first.classes}),
        network_options={**first.network_options, **_options(request.network_options)},
        resolution=_resolution(request, recipe, paths, use.get("tile_size", first.tile_size)),
        description="",
        limits="",
        metrics={},
        weights_sha256="",
        training_data=f"{first.id}, fine-tuned on {folder.name}; {first.id}: {first.training_data}",
    )


def _ground_resolution(paths: list[Path]) -> float | None:
    """Metres per pixel of the first image that can be read."""
    for path in paths:
        with suppress(UnreadableRaster):
            return ground_resolution(path)
    return None


def _resolution(request: FinetuneRequest, recipe: Recipe, paths: list[Path], tile_size: int) -> Resolution | None:
    """What a network knows that learns from these images, which it sees smaller and larger than they are."""
    metres = request.resolution or _ground_resolution(paths)
    if not metres:
        return None
    metres *= recipe.reduction(paths, tile_size)
    smallest, largest = recipe.seen_scale(request)
    return Resolution(metres / largest, metres, metres / smallest)


def _carry_over(old: nn.Module, first: ModelCard, new: nn.Module, card: ModelCard, report: Report) -> None:
    """Give the new network the old one's weights; in its class layers, those of classes of the same name."""
    state, names, old_names = old.state_dict(), card.class_names, first.class_names
    fresh = new.state_dict()
    layers = _class_layers(new, card) if names != old_names else []
    for key in layers:
        state[key] = _rows_by_name(state[key], old_names, fresh[key], names)
    _fit_stem(state, first.bands, card.bands, report)
    refuse_misfit(f"The weights of {first.id}", state, new)
    new.load_state_dict(state)
    shared, strangers = ([name for name in names if (name in old_names) is known] for known in (True, False))
    report.log("info", f"Classes that the first model knows already: {', '.join(shared) or 'none'}.")
    if strangers:
        report.log("info", f"New in {', '.join(layers)}: {', '.join(strangers)}.")


def _fit_stem(state: dict[str, Tensor], old: tuple[str, ...], new: tuple[str, ...], report: Report) -> None:
    """Give the stem in a state a filter for each new band: that of the band's name, else the mean of the old ones."""
    if len(old) == len(new):
        return
    key = next(key for key in state if key.endswith(FIRST_TENSOR))
    filters = state[key]
    mean = filters.mean(1)
    state[key] = torch.stack([filters[:, old.index(name)] if name in old else mean for name in new], 1)
    strangers = [name for name in new if name not in old]
    report.log(
        "info", f"The filters of {', '.join(strangers) or 'no band'} start from the mean of the others in {key}."
    )


def _class_layers(network: nn.Module, card: ModelCard) -> list[str]:
    """The names of the tensors that have a row for each class: those that would grow with another class."""
    wider = network_of(replace(card, classes=(*card.classes, ModelClass("another")))).state_dict()
    return [key for key, tensor in network.state_dict().items() if wider[key].shape != tensor.shape]


def _rows_by_name(old: Tensor, old_names: tuple[str, ...], fresh: Tensor, names: tuple[str, ...]) -> Tensor:
    """Rows of a class layer: those of known classes, fresh ones, and at the end what is no class, as background."""
    rows = fresh.clone()
    rows[len(names) :] = old[len(old_names) :]
    for index, name in enumerate(names):
        if name in old_names:
            rows[index] = old[old_names.index(name)]
    return rows


def _load_backbone(network: nn.Module, bands: tuple[str, ...], source: str, report: Report) -> None:
    """Load what fits of the backbone in a model of any task, or in a file, alone or within any network."""
    state, name = _tensors_of(source)
    trunk = getattr(network, "backbone", network)
    own = {key: value for key, value in trunk.state_dict().items() if key.startswith(BACKBONE_PARTS)}
    prefix = next((key.removesuffix(FIRST_TENSOR) for key in state if key.endswith(FIRST_TENSOR)), "")
    inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if FIRST_TENSOR in inner and inner[FIRST_TENSOR].shape[1] == len(ModelCard.bands):
        _fit_stem(inner, ModelCard.bands, bands, report)
    fitting = {key: value for key, value in inner.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise InputError(f"None of the {len(state)} tensors in {name} fits the backbone; check the network's size.")
    trunk.load_state_dict(fitting, strict=False)
    report.log("info", f"Took {len(fitting)} of {len(own)} tensors of the backbone from {name}.")
    fresh = [key for key in own if key not in fitting]
    if fresh:
        report.log("info", f"Not there, and begun anew: {', '.join(fresh)}.")


def _tensors_of(source: str) -> tuple[dict[str, Tensor], str]:
    """The tensors of a model by its id, of a safetensors file or of a checkpoint, and the name of their file."""
    folder = find_folder(source)
    path = Path(source) if folder is None else folder / WEIGHTS_FILE
    if not path.is_file():
        raise InputError(
            f"The backbone {source} is neither a model that is installed nor a file; name one of these, or none."
        )
    try:
        if path.suffix == ".safetensors":
            return read_weights(path), path.name
    except Exception as error:
        raise InputError(f"The backbone weights {path} cannot be read: {error}.") from error
    return tensors_of_checkpoint(read_checkpoint(path), path), path.name


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


def _coloured(found: dict[str, str], known: dict[str, str]) -> tuple[ModelClass, ...]:
    """Classes with the dataset's colours, the known ones, or others around the wheel, light and dark by turns."""
    classes = []
    for index, (name, colour) in enumerate(found.items()):
        red, green, blue = (round(255 * part) for part in hsv_to_rgb(index / len(found), 0.85, (0.95, 0.6)[index % 2]))
        classes.append(ModelClass(name, colour or known.get(name) or f"#{red:02x}{green:02x}{blue:02x}"))
    return tuple(classes)
