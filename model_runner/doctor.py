# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m model_runner doctor``: what this machine and this installation can do, for users and their reports."""

import platform
import shutil
import sys
from importlib.metadata import version
from typing import TextIO

import rasterio
import torch

from model_runner.contract.folders import PLUGIN_ROOT, data_folder, plugin_version
from model_runner.contract.model_card import DEFAULT_MODELS, find_cards
from model_runner.device import resolve_device
from model_runner.errors import RunnerError
from model_runner.model_store.loaded import loaded_model

LIBRARIES = ("torch", "numpy", "rasterio", "shapely", "geopandas", "pyproj", "safetensors", "lightning")


def diagnose(stream: TextIO) -> bool:
    """Write the diagnosis, a line a fact, and return whether the default models work. No names of users or files.

    A default model that is not at hand is told, and is no fault of this machine.
    """
    device, reason = resolve_device("auto")
    free = shutil.disk_usage(PLUGIN_ROOT).free / 1e9
    facts = {
        "LWGANet for QGIS": plugin_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": sys.version.split()[0],
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "GDAL": rasterio.__gdal_version__,
        "device": reason,
        "CUDA of PyTorch": torch.version.cuda or "none",
        "free disk space": f"{free:.1f} GB",
        "models of the user": "found" if (data_folder() / "models").is_dir() else "none",
        "models": ", ".join(card.id for card in find_cards()) or "none",
    }
    for name, fact in facts.items():
        print(f"{name}: {fact}", file=stream)
    at_hand = {card.id for card in find_cards()}
    for task in DEFAULT_MODELS:
        if DEFAULT_MODELS[task] not in at_hand:
            print(f"{task} with {DEFAULT_MODELS[task]}: not at hand", file=stream)
    return all([_works(task, model, device, stream) for task, model in DEFAULT_MODELS.items() if model in at_hand])


def _works(task: str, model: str, device: torch.device, stream: TextIO) -> bool:
    """Whether a model answers for an empty image, or for two of them; says so."""
    try:
        card, network = loaded_model(model, task, device)
        image = torch.zeros(1, len(card.bands), 128, 128, device=device)
        with torch.inference_mode():
            network(*[image] * (2 if task == "change" else 1))
    except RunnerError as error:
        print(f"{task} with {model}: {error}", file=stream)
        return False
    print(f"{task} with {model}: works", file=stream)
    return True
