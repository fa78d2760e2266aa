# SPDX-License-Identifier: GPL-2.0-or-later
"""Oriented detection with Oriented R-CNN."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.utils.data import Dataset

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.metrics.detection import curve_of, judge, overlaps
from model_runner.metrics.rotated_map import average_precisions
from model_runner.raster.tiling import network_side
from model_runner.training.augmentation.affine import mean_colour, place_on_common_canvas
from model_runner.training.augmentation.objects import ObjectAugmentation, alter_objects
from model_runner.training.augmentation.samples import AlteredSamples
from model_runner.training.datasets.findings import refuse
from model_runner.training.datasets.images import COLOURS, Pixels
from model_runner.training.datasets.objects import ObjectDataset, Sample, find_class_names, read_objects
from model_runner.training.oriented_rcnn_loss import oriented_rcnn_losses, regions_to_learn_from
from model_runner.training.recipes.pieces import objects_of, pieces_of
from model_runner.training.schedules import staircase, warm_up

SCALE = (0.75, 1.33)
LABELS = ("boxes", "labels", "difficult")  # of a sample
IOU = 0.5  # from which a detection is right
THRESHOLD = 0.3  # of a model that has found nothing yet
MERGE_IOU = 0.1  # at which the network joins boxes while it is measured
WEIGHT_DECAY = 0.05
WARM_UP_STEPS, WARM_UP_START = 500, 1 / 3


class DetectionRecipe:
    """Oriented detection with Oriented R-CNN on images with oriented objects."""

    task = "detect"
    sample_size = 1024
    learning_rate = 2e-4
    learning_rate_from_model = 2e-4
    averaging = None
    validation_batch_size = 1

    def optimizer(self, parameters: list[Tensor], learning_rate: float) -> Optimizer:
        """See ``Recipe``."""
        return AdamW(parameters, lr=learning_rate, weight_decay=WEIGHT_DECAY)

    def learning_rate_factor(self, step: int, steps: int) -> float:
        """See ``Recipe``."""
        return warm_up(step, min(WARM_UP_STEPS, steps // 10), WARM_UP_START) * staircase(step, steps)

    def card_facts(self, sample_size: int) -> dict[str, Any]:
        """See ``Recipe``; a detector may look at larger tiles than it has learnt from."""
        return {}

    def decisions(self, figures: dict[str, float]) -> dict[str, float]:
        """See ``Recipe``; the threshold is the score from which F1 was highest."""
        best = figures["best threshold"] if figures.get("F1") else THRESHOLD
        return {"threshold": math.floor(1000 * best) / 1000, "merge_iou": MERGE_IOU}

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
        return dict.fromkeys(find_class_names(folder), "")

    def training_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> AlteredSamples:
        """See ``Recipe``."""
        samples = ObjectDataset(Path(request.data), "train", class_names, pixels=pixels)
        augment = ObjectAugmentation(side, scale=self.seen_scale(request), fill=mean_colour(pixels.count))
        return AlteredSamples(samples, partial(alter_objects, augment, request.mosaic), request.seed)

    def validation_data(
        self, request: FinetuneRequest, class_names: tuple[str, ...], side: int, pixels: Pixels = COLOURS
    ) -> Dataset:
        """See ``Recipe``."""
        return ObjectDataset(Path(request.data), "val", class_names, pixels=pixels)

    def collate(self, samples: list[Sample]) -> tuple[Tensor, list[Sample]]:
        """Images on canvases of one size, and the samples as targets."""
        images = place_on_common_canvas([sample.image for sample in samples])
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

    def training_images(self, folder: Path) -> list[Path]:
        """See ``Recipe``."""
        return [each.path for each in read_objects(folder, "train", refuse)]


class DetectionMetric:
    """Rotated mAP at IoU 0.5, by the area under the curve, and the score from which F1 is highest."""

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self._class_names = class_names
        self.seen: dict[str, Any] = {}

    def update(self, network: nn.Module, images: Tensor, targets: list[Sample]) -> None:
        """Take a batch of normalised images."""
        size = images.shape[-2:]
        targets = [each._replace(**{name: getattr(each, name).cpu() for name in LABELS}) for each in targets]
        for target in targets:
            self.seen[target.name] = []
        for piece in pieces_of(*size):
            for found, target in zip(network(piece.of(images)), targets, strict=True):
                labelled = objects_of(piece, *size, target)
                truth = (getattr(labelled, name) for name in LABELS)
                self.seen[target.name].append(overlaps(*(each.cpu() for each in found), *truth))

    def compute(self) -> dict[str, float]:
        """mAP50, the best F1 and its threshold, and the average precision of each class that the images show."""
        images = [piece for pieces in self.seen.values() for piece in pieces]
        result = average_precisions(images, len(self._class_names), IOU, "area")
        curve = curve_of(images, [judge(image, IOU) for image in images])
        best = curve.best_threshold()
        of_all = {} if math.isnan(best) else {"F1": curve.at(best)[2], "best threshold": best}
        by_class = {
            f"AP50 {name}": ap
            for name, ap in zip(self._class_names, result.per_class, strict=True)
            if not math.isnan(ap)
        }
        return {"mAP50": result.mean, **of_all, **by_class}
