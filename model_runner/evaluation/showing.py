# SPDX-License-Identifier: GPL-2.0-or-later
"""Some images of a dataset as a model sees them, predicted beside labelled."""

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import Tiling
from model_runner.evaluation.maps import map_example, outcome_numbers
from model_runner.evaluation.objects import Truth, errors_at, object_example
from model_runner.evaluation.scenes import scene_example
from model_runner.inference.changing import change_finder
from model_runner.inference.computing import Computer
from model_runner.inference.detecting import find_objects
from model_runner.inference.detections import DetectionCollector
from model_runner.inference.placing import TakePixels, WorkingPixels
from model_runner.inference.prepare import prepare
from model_runner.inference.probability_maps import map_probabilities
from model_runner.inference.segmenting import find_classes
from model_runner.metrics.detection import judge, overlaps
from model_runner.raster.pair import RasterPair
from model_runner.raster.source import RasterSource, TileInput, open_source
from model_runner.report import Report
from model_runner.reports.examples import Example
from model_runner.reports.pictures import IGNORED
from model_runner.training.datasets.images import read_image
from model_runner.training.datasets.maps import MapDataset, open_masks, open_pairs
from model_runner.training.datasets.objects import ObjectDataset
from model_runner.training.datasets.scenes import SEEN_SHARE, MiddlesOfScenes, SceneDataset

IOU = 0.5  # from which a detection is right


class Model(NamedTuple):
    """A network with its card, and on what it computes."""

    network: nn.Module
    card: ModelCard
    computer: Computer


def example_images(model: Model, folder: Path, split: str, count: int, seed: int = 0) -> list[Example]:
    """Some images of a split, chosen at random, with what is labelled and what the model finds.

    Raises:
        RunnerError: the dataset cannot be used.
    """
    total, show = _SHOWN[model.card.task](model, folder, split)
    chosen = sorted(random.Random(seed).sample(range(total), min(count, total)))
    with torch.inference_mode():
        return [show(number) for number in chosen]


def _objects(model: Model, folder: Path, split: str) -> tuple[int, Callable[[int], Example]]:
    card = model.card
    samples = ObjectDataset(folder, split, card.class_names)

    def show(number: int) -> Example:
        path, truth = samples.paths[number], Truth(*samples.labelled_objects(number))
        collector = DetectionCollector(card.threshold, card.merge_iou)
        with open_source(str(path), band_count=len(card.bands)) as source:
            found, _ = find_objects(source, model.network, card, model.computer, Tiling(), collector, Report())
        image = overlaps(*found, *truth)
        errors = errors_at(image, judge(image, IOU), card.threshold)
        return object_example(path.name, _picture(path), found, truth, errors, card.class_names)

    return len(samples), show


def _masks(model: Model, folder: Path, split: str) -> tuple[int, Callable[[int], Example]]:
    samples = open_masks(folder, split, model.card.class_names)

    def find(dates: list[RasterSource], take: TakePixels) -> None:
        pixels = WorkingPixels(take)
        network, card, computer = model
        find_classes(dates[0], network, card, computer, Tiling(), False, pixels.take, pixels.margin, Report())

    return len(samples), lambda number: _map(
        model, samples, number, find, lambda probabilities: probabilities.argmax(0), None
    )


def _pairs(model: Model, folder: Path, split: str) -> tuple[int, Callable[[int], Example]]:
    samples = open_pairs(folder, split)
    network, card, computer = model

    def find(dates: list[RasterSource], take: TakePixels) -> None:
        pixels, predict = WorkingPixels(take), change_finder(network, card, computer, False)
        map_probabilities(
            RasterPair(*dates),
            dates[0].grid,
            1,
            predict,
            card,
            computer,
            Tiling(),
            pixels.take,
            pixels.margin,
            Report(),
        )

    return len(samples), lambda number: _map(
        model, samples, number, find, lambda probabilities: probabilities[0] >= card.threshold, 0
    )


def _map(
    model: Model,
    samples: MapDataset,
    number: int,
    find: Callable[[list[RasterSource], TakePixels], None],
    decide: Callable[[np.ndarray], np.ndarray],
    background: int | None,
) -> Example:
    paths, labels = samples.paths[number], samples.read_labels(number).numpy()
    found = np.zeros_like(labels)

    def take(x: int, y: int, probabilities: np.ndarray, valid: np.ndarray) -> None:
        found[y : y + valid.shape[0], x : x + valid.shape[1]] = decide(probabilities)

    with ExitStack() as opened:
        find([opened.enter_context(open_source(str(path), band_count=len(model.card.bands))) for path in paths], take)
    outcomes = outcome_numbers(found, labels, background)
    labelled = labels != IGNORED
    wrong = float((found != labels)[labelled].mean()) if labelled.any() else 0.0
    return map_example(paths[0].name, [_picture(path) for path in paths], found, labels, outcomes, wrong, model.card)


def _scenes(model: Model, folder: Path, split: str) -> tuple[int, Callable[[int], Example]]:
    network, card, computer = model
    samples = SceneDataset(folder, split, card.class_names)
    middles = MiddlesOfScenes(samples, round(card.tile_size * SEEN_SHARE))

    def show(number: int) -> Example:
        image = middles[number].image.numpy()
        images = prepare([TileInput(image, np.ones(image.shape[1:], bool))], card, computer.device)
        with computer.autocast():
            probabilities = network(images)[0].float().softmax(0).cpu()
        path = samples.paths[number]
        name = f"{path.parent.name}/{path.name}"
        return scene_example(name, _picture(path), probabilities, samples.labels[number], card.class_names)

    return len(samples), show


def _picture(path: Path) -> np.ndarray:
    return read_image(path).permute(1, 2, 0).numpy()


_SHOWN = {"detect": _objects, "segment": _masks, "change": _pairs, "classify": _scenes}
