# SPDX-License-Identifier: GPL-2.0-or-later
"""A network together with what it is taught: from images and targets to losses."""

from typing import Any

import torch
from torch import Tensor, nn

from model_runner.contract.model_card import ModelCard
from model_runner.training.recipes.recipe import Recipe


class Learner(nn.Module):
    """Gives the losses of a batch.

    Args:
        network: what is trained.
        recipe: the task's losses.
        card: gives the statistics of the pixels.
        frozen_stages: of the backbone, with the stem before the first; these keep their weights and statistics.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, card: ModelCard, frozen_stages: int = 0) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self._recipe = recipe
        self._frozen = _parts_of_backbone(network, frozen_stages)
        for part in self._frozen:
            part.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(card.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, -1, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "Learner":
        """Switch to training, but for what is frozen."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def normalise(self, images: Tensor) -> Tensor:
        """Images uint8 (n, bands, h, w) as the network wants them; pairs (2n, bands, h, w) likewise."""
        return ((images.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor, targets: Any) -> dict[str, Tensor]:
        """The terms of the loss, scalars."""
        return self._recipe.losses(self.network, self.normalise(images), targets)


def _parts_of_backbone(network: nn.Module, stages: int) -> list[nn.Module]:
    """The stem, the first stages with what joins them, and the normalisations of their maps."""
    if not stages:
        return []
    trunk = getattr(network, "backbone", network)
    norms = [getattr(trunk, f"norm{2 * stage}", None) for stage in range(stages)]
    return [trunk.Stem, *trunk.stages[: 2 * stages - 1], *(norm for norm in norms if norm is not None)]
