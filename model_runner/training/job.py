# SPDX-License-Identifier: GPL-2.0-or-later
"""All that a training needs."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import FinetuneRequest
from model_runner.training.plan import Plan
from model_runner.training.recipes.recipe import Recipe


class Job(NamedTuple):
    """What is trained on what; goes to each of the processes that share the work.

    Attributes:
        output: folder of the checkpoints and the log.
        weights: (images,), how often each training image comes in an epoch, on average.
        checkpoint: to go on from, or None.
    """

    network: nn.Module
    card: ModelCard
    recipe: Recipe
    request: FinetuneRequest
    output: Path
    plan: Plan
    training: Any
    validation: Any
    weights: np.ndarray
    checkpoint: dict[str, Any] | None
