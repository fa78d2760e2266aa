# SPDX-License-Identifier: GPL-2.0-or-later
"""What distinguishes the tasks in training: their data, their losses and what is measured.

``module`` and ``fit`` are the same for every task; a further task is a further recipe.
"""

import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.metrics.rotated_map import rotated_map
from model_runner.training.augmentation import RandomAugmentation, join_mosaic, place_on_canvas
from model_runner.training.datasets import DotaDataset, Sample, find_class_names, ground_resolution
from model_runner.training.oriented_rcnn_loss import oriented_rcnn_losses, regions_to_learn_from

VALIDATION_MULTIPLE = 32  # pixels: sides of images that networks take


class Metric(Protocol):
    """Gathers what a network says of the validation images.

    Attributes:
        seen: all that the figures need of each image, by its name; processes that share the images join theirs.
    """

    seen: dict[str, Any]

    def update(self, network: nn.Module, images: Tensor, targets: Any) -> None:
        """Take a batch of normalised images."""

    def compute(self) -> dict[str, float]:
        """The figures by name; the first is the one by which the best weights are chosen (more is better)."""


class Recipe(Protocol):
    """A task's part in training."""

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The classes that a dataset labels."""

    def network_options(self, class_names: tuple[str, ...]) -> dict[str, Any]:
        """Options of ``build_network`` that follow from the classes."""

    def training_data(self, request: FinetuneRequest, class_names: tuple[str, ...], side: int) -> Dataset:
        """The augmented samples of the training images."""

    def validation_data(self, folder: Path, class_names: tuple[str, ...]) -> Dataset:
        """The samples of the validation images as they are."""

    def collate(self, samples: list) -> tuple[Tensor, Any]:
        """Samples as a batch: images uint8 (n, bands, h, w) and the targets."""

    def losses(self, network: nn.Module, images: Tensor, targets: Any) -> dict[str, Tensor]:
        """The terms whose sum is minimised, for normalised images."""

    def metric(self, class_names: tuple[str, ...]) -> Metric:
        """A fresh metric."""

    def resolution(self, folder: Path) -> float | None:
        """Ground resolution of the training images in metres, where they are georeferenced."""


class AugmentedObjects(Dataset[Sample]):
    """Labelled objects altered by chance, differently in each epoch.

    Args:
        samples: the labelled images.
        augment: how they are altered.
        mosaic: share of the samples that are joined of four images.
        seed: of all chance.
    """

    def __init__(self, samples: DotaDataset, augment: RandomAugmentation, mosaic: float, seed: int) -> None:
        self._samples = samples
        self._augment = augment
        self._mosaic = mosaic
        self._seed = seed

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        # torch seeds every worker anew in each epoch: a generator from it repeats with the run's seed only
        generator = np.random.default_rng((self._seed, index, int(torch.randint(2**31, ()))))
        if generator.random() >= self._mosaic:
            return self._augment(self._samples[index], generator)
        chosen = [index, *generator.integers(len(self._samples), size=3).tolist()]
        return join_mosaic([self._samples[each] for each in chosen], self._augment, generator)


class DetectionRecipe:
    """Oriented detection with Oriented R-CNN on DOTA-format datasets."""

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """See ``Recipe``."""
        return find_class_names(folder)

    def network_options(self, class_names: tuple[str, ...]) -> dict[str, Any]:
        """See ``Recipe``."""
        return {"num_classes": len(class_names)}

    def training_data(self, request: FinetuneRequest, class_names: tuple[str, ...], side: int) -> Dataset:
        """See ``Recipe``."""
        samples = DotaDataset(Path(request.data), "train", class_names)
        augment = RandomAugmentation(side, scale=request.scale)
        return AugmentedObjects(samples, augment, request.mosaic, request.seed)

    def validation_data(self, folder: Path, class_names: tuple[str, ...]) -> Dataset:
        """See ``Recipe``."""
        return DotaDataset(folder, "val", class_names)

    def collate(self, samples: list[Sample]) -> tuple[Tensor, list[Sample]]:
        """Images on canvases of the size of the largest, a multiple of 32, and the samples as targets."""
        height, width = (
            -(-max(sample.image.shape[axis] for sample in samples) // VALIDATION_MULTIPLE) * VALIDATION_MULTIPLE
            for axis in (1, 2)
        )
        images = torch.stack([place_on_canvas(sample.image, max(height, 96), max(width, 96)) for sample in samples])
        return images, [sample._replace(image=sample.image[:, :0, :0]) for sample in samples]

    def losses(self, network: nn.Module, images: Tensor, targets: list[Sample]) -> dict[str, Tensor]:
        """See ``Recipe``."""
        boxes = [each.boxes for each in targets]
        labels = [each.labels for each in targets]
        regions = regions_to_learn_from(*images.shape[-2:])
        return oriented_rcnn_losses(network, images, boxes, labels, regions_per_image=regions)._asdict()

    def metric(self, class_names: tuple[str, ...]) -> "DetectionMetric":
        """See ``Recipe``."""
        return DetectionMetric(class_names)

    def resolution(self, folder: Path) -> float | None:
        """See ``Recipe``."""
        return ground_resolution(DotaDataset(folder, "train", self.class_names(folder)).paths[0])


class DetectionMetric:
    """Rotated mAP at IoU 0.5, by the area under the curve."""

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self._class_names = class_names
        self.seen: dict[str, Any] = {}

    def update(self, network: nn.Module, images: Tensor, targets: list[Sample]) -> None:
        """Take a batch of normalised images."""
        for found, target in zip(network(images), targets, strict=True):
            detections = tuple(each.cpu() for each in found)
            self.seen[target.name] = detections, (target.boxes.cpu(), target.labels.cpu(), target.difficult.cpu())

    def compute(self) -> dict[str, float]:
        """mAP50 and the average precision of each class that the images show."""
        found, truth = zip(*self.seen.values(), strict=True)
        result = rotated_map(found, truth, len(self._class_names), iou=0.5, method="area")
        by_class = {
            f"AP50 {name}": ap
            for name, ap in zip(self._class_names, result.per_class, strict=True)
            if not math.isnan(ap)
        }
        return {"mAP50": result.mean, **by_class}


RECIPES: dict[str, Recipe] = {"detect": DetectionRecipe()}
