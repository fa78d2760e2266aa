# SPDX-License-Identifier: GPL-2.0-or-later
"""Images a second of a training, over those of a bare PyTorch loop with all batches in memory."""

import copy
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch import nn

from model_runner.benchmark.cases import DEMO
from model_runner.benchmark.measuring import in_own_process
from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import FinetuneRequest
from model_runner.device import PRECISIONS, resolve_device, resolve_training_precision
from model_runner.model_store.store import open_model
from model_runner.raster.working_grid import WorkingGrid
from model_runner.report import Report
from model_runner.training import checkpoints
from model_runner.training.fit import fit
from model_runner.training.module import Learner
from model_runner.training.recipes import find_recipe
from model_runner.training.trainer import SECONDS_BETWEEN_CHECKPOINTS
from model_runner.training_data.labels import CHANGED, ChangeLabel, Dates, Label, MaskLabel, ObjectLabel, SceneLabel

ROUNDS = 3
CHIPS = 8  # that differ; the dataset has each of them under many names
WARM_UP = 4  # steps
AHEAD = 4  # steps at the end, whose images are there already while those before are learnt from
BATCHES = 4  # of the bare loop
OBJECTS = 20  # on a chip
PATCH = 16  # side, in pixels, of the squares of one class
UNCOUNTED = np.zeros(0, int)  # what a chip's label tells a report of an export


@dataclass(frozen=True)
class TrainingCase:
    """A task's training on chips of the demo's image.

    Attributes:
        label: what a chip of so many pixels a side shows, by chance.
        batch_size: images of a step.
        steps: that are measured in a round.
        dates: of a chip.
    """

    label: Callable[[ModelCard, int, np.random.Generator], Label]
    batch_size: int
    steps: int
    dates: int = 1


def measure_training(task: str) -> dict[str, float]:
    """The figures of a task's training, as medians of rounds in which both loops take their turn.

    A checkpoint is counted as often as one is written, every five minutes; validations are not.

    Raises:
        ModelError: the task's default model is not there.
    """
    with tempfile.TemporaryDirectory() as folder:
        rounds, checkpoint = in_own_process(_time_rounds, task, Path(folder))
    between = SECONDS_BETWEEN_CHECKPOINTS / (SECONDS_BETWEEN_CHECKPOINTS + checkpoint)
    return {
        f"{task}: training / bare loop": statistics.median(between * whole / bare for whole, bare in rounds),
        f"{task}: bare loop (images a second)": statistics.median(bare for _, bare in rounds),
        f"{task}: a checkpoint (s)": checkpoint,
    }


def _time_rounds(task: str, folder: Path) -> tuple[list[tuple[float, float]], float]:
    """Images a second of the training and of the bare loop, round by round, and the seconds of a checkpoint."""
    card, network = open_model("", task)
    network.train()
    case = CASES[task]
    _write_dataset(folder / "data", card, case)
    request = FinetuneRequest(task, str(folder / "data"), str(folder), epochs=1, batch_size=case.batch_size)
    learn = _bare_loop(copy.deepcopy(network), card, request, case.batch_size)
    learn(WARM_UP)
    images, rounds = case.steps * case.batch_size, []
    for number in range(ROUNDS):
        output, stopwatch = folder / str(number), _Stopwatch()
        fit(copy.deepcopy(network), card, replace(request, output=str(output)), True, stopwatch)
        began = time.perf_counter()
        learn(case.steps)
        seconds = time.perf_counter() - began
        rounds.append((images / stopwatch.seconds(WARM_UP, WARM_UP + case.steps), images / seconds))
    return rounds, _seconds_of_checkpoint(output)


class _Stopwatch(Report):
    """Notes when each step of a training was done."""

    def __init__(self) -> None:
        self._moments: dict[int, float] = {}

    def progress(self, stage: str, done: int, total: int, *values: Any, **options: Any) -> None:
        """Take the time of a step."""
        self._moments[done] = time.perf_counter()

    def seconds(self, first: int, last: int) -> float:
        """From the end of one step to that of another."""
        return self._moments[last] - self._moments[first]


