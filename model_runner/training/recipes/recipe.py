# SPDX-License-Identifier: GPL-2.0-or-later
"""What distinguishes the tasks in training: their data, their losses and what is measured."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.training.augmentation.samples import AlteredSamples
from model_runner.training.datasets.images import COLOURS, Pixels


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
    """A task's part in training, as published for a network.

    Attributes:
        task: what the network learns.
        sample_size: side of the training samples of a network that starts from scratch, in pixels.
        learning_rate: the highest one, unless the user names another.
        learning_rate_from_model: the same where the whole network has learnt something before.
        averaging: share of the averaged weights that a step leaves; None validates and keeps the weights as they are.
        validation_batch_size: how many validation images go through the network at once; 1 if their sizes differ.
    """

    task: str
    sample_size: int
    learning_rate: float
    learning_rate_from_model: float
    averaging: float | None
    validation_batch_size: int

    def optimizer(self, parameters: list[Tensor], learning_rate: float) -> Optimizer:
        """What turns gradients into steps."""

    def learning_rate_factor(self, step: int, steps: int) -> float:
        """Share of the highest learning rate at a step of so many."""

    def card_facts(self, sample_size: int) -> dict[str, Any]:
        """What a model's card says of its use, when it has learnt from samples of this side."""

    def decisions(self, figures: dict[str, float]) -> dict[str, float]:
        """What a model's card says of what counts, for weights that reached these figures on the validation images."""

    def reduction(self, paths: Sequence[Path], tile_size: int) -> float:
        """How many pixels of an image, along a side, go into one that the network sees, before any change by chance.

        Args:
            paths: of the training images.
            tile_size: the model's, in pixels.
        """

    def seen_scale(self, request: FinetuneRequest) -> tuple[float, float]:
        """The smallest and the largest factor over the images' own scale at which the network sees what they show."""

    def sample_side(self, tile_size: int, longest_side: Callable[[], int]) -> int:
        """The side of the training samples in pixels, unless the user names another.

        Args:
            tile_size: the model's, in pixels.
            longest_side: looks for that of all training images, in pixels, which takes a while.
        """

    def classes(self, folder: Path) -> dict[str, str]:
        """The classes that a dataset labels, by number, with their colours; empty where the dataset has none."""

    def training_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> AlteredSamples:
        """The augmented samples of the training images."""

    def validation_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> Dataset:
        """The samples of the validation images as they are."""

    def collate(self, samples: list) -> tuple[Tensor, Any]:
        """Samples as a batch: images uint8 (n, bands, h, w) and the targets.

        Of pairs of images all earlier ones come first, then all later ones.
        """

    def losses(self, network: nn.Module, images: Tensor, targets: Any) -> dict[str, Tensor]:
        """The terms whose sum is minimised, for normalised images."""

    def metric(self, class_names: tuple[str, ...]) -> Metric:
        """A fresh metric."""

    def training_images(self, folder: Path) -> list[Path]:
        """The training images, of pairs the earlier ones, whatever their pixels are."""
