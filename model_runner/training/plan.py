# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user leaves open about a training, chosen by the dataset and by where the network starts."""

import math
from dataclasses import dataclass, replace
from typing import Any

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.errors import InputError

BATCH_SIZE = 8
STEPS_FROM_MODEL, STEPS_FROM_SCRATCH = 1000, 3000  # at least, where the dataset is small
EPOCHS_FROM_MODEL, EPOCHS_FROM_SCRATCH = 10, 30  # at least, where it is large
VALIDATIONS = 50  # at most
PATIENCE_SHARE, LEAST_PATIENCE = 1 / 3, 10  # of the epochs, and in epochs


@dataclass(frozen=True)
class Plan:
    """The course of a training.

    Attributes:
        images: how many training images there are.
        batch_size: images a step, of all processes together.
        epochs: passes over the training images.
        learning_rate: the highest one.
        patience: epochs without a better figure after which training ends; 0 never.
    """

    images: int
    batch_size: int
    epochs: int
    learning_rate: float
    patience: int

    @property
    def steps_per_epoch(self) -> int:
        """How many whole batches there are; the images that remain come in another epoch."""
        return self.images // self.batch_size

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.epochs * self.steps_per_epoch

    @property
    def epochs_between_validations(self) -> int:
        """A few images make many short epochs, which are not all validated."""
        return -(-self.epochs // VALIDATIONS)

    def in_words(self) -> str:
        """The plan in a sentence."""
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        steps = "1 step" if self.steps_per_epoch == 1 else f"{self.steps_per_epoch} steps"
        images = "1 image" if self.batch_size == 1 else f"{self.batch_size} images"
        ends_early = 0 < self.patience < self.epochs
        ending = f", at most: it ends after {self.patience} epochs without a better figure" if ends_early else ""
        return f"{epochs} of {steps} with {images}, learning rate {self.learning_rate:g}{ending}."

    def is_validated(self, step: int) -> bool:
        """Whether the network is measured after so many steps."""
        epoch, remainder = divmod(step, self.steps_per_epoch)
        return remainder == 0 and (epoch % self.epochs_between_validations == 0 or epoch == self.epochs)


def make_plan(request: FinetuneRequest, images: int, learning_rate: float, from_model: bool) -> Plan:
    """The plan of a training that begins.

    Args:
        request: what the user chose; None leaves the choice.
        images: how many training images there are.
        learning_rate: the recipe's, for where the network starts.
        from_model: whether the whole network starts from a model, not from scratch or a backbone only.

    Raises:
        InputError: the images do not fill a batch.
    """
    batch_size = request.batch_size or min(BATCH_SIZE, images)
    if images < batch_size:
        raise InputError(f"{images} training images do not fill a batch of {batch_size}; choose a smaller batch size.")
    least_steps = STEPS_FROM_MODEL if from_model else STEPS_FROM_SCRATCH
    least_epochs = EPOCHS_FROM_MODEL if from_model else EPOCHS_FROM_SCRATCH
    epochs = request.epochs or max(least_epochs, math.ceil(least_steps / (images // batch_size)))
    return Plan(
        images,
        batch_size,
        epochs,
        request.learning_rate or learning_rate,
        _patience(request, epochs),
    )


def plan_of_resumed(request: FinetuneRequest, plain: dict[str, Any]) -> Plan:
    """The plan of a training that goes on: that of its checkpoint, with what the user chooses anew.

    Raises:
        InputError: the batch size is another.
    """
    plan = Plan(**plain)
    chosen = {
        name: getattr(request, name)
        for name in ("batch_size", "epochs", "learning_rate", "patience")
        if getattr(request, name) is not None
    }
    if chosen.get("batch_size", plan.batch_size) != plan.batch_size:
        raise InputError(
            f"The training began with batches of {plan.batch_size}; it cannot go on with {request.batch_size}."
        )
    return replace(plan, **chosen)


def _patience(request: FinetuneRequest, epochs: int) -> int:
    if request.patience is not None:
        return request.patience
    return max(LEAST_PATIENCE, math.ceil(PATIENCE_SHARE * epochs))