def _bare_loop(network: nn.Module, card: ModelCard, request: FinetuneRequest, size: int) -> Callable[[int], None]:
    """What does so many steps of a training, the least that learns at all."""
    recipe = find_recipe(request.task, card.network)
    device, _ = resolve_device(request.device)
    precision = PRECISIONS[resolve_training_precision(request.precision, device)]
    network = network.to(device, memory_format=torch.channels_last).train()
    optimizer = recipe.optimizer(list(network.parameters()), recipe.learning_rate_from_model)
    samples = recipe.training_data(
        request, card.class_names, recipe.sample_side(card.tile_size, lambda: card.tile_size)
    )
    normalise = Learner(nn.Identity(), recipe, card).normalise
    batches = []
    for first in range(0, BATCHES * size, size):
        images, targets = recipe.collate([samples[number] for number in range(first, first + size)])
        batches.append(move_data_to_device((normalise(images), targets), device))

    def learn(steps: int) -> None:
        for images, targets in islice(cycle(batches), steps):
            optimizer.zero_grad()
            with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
                losses = recipe.losses(network, images, targets)
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return learn


def _seconds_of_checkpoint(output: Path) -> float:
    content = checkpoints.load_checkpoint(output, checkpoints.LAST)
    began = time.perf_counter()
    checkpoints.save_checkpoint(output, checkpoints.LAST, content)
    return time.perf_counter() - began


def _write_dataset(folder: Path, card: ModelCard, case: TrainingCase) -> None:
    """Write chips as ``export-data`` writes them: those of an epoch, a few under many names, and one to validate."""
    generator = np.random.default_rng(0)
    side = card.tile_size
    with rasterio.open(DEMO) as demo:
        image, crs, to_ground = demo.read(), demo.crs, demo.transform
    grid = WorkingGrid(side, side, to_ground, crs)
    for split, count in (("train", CHIPS), ("val", 1)):
        for name in range(count):
            dates = [_window(image, side, generator) for _ in range(case.dates)]
            valid = np.ones((side, side), dtype=bool)
            pixels = Dates(np.stack(dates), valid, card.bands)
            case.label(card, side, generator).write(folder / split, str(name), pixels, grid)
    (folder / "classes.json").write_text(json.dumps([{"name": name} for name in card.class_names]), encoding="utf-8")
    images = case.batch_size * (WARM_UP + case.steps + AHEAD)
    for path in [each for each in (folder / "train").rglob("*") if each.is_file()]:
        for number in range(int(path.stem) + CHIPS, images, CHIPS):
            os.link(path, path.with_stem(str(number)))


def _window(image: np.ndarray, side: int, generator: np.random.Generator) -> np.ndarray:
    """A square of an image (C, h, w), which repeats itself."""
    rows, columns = ((generator.integers(length) + np.arange(side)) % length for length in image.shape[1:])
    return np.ascontiguousarray(image[:, rows[:, None], columns])


def _objects(card: ModelCard, side: int, generator: np.random.Generator) -> Label:
    centres = generator.uniform(0, side, (OBJECTS, 1, 2))
    corners = centres + generator.uniform(10, 30, (OBJECTS, 1, 2)) * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    numbers = generator.integers(len(card.classes), size=OBJECTS)
    return ObjectLabel(UNCOUNTED, UNCOUNTED, numbers, corners, card.class_names, side)


def _mask(card: ModelCard, side: int, generator: np.random.Generator) -> Label:
    return MaskLabel(UNCOUNTED, UNCOUNTED, _patches(len(card.classes), side, generator), None, ())


def _change(card: ModelCard, side: int, generator: np.random.Generator) -> Label:
    return ChangeLabel(UNCOUNTED, UNCOUNTED, _patches(2, side, generator) * CHANGED)


def _scene(card: ModelCard, side: int, generator: np.random.Generator) -> Label:
    return SceneLabel(UNCOUNTED, UNCOUNTED, str(generator.choice(card.class_names)))


def _patches(count: int, side: int, generator: np.random.Generator) -> np.ndarray:
    """Squares of so many classes, uint8 (side, side)."""
    classes = generator.integers(count, size=(-(-side // PATCH),) * 2, dtype=np.uint8)
    return np.kron(classes, np.ones((PATCH, PATCH), np.uint8))[:side, :side]


CASES = {
    "detect": TrainingCase(_objects, batch_size=2, steps=6),
    "segment": TrainingCase(_mask, batch_size=8, steps=20),
    "change": TrainingCase(_change, batch_size=8, steps=20, dates=2),
    "classify": TrainingCase(_scene, batch_size=8, steps=30),
}
