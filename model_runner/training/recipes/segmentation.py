# SPDX-License-Identifier: GPL-2.0-or-later
"""Segmentation with UNetFormer."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.metrics.confusion import Agreement
from model_runner.raster.tiling import network_side
from model_runner.training.augmentation.maps import MapAugmentation, alter_map
from model_runner.training.augmentation.samples import AlteredSamples
from model_runner.training.datasets.findings import refuse
from model_runner.training.datasets.images import COLOURS, Pixels
from model_runner.training.datasets.maps import IGNORED, LabelledMap, find_mask_classes, find_masks, open_masks
from model_runner.training.lookahead import LookaheadAdamW
from model_runner.training.recipes.maps import MapMetric, MapTargets, collate_maps
from model_runner.training.schedules import cosine
from model_runner.training.unetformer_loss import unetformer_losses

SCALE = (0.75, 1.5)
LARGEST_SHARE = 0.75  # of a class in a sample
JITTER, HUES = 0.25, 0.1
END = 1 / 400
WEIGHT_DECAY = 0.01


class SegmentationRecipe:
    """Classes of pixels with UNetFormer, on images with masks."""

    task = "segment"
    sample_size = 512
    learning_rate = 4e-4
    learning_rate_from_model = 6e-4  # with less, a hundred chips and a few dozen passes teach new classes too little
    averaging = None
    validation_batch_size = 1

    def optimizer(self, parameters: list[Tensor], learning_rate: float) -> Optimizer:
        """See ``Recipe``."""
        return LookaheadAdamW(parameters, lr=learning_rate, weight_decay=WEIGHT_DECAY)

    def learning_rate_factor(self, step: int, steps: int) -> float:
        """See ``Recipe``."""
        return cosine(step, steps, END)

    def card_facts(self, sample_size: int) -> dict[str, Any]:
        """See ``Recipe``."""
        return {"tile_size": sample_size, "overlap": sample_size // 4}

    def decisions(self, figures: dict[str, float]) -> dict[str, float]:
        """See ``Recipe``; the likeliest class is taken, however likely it is."""
        return {}

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
        """See ``Recipe``."""
        return find_mask_classes(folder)

    def training_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> AlteredSamples:
        """See ``Recipe``."""
        samples = open_masks(Path(request.data), "train", class_names, pixels)
        augment = MapAugmentation(side, self.seen_scale(request), jitter=JITTER, hues=HUES, largest_share=LARGEST_SHARE)
        return AlteredSamples(samples, partial(alter_map, augment), request.seed)

    def validation_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> Dataset:
        """See ``Recipe``."""
        return open_masks(Path(request.data), "val", class_names, pixels)

    def collate(self, samples: list[LabelledMap]) -> tuple[Tensor, MapTargets]:
        """See ``Recipe``."""
        return collate_maps(samples)

    def losses(self, network: nn.Module, images: Tensor, targets: MapTargets) -> dict[str, Tensor]:
        """See ``Recipe``."""
        return unetformer_losses(network(images), targets.labels.long(), IGNORED)._asdict()

    def metric(self, class_names: tuple[str, ...]) -> MapMetric:
        """See ``Recipe``; the mean IoU decides."""
        return MapMetric(len(class_names), predict_classes, partial(segmentation_figures, class_names))

    def training_images(self, folder: Path) -> list[Path]:
        """See ``Recipe``."""
        return [paths[0] for paths in find_masks(folder, "train", refuse)]


def predict_classes(network: nn.Module, images: Tensor) -> Tensor:
    """The likeliest class (n, h, w) of each pixel."""
    return network(images).argmax(1)


def segmentation_figures(class_names: tuple[str, ...], found: Agreement) -> dict[str, float]:
    """The mean IoU, and what else is told while a network learns; classes that nothing shows are left out."""
    by_class = {f"IoU {name}": iou for name, iou in zip(class_names, found.iou, strict=True) if not math.isnan(iou)}
    return {"mIoU": found.mean_iou, "mF1": found.mean_f1, "accuracy": found.overall_accuracy, **by_class}
