# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tasks that label each pixel have in common."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model_runner.metrics.confusion import Agreement, agreement, confusion_matrix
from model_runner.training.augmentation.affine import place_on_common_canvas
from model_runner.training.datasets.maps import IGNORED, LabelledMap
from model_runner.training.recipes.pieces import pieces_of


class MapTargets(NamedTuple):
    """Class numbers uint8 (n, h, w), and the images' names."""

    labels: Tensor
    names: tuple[str, ...]


def collate_maps(samples: list[LabelledMap]) -> tuple[Tensor, MapTargets]:
    """Images (dates x n, 3, h, w), one date after the other, on canvases of one size, and the targets.

    What is beyond an image is ignored.
    """
    dates = zip(*(sample.images for sample in samples), strict=True)
    images = torch.cat([place_on_common_canvas(each) for each in dates])
    labels = place_on_common_canvas([sample.labels[None] for sample in samples], (IGNORED,))[:, 0]
    return images, MapTargets(labels, tuple(sample.name for sample in samples))


class MapMetric:
    """How well classes of pixels meet the labelled ones.

    Args:
        class_count: how many classes there are.
        predict: from a network and normalised images to class numbers (n, h, w).
        figures: what is told of the agreement over all images.
    """

    def __init__(
        self,
        class_count: int,
        predict: Callable[[nn.Module, Tensor], Tensor],
        figures: Callable[[Agreement], dict[str, float]],
    ) -> None:
        self.seen: dict[str, Any] = {}
        self._class_count = class_count
        self._predict = predict
        self._figures = figures

    def update(self, network: nn.Module, images: Tensor, targets: MapTargets) -> None:
        """Take a batch of normalised images."""
        for name in targets.names:
            self.seen[name] = torch.zeros((self._class_count, self._class_count), dtype=torch.int64)
        for piece in pieces_of(*images.shape[-2:]):
            found = self._predict(network, piece.of(images))
            for name, *maps in zip(targets.names, found, piece.of(targets.labels), strict=True):
                self.seen[name] += confusion_matrix(*maps, self._class_count, IGNORED).cpu()

    def compute(self) -> dict[str, float]:
        """The figures over all images."""
        return self._figures(agreement(torch.stack(list(self.seen.values())).sum(0)))
