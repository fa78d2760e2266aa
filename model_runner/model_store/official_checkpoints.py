# SPDX-License-Identifier: GPL-2.0-or-later
"""Make models of the checkpoints that the official programs write with ``torch.save``.

Such a file is a pickle, which could run programs when it is read. It is read by PyTorch's reader for tensors and
plain values, and all that is allowed beyond those are numpy's numbers, which the programs leave among the figures.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model_runner.contract.folders import PLUGIN_ROOT
from model_runner.contract.model_card import Licence, ModelCard, ModelClass, Resolution, id_of_name
from model_runner.errors import ModelError, one_line
from model_runner.model_store.store import network_of, refuse_misfit

OFFICIAL_LICENCE = Licence("CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/", commercial_use=False)
DOTA_CLASSES = "dota.json"
DOTA_VERSIONS = {15: "DOTA-1.0", 16: "DOTA-1.5"}  # by number of classes
DOTA_RESOLUTION = Resolution(finest=0.1, best=0.3, coarsest=1.0)
SIZES_BY_STEM = {32: "l0", 64: "l1", 96: "l2"}  # channels of the stem's convolution

_STEM = "backbone.Stem.proj.weight"
_CLASS_LAYER = "roi_head.bbox_head.fc_cls.weight"
_PREFIXES = ("module.", "model.", "net.")
_FILE_STARTS = (b"PK\x03\x04", b"\x80")  # a zip file, or a pickle by PyTorch before 1.6
_REFUSED_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_NUMPY_NUMBERS = [
    (np._core.multiarray.scalar, "numpy._core.multiarray.scalar"),
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # as numpy before 2.0 writes it
    np.dtype,
    *(type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"),
]


@dataclass(frozen=True)
class CheckpointKind:
    """How a kind of checkpoint is recognised: its entries, where its tensors are, and a tensor that no other has."""

    name: str
    entries: frozenset[str]
    tensors: str
    marker: str
    usable: bool = False


KINDS = (
    CheckpointKind(
        "an Oriented R-CNN detector", frozenset({"meta", "state_dict"}), "state_dict", _CLASS_LAYER, usable=True
    ),
    CheckpointKind("an ImageNet backbone or scene classifier", frozenset({"model"}), "model", "Stem.proj.weight"),
    CheckpointKind(
        "an ImageNet backbone or scene classifier", frozenset({"state_dict"}), "state_dict", "Stem.proj.weight"
    ),
    CheckpointKind(
        "a UNetFormer segmentation network",
        frozenset({"state_dict"}),
        "state_dict",
        "decoder.segmentation_head.2.0.weight",
    ),
    CheckpointKind("an A2Net change network", frozenset({"state_dict"}), "state_dict", "decoder.cls.bias"),
    CheckpointKind("a CLAFA change network", frozenset({"network"}), "network", "head.final.bias"),
)


def read_checkpoint(path: Path) -> Any:
    """What ``torch.save`` wrote, tensors on the CPU, without ever running what a file may bring along.

    Raises:
        ModelError: the file cannot be read, is no checkpoint, is damaged, or asks for more than tensors, plain values
            and numpy's numbers.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if not start.startswith(_FILE_STARTS):
            raise ModelError(f"{path} is no PyTorch checkpoint; choose a .pth file of the official programs.")
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"The checkpoint {path} cannot be read: {one_line(error)}") from error
    except Exception as error:  # a damaged pickle can raise anything
        refused = _REFUSED_GLOBAL.search(str(error))
        if refused:
            raise ModelError(
                f"{path} is refused: it asks for {refused[1].rstrip('.')}, and a file that does so could run programs; "
                "only tensors, plain values and numpy's numbers are read."
            ) from error
        raise ModelError(f"{path} is no PyTorch checkpoint or is damaged; fetch it again.") from error


def convert_checkpoint(path: Path, model_id: str | None = None) -> tuple[ModelCard, dict[str, Tensor]]:
    """The card and the weights of the model in a checkpoint of the official programs.

    Args:
        path: the checkpoint.
        model_id: id of the model; without it one is made of the file's name.

    Returns:
        the card, and the tensors by the names that ``build_network`` gives them.

    Raises:
        ModelError: as ``read_checkpoint``; or the checkpoint is of a kind that cannot be used, or does not fit the
            network.
    """
    checkpoint = read_checkpoint(path)
    state_dict = _tensors_of_a_detector(checkpoint, path)
    card = _card_of_a_detector(checkpoint["meta"], state_dict, path, model_id or id_of_name(path.stem))
    network = network_of(card)
    refuse_misfit(f"The weights in {path}", state_dict, network)
    try:
        network.load_state_dict(state_dict)
    except RuntimeError as error:
        raise ModelError(f"The weights in {path} cannot be used: {one_line(error)}") from error
    return card, dict(network.state_dict())


