# SPDX-License-Identifier: GPL-2.0-or-later
"""Detection of change between two dates with A2Net or CLAFA."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.utils.data import Dataset

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.metrics.confusion import Agreement
from model_runner.networks.clafa import ChangeLogits
from model_runner.raster.tiling import network_side
from model_runner.training.a2net_loss import a2net_losses
from model_runner.training.augmentation.maps import MapAugmentation, alter_map
from model_runner.training.augmentation.samples import AlteredSamples
from model_runner.training.clafa_loss import clafa_losses
from model_runner.training.datasets.findings import refuse
from model_runner.training.datasets.images import COLOURS, Pixels
from model_runner.training.datasets.maps import LabelledMap, find_pairs, open_pairs
from model_runner.training.recipes.maps import MapMetric, MapTargets, collate_maps
from model_runner.training.schedules import cosine, polynomial, warm_up

CLASSES = {"unchanged": "#f0f0f0", "changed": "#e31a1c"}
SCALE = (0.75, 1.33)
THRESHOLD = 0.5
JITTER, HUES = 0.25, 0.1


@dataclass(frozen=True)
class ChangeRecipe:
    """What changed, on pairs of images.

    Attributes:
        make_optimizer: of parameters, with the learning rate as ``lr``.
        course: of the learning rate: its factor at a step of so many.
        losses_of: the terms of the loss, for what the network gives in training and where something changed (n, h, w).
    """

    make_optimizer: Callable[..., Optimizer]
    course: Callable[[int, int], float]
    losses_of: Callable[[Any, Tensor], dict[str, Tensor]]
    task: str = "change"
    sample_size: int = 256
    learning_rate: float = 5e-4
    learning_rate_from_model: float = 2.5e-4
    averaging: float | None = None
    validation_batch_size: int = 1

    def optimizer(self, parameters: list[Tensor], learning_rate: float) -> Optimizer:
        """See ``Recipe``."""
        return self.make_optimizer(parameters, lr=learning_rate)

    def learning_rate_factor(self, step: int, steps: int) -> float:
        """See ``Recipe``."""
        return self.course(step, steps)

    def card_facts(self, sample_size: int) -> dict[str, Any]:
        """See ``Recipe``."""
        return {"tile_size": sample_size, "overlap": sample_size // 4}

    def decisions(self, figures: dict[str, float]) -> dict[str, float]:
        """See ``Recipe``; at this threshold the figures were measured."""
        return {"threshold": THRESHOLD}

    def reduction(self, paths: Sequence[Path], tile_size: int) -> float:
        """See ``Recipe``."""
        return 1.0

    def seen_scale(self, request: FinetuneRequest) -> tuple[float, float]:
        """See ``Recipe``."""
        return request.scale or SCALE

    def sample_side(self, tile_size: int, longest_side: Callable[[], int]) -> int:
        """See ``Recipe``; samples larger than all images would be empty around them."""
        return min(tile_size, network_side(longest_side()))

    def classes(self, folder: Path) -> dict[str, str]:
        """See ``Recipe``; they are always the same."""
        return CLASSES

    def training_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> AlteredSamples:
        """See ``Recipe``; beyond the images nothing changes."""
        samples = open_pairs(Path(request.data), "train", pixels)
        augment = MapAugmentation(
            side, self.seen_scale(request), beyond=0, swap_probability=0.5, jitter=JITTER, hues=HUES
        )
        return AlteredSamples(samples, partial(alter_map, augment), request.seed)

    def validation_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> Dataset:
        """See ``Recipe``."""
        return open_pairs(Path(request.data), "val", pixels)

    def collate(self, samples: list[LabelledMap]) -> tuple[Tensor, MapTargets]:
        """See ``Recipe``."""
        return collate_maps(samples)

    def losses(self, network: nn.Module, images: Tensor, targets: MapTargets) -> dict[str, Tensor]:
        """See ``Recipe``."""
        return self.losses_of(network(*images.chunk(2)), targets.labels)

    def metric(self, class_names: tuple[str, ...]) -> MapMetric:
        """See ``Recipe``; the F1 of what changed decides."""
        return MapMetric(len(class_names), predict_change, change_figures)

    def training_images(self, folder: Path) -> list[Path]:
        """See ``Recipe``."""
        return [paths[0] for paths in find_pairs(folder, "train", refuse)]


def predict_change(network: nn.Module, images: Tensor) -> Tensor:
    """Whether each pixel (n, h, w) changed: 0 or 1."""
    return (change_probability(network(*images.chunk(2))) >= THRESHOLD).long()


def change_probability(logits: Tensor) -> Tensor:
    """The probability of change (n, h, w), from logits of change (n, 1, h, w) or of both classes (n, 2, h, w)."""
    logits = logits.float()
    return logits[:, 0].sigmoid() if logits.shape[1] == 1 else logits.softmax(1)[:, 1]


def change_figures(found: Agreement) -> dict[str, float]:
    """How well changed pixels are found."""
    return {
        "F1": found.f1[1],
        "IoU": found.iou[1],
        "precision": found.precision[1],
        "recall": found.recall[1],
        "kappa": found.kappa,
    }


def _a2net_course(step: int, steps: int) -> float:
    length = round(steps / 200)
    return warm_up(step, length, 0.1) * (polynomial(step, steps) if step >= length else 1.0)


def _clafa_course(step: int, steps: int) -> float:
    length = round(steps / 10)
    return warm_up(step, length, 0.0) if step < length else cosine(step - length, steps - length)


def _losses_of_a2net(masks: tuple[Tensor, ...], changed: Tensor) -> dict[str, Tensor]:
    return {f"mask {number}": loss for number, loss in enumerate(a2net_losses(masks, changed), 1)}


def _losses_of_clafa(logits: ChangeLogits, changed: Tensor) -> dict[str, Tensor]:
    return clafa_losses(logits, changed)._asdict()


A2NET = ChangeRecipe(partial(Adam, betas=(0.9, 0.99), weight_decay=1e-4), _a2net_course, _losses_of_a2net)
CLAFA = ChangeRecipe(partial(AdamW, weight_decay=5e-4), _clafa_course, _losses_of_clafa)
