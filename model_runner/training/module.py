# SPDX-License-Identifier: GPL-2.0-or-later
"""The training of any network by any recipe, as Lightning wants it."""

from typing import Any

import lightning
import torch
from torch import Tensor, nn

from model_runner.contract.model_card import ModelCard
from model_runner.training.recipes.recipe import Recipe


class FineTuning(lightning.LightningModule):
    """Trains a network with AdamW and validates it after each epoch.

    Args:
        network: what is trained.
        recipe: the task's losses and metric, and how the optimiser is set.
        card: gives the statistics of the pixels and the classes.
        learning_rate: the highest one.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, card: ModelCard, learning_rate: float) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self._recipe = recipe
        self._card = card
        self._learning_rate = learning_rate
        self._metric = recipe.metric(card.class_names)
        self.figures: dict[str, float] = {}
        self.register_buffer("mean", torch.tensor(card.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, -1, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Images uint8 (n, bands, h, w) as the network wants them."""
        return ((images.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def training_step(self, batch: tuple[Tensor, Any], index: int) -> Tensor:
        """The sum of the losses of a batch."""
        images, targets = batch
        losses = self._recipe.losses(self.network, self.normalise(images), targets)
        total = torch.stack(list(losses.values())).sum()
        figures = {f"loss/{name}": value.detach() for name, value in losses.items()}
        figures["loss"] = total.detach()
        self.log_dict(figures, on_step=False, on_epoch=True, batch_size=len(images), sync_dist=True)
        return total

    def on_validation_epoch_start(self) -> None:
        """Begin to measure."""
        self._metric = self._recipe.metric(self._card.class_names)

    def validation_step(self, batch: tuple[Tensor, Any], index: int) -> None:
        """Measure a batch."""
        images, targets = batch
        self._metric.update(self.network, self.normalise(images), targets)

    def on_validation_epoch_end(self) -> None:
        """Log the figures; the first one, by which the best weights are chosen, also as "score"."""
        if self.trainer.world_size > 1:
            parts: list[dict[str, Any]] = [{} for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(parts, self._metric.seen)
            self._metric.seen = {name: seen for part in parts for name, seen in part.items()}
        self.figures = self._metric.compute()
        self.log_dict(self.figures, sync_dist=True)
        self.log("score", next(iter(self.figures.values())), sync_dist=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW, and the recipe's course of the learning rate."""
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self._learning_rate, weight_decay=self._recipe.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self._recipe.learning_rate_factor(step, steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
