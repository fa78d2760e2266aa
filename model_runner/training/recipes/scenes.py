# SPDX-License-Identifier: GPL-2.0-or-later
"""Scene classification with LWGANet's own classifier."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer
from torch.utils.data import Dataset

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.metrics.ranking import top_accuracy
from model_runner.raster.scenes import SEEN_SHARE, seen_side
from model_runner.training.augmentation.samples import AlteredSamples
from model_runner.training.augmentation.scenes import SceneAugmentation, alter_scenes
from model_runner.training.datasets.images import COLOURS, FIRST_BAND, Pixels, shorter_side
from model_runner.training.datasets.scenes import (
    LabelledScene,
    MiddlesOfScenes,
    SceneDataset,
    find_scene_classes,
)
from model_runner.training.schedules import cosine, warm_up

SCALE = (1.0, 3.5)  # parts of 8 to 100 % of the area
SCALE_AT_LAST = (1.0, 1.6)  # of 39 to 100 %: closer to whole scenes
SIZES_OF_SCENES = (0.5, 2.0)
LABEL_SMOOTHING = 0.1
WEIGHT_DECAY = 0.05
WARM_UP_SHARE, WARM_UP_START, END = 2 / 300, 1e-3, 1e-6


class SceneTargets(NamedTuple):
    """Shares of the classes in each image, float32 (n, classes), and the images' names."""

    shares: Tensor
    names: tuple[str, ...]


class SceneRecipe:
    """Kinds of scenes with LWGANet's own classifier, on a folder for each class."""

    task = "classify"
    sample_size = 224
    learning_rate = 5e-4
    learning_rate_from_model = 2.5e-4
    averaging = 0.999
    validation_batch_size = 32

    def optimizer(self, parameters: list[Tensor], learning_rate: float) -> Optimizer:
        """See ``Recipe``."""
        return AdamW(parameters, lr=learning_rate, weight_decay=WEIGHT_DECAY)

    def learning_rate_factor(self, step: int, steps: int) -> float:
        """See ``Recipe``."""
        return warm_up(step, round(WARM_UP_SHARE * steps), WARM_UP_START) * cosine(step, steps, END)

    def card_facts(self, sample_size: int) -> dict[str, Any]:
        """See ``Recipe``; a tile is a whole scene."""
        return {"tile_size": round(sample_size / SEEN_SHARE), "overlap": 0}

    def decisions(self, figures: dict[str, float]) -> dict[str, float]:
        """See ``Recipe``; the likeliest class is taken, however likely it is."""
        return {}

    def reduction(self, paths: Sequence[Path], tile_size: int) -> float:
        """See ``Recipe``; a scene of any size fills the tile."""
        return shorter_side(paths) / tile_size

    def seen_scale(self, request: FinetuneRequest) -> tuple[float, float]:
        """See ``Recipe``; scenes of a class differ in size as they are."""
        return SIZES_OF_SCENES

    def sample_side(self, tile_size: int, longest_side: Callable[[], int]) -> int:
        """See ``Recipe``; a scene of any size fills the sample."""
        return seen_side(tile_size)

    def classes(self, folder: Path) -> dict[str, str]:
        """See ``Recipe``."""
        return dict.fromkeys(find_scene_classes(folder), "")

    def training_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> AlteredSamples:
        """See ``Recipe``; at last, samples show almost as much of a scene as is seen of it in use."""
        samples = SceneDataset(Path(request.data), "train", class_names, pixels)
        alter, alter_at_last = (
            partial(alter_scenes, SceneAugmentation(side, scale=request.scale or scale), request.mixing)
            for scale in (SCALE, SCALE_AT_LAST)
        )
        return AlteredSamples(samples, alter, request.seed, alter_at_last)

    def validation_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> Dataset:
        """See ``Recipe``."""
        return MiddlesOfScenes(SceneDataset(Path(request.data), "val", class_names, pixels), side)

    def collate(self, samples: list[LabelledScene]) -> tuple[Tensor, SceneTargets]:
        """See ``Recipe``; all images are of one size."""
        images, shares, names = zip(*samples, strict=True)
        return torch.stack(images), SceneTargets(torch.stack(shares), names)

    def losses(self, network: nn.Module, images: Tensor, targets: SceneTargets) -> dict[str, Tensor]:
        """See ``Recipe``."""
        logits = network(images).float()
        return {"classification": F.cross_entropy(logits, targets.shares, label_smoothing=LABEL_SMOOTHING)}

    def metric(self, class_names: tuple[str, ...]) -> "SceneMetric":
        """See ``Recipe``."""
        return SceneMetric()

    def training_images(self, folder: Path) -> list[Path]:
        """See ``Recipe``."""
        return SceneDataset(folder, "train", find_scene_classes(folder), FIRST_BAND).paths


class SceneMetric:
    """How often the right class is the likeliest, and one of the five likeliest."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def update(self, network: nn.Module, images: Tensor, targets: SceneTargets) -> None:
        """Take a batch of normalised images."""
        labels = targets.shares.argmax(1).cpu()
        for name, *result in zip(targets.names, network(images).float().cpu(), labels, strict=True):
            self.seen[name] = tuple(result)

    def compute(self) -> dict[str, float]:
        """Shares of the images."""
        logits, labels = (torch.stack(each) for each in zip(*self.seen.values(), strict=True))
        return {f"top-{count}": top_accuracy(logits, labels, count) for count in (1, 5)}