def read_classes(file_name: str, count: int) -> tuple[ModelClass, ...]:
    """The first classes in a file of ``resources/classes``."""
    text = (PLUGIN_ROOT / "resources" / "classes" / file_name).read_text(encoding="utf-8")
    return tuple(ModelClass(**each) for each in json.loads(text)[:count])


def _tensors_of_a_detector(checkpoint: Any, path: Path) -> dict[str, Tensor]:
    for kind in KINDS:
        if not isinstance(checkpoint, Mapping) or not kind.entries <= checkpoint.keys():
            continue
        tensors = _without_prefix(checkpoint[kind.tensors])
        if kind.marker not in tensors:
            continue
        if not kind.usable:
            raise ModelError(f"{path} holds {kind.name}; this version has a task for Oriented R-CNN detectors only.")
        return tensors
    raise ModelError(
        f"{path} holds no network that is known here; what can be imported are Oriented R-CNN detectors of the "
        "official programs."
    )


def tensors_of_checkpoint(checkpoint: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of a network of any kind by name, bare or under the name that the official programs use.

    Raises:
        ModelError: there are none.
    """
    for entry in ("model", "state_dict", "network"):
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(entry), Mapping):
            checkpoint = checkpoint[entry]
            break
    tensors = _without_prefix(checkpoint)
    if not tensors:
        raise ModelError(f"{path} holds no table of tensors; choose a checkpoint of a network.")
    return tensors


def _without_prefix(state_dict: Any) -> dict[str, Tensor]:
    """The tensors by name, less what wrappers put in front of all names; nothing where there is no such table."""
    if not isinstance(state_dict, Mapping) or not all(isinstance(each, Tensor) for each in state_dict.values()):
        return {}
    names = {str(name): tensor for name, tensor in state_dict.items()}
    for prefix in _PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            names = {name.removeprefix(prefix): tensor for name, tensor in names.items()}
    return names


def _card_of_a_detector(meta: Any, state_dict: dict[str, Tensor], path: Path, model_id: str) -> ModelCard:
    size = SIZES_BY_STEM.get(_rows(state_dict.get(_STEM)))
    if size is None:
        raise ModelError(f"The detector in {path} has no LWGANet of size L0, L1 or L2 as its backbone.")
    count = _rows(state_dict[_CLASS_LAYER]) - 1  # the last row is the background
    classes = _classes(meta, count, path)
    about = {"title": f"Oriented R-CNN with LWGANet-{size.upper()}, {count} classes"}
    if count in DOTA_VERSIONS and classes == read_classes(DOTA_CLASSES, count):
        about = {
            "title": f"Oriented R-CNN with LWGANet-{size.upper()}, {DOTA_VERSIONS[count]}",
            "resolution": DOTA_RESOLUTION,
            "licence": OFFICIAL_LICENCE,
            "training_data": DOTA_VERSIONS[count],
        }
    return ModelCard(
        id=model_id,
        task="detect",
        network=f"oriented_rcnn_{size}",
        classes=classes,
        tile_size=1024,
        overlap=200,
        threshold=0.3,
        merge_iou=0.1,
        description=f"Finds objects as oriented boxes. Made from the checkpoint {path.name}.",
        **about,
    )


def _rows(tensor: Tensor | None) -> int:
    return len(tensor) if tensor is not None and tensor.ndim else 0


def _classes(meta: Any, count: int, path: Path) -> tuple[ModelClass, ...]:
    """The classes that the checkpoint names, else those of DOTA."""
    names = meta.get("CLASSES") if isinstance(meta, Mapping) else None
    palette = read_classes(DOTA_CLASSES, max(DOTA_VERSIONS))
    if not names:
        if count not in DOTA_VERSIONS:
            raise ModelError(f"The detector in {path} knows {count} classes and does not tell their names.")
        return palette[:count]
    if not isinstance(names, (tuple, list)) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise ModelError(f"The detector in {path} knows {count} classes, but names these: {names}.")
    colours = {each.name: each.colour for each in palette}
    return tuple(
        ModelClass(name, colours.get(name, palette[place % len(palette)].colour)) for place, name in enumerate(names)
    )
