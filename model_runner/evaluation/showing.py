# SPDX-License-Identifier: GPL-2.0-or-later
"""Some images of a dataset as a model sees them, predicted beside labelled."""

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import Tiling
from model_runner.errors import UnreadableRaster
from model_runner.evaluation.images import ImageReader, MapFinder, finds_changes, finds_classes, map_of
from model_runner.evaluation.maps import map_example, outcome_numbers
from model_runner.evaluation.objects import Truth, errors_at, object_example
from model_runner.evaluation.scenes import scene_example
from model_runner.inference.computing import Computer
from model_runner.inference.detecting import find_objects
from model_runner.inference.detections import DetectionCollector
from model_runner.inference.prepare import prepare_mirrored
from model_runner.metrics.detection import judge, overlaps
from model_runner.raster.scenes import seen_side
from model_runner.raster.source import TileInput
from model_runner.report import Report
from model_runner.reports.examples import Example
from model_runner.reports.pictures import IGNORED
from model_runner.training.datasets.maps import MapDataset, open_masks, open_pairs
from model_runner.training.datasets.objects import ObjectDataset
from model_runner.training.datasets.scenes import MiddlesOfScenes, SceneDataset

IOU = 0.5  # from which a detection is right


class Model(NamedTuple):
    """A network, what reads images for it, and on what it computes."""

    network: nn.Module
    reader: ImageReader
    computer: Computer

    @property
    def card(self) -> ModelCard:
        """The model's."""
        return self.reader.card


def example_images(model: Model, folder: Path, split: str, count: int, seed: int = 0) -> list[Example]:
    """Some images of a split, chosen at random, with what is labelled and what the model finds.

    Those that cannot be read are left out.

    Raises:
        RunnerError: the dataset cannot be used.
    """
    total, show = _SHOWN[model.card.task](model, folder, split)
    chosen = sorted(random.Random(seed).sample(range(total), min(count, total)))
    examples = []
    for number in chosen:
        with suppress(UnreadableRaster), torch.inference_mode():
            examples.append(show(number))
    return examples


def _objects(model: Model, folder: Path, split: str) -> tuple[int, Callable[[int], Example]]:
    card, reader = model.card, model.reader
    samples = ObjectDataset(folder, split, card.class_names, pixels=reader.pixels)

    def show(number: int) -> Example:
        path, truth = samples.paths[number], Truth(*samples.labelled_objects(number))
        collector = DetectionCollector(card.threshold, card.merge_iou)
        with reader.open(path) as source:
            found, _ = find_objects(source, model.network, card, model.computer, Tiling(), collector, Report())
        image = overlaps(*found, *truth)
        errors = errors_at(image, judge(image, IOU), card.threshold)
        return object_example(path.name, reader.picture(path), found, truth, errors, card.class_names)

    return len(samples), show


def _masks(model: Model, folder: Path, split: str) -> tuple[int, Callable[[int], Example]]:
    samples = open_masks(folder, split, model.card.class_names, model.reader.pixels)
    finder = finds_classes(model.network, model.card, model.computer)
    return len(samples), partial(_map, model.reader, samples, finder)


def _pairs(model: Model, folder: Path, split: str) -> tuple[int, Callable[[int], Example]]:
    samples = open_pairs(folder, split, model.reader.pixels)
    finder = finds_changes(model.network, model.card, model.computer, model.card.threshold)
    return len(samples), partial(_map, model.reader, samples, finder)


def _map(reader: ImageReader, samples: MapDataset, finder: MapFinder, number: int) -> Example:
    card = reader.card
    paths, labels = samples.paths[number], samples.read_labels(number).numpy()
    found, has_data = map_of(paths, reader, finder)
    labels = np.where(has_data, labels, IGNORED)
    outcomes = outcome_numbers(found, labels, card.background)
    labelled = labels != IGNORED
    wrong = float((found != labels)[labelled].mean()) if labelled.any() else 0.0
    pictures = [reader.picture(path) for path in paths]
    return map_example(paths[0].name, pictures, found, labels, outcomes, wrong, card, card.background)


def _scenes(model: Model, folder: Path, split: str) -> tuple[int, Callable[[int], Example]]:
    network, reader, computer = model
    card = reader.card
    samples = SceneDataset(folder, split, card.class_names, reader.pixels)
    middles = MiddlesOfScenes(samples, seen_side(card.tile_size))

    def show(number: int) -> Example:
        image = middles[number].image.numpy()
        images = prepare_mirrored([TileInput(image, np.ones(image.shape[1:], bool))], card, computer.device)
        with computer.autocast():
            probabilities = network(images)[0].float().softmax(0).cpu()
        path = samples.paths[number]
        name = f"{path.parent.name}/{path.name}"
        return scene_example(name, reader.picture(path), probabilities, samples.labels[number], card.class_names)

    return len(samples), show


_SHOWN = {"detect": _objects, "segment": _masks, "change": _pairs, "classify": _scenes}
