# SPDX-License-Identifier: GPL-2.0-or-later
"""From a dataset and a recipe to trained weights: the loop, its checkpoints and its log."""

import logging
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import FinetuneRequest
from model_runner.errors import Cancelled, InputError
from model_runner.report import Report, TerminalReport
from model_runner.training.module import FineTuning
from model_runner.training.recipes import find_recipe

GRADIENT_CLIP = 35.0
CHECKPOINTS = "checkpoints"
LIGHTNING_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


class Fitted(NamedTuple):
    """The best weights of a run and the figures they reached on the validation images."""

    state: dict[str, Tensor]
    metrics: dict[str, float]


def seed_everything(seed: int) -> None:
    """Make all that is random repeat with the seed: first weights, order, samples, targets."""
    lightning.seed_everything(seed, workers=True, verbose=False)


def fit(network: nn.Module, card: ModelCard, request: FinetuneRequest, report: Report) -> Fitted:
    """Train the network on the dataset and return the weights that were best on its validation images.

    Checkpoints and ``log/version_0/metrics.csv`` are written in the output folder after every epoch; a resumed run
    logs under the next number.

    Raises:
        InputError: the dataset cannot be used, or there is no checkpoint to go on from.
        Cancelled: the user asked to stop; the last checkpoint remains.
    """
    _silence_lightning()
    recipe, output = find_recipe(request.task, card.network), Path(request.output)
    module = FineTuning(network, recipe, card, request.learning_rate or recipe.learning_rate)
    side = request.sample_size or recipe.sample_side(card.tile_size)
    training = recipe.training_data(request, card.class_names, side)
    validation = recipe.validation_data(request, card.class_names, side)
    report.log("info", f"Training on {len(training)} images, validating on {len(validation)}.")
    if len(training) < request.batch_size:
        raise InputError(
            f"{len(training)} training images do not fill a batch of {request.batch_size}; choose a smaller batch size."
        )
    best = ModelCheckpoint(
        output / CHECKPOINTS, "best", monitor="score", mode="max", save_last=True, enable_version_counter=False
    )
    trainer = lightning.Trainer(
        max_epochs=request.epochs,
        gradient_clip_val=GRADIENT_CLIP,
        callbacks=[*_averaging(recipe.averaging), best, _Reporting(report, request.epochs)],
        logger=CSVLogger(output, name="log"),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=True,
        **_hardware(request),
    )
    checkpoint = _checkpoint_to_resume(output) if request.resume else None
    try:
        trainer.fit(
            module,
            _loader(training, recipe.collate, request, request.batch_size, shuffle=True),
            _loader(validation, recipe.collate, request, recipe.validation_batch_size, shuffle=False),
            ckpt_path=checkpoint,
            weights_only=True,
        )
    except SystemExit as interrupted:  # what Lightning makes of Ctrl-C
        raise Cancelled from interrupted
    return _best_of(best.best_model_path)


def _silence_lightning() -> None:
    """Keep its advice to developers from users."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    warnings.filterwarnings("ignore", message=".*exists and is not empty")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")


def _hardware(request: FinetuneRequest) -> dict[str, Any]:
    """Which devices Lightning uses, in which precision; several GPUs share the batches."""
    kind, _, index = request.device.partition(":")
    on_gpu = kind == "cuda" or (kind == "auto" and torch.cuda.is_available())
    accelerator = {"cuda": "gpu"}.get(kind, kind) if kind != "auto" else ("gpu" if on_gpu else "auto")
    precision = ("bf16" if on_gpu else "fp32") if request.precision == "auto" else request.precision
    devices: Any = ([int(index)] if index else torch.cuda.device_count()) if on_gpu else 1
    several = on_gpu and not index and devices > 1
    return {
        "accelerator": accelerator,
        "devices": devices,
        "precision": LIGHTNING_PRECISION[precision],
        "strategy": "ddp_spawn" if several else "auto",
        "sync_batchnorm": several,
    }


def _averaging(decay: float | None) -> list[Callback]:
    """What validates and keeps the average of the weights over the last steps, if the recipe wants it."""
    return [] if decay is None else [WeightAveraging(multi_avg_fn=partial(_average, decay))]


def _average(decay: float, averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
    """Move the averages towards the current tensors, faster at the beginning, where there is little to keep."""
    kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
    get_ema_multi_avg_fn(kept)(averaged, current, steps)


def _loader(data: Any, collate: Callable, request: FinetuneRequest, batch_size: int, shuffle: bool) -> DataLoader:
    return DataLoader(
        data,
        batch_size,
        shuffle=shuffle,
        drop_last=shuffle,
        num_workers=request.workers,
        collate_fn=collate,
        persistent_workers=request.workers > 0,
    )


def _checkpoint_to_resume(output: Path) -> Path:
    path = output / CHECKPOINTS / "last.ckpt"
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path} to go on from; leave --resume away to begin anew.")
    return path


def _best_of(path: str) -> Fitted:
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    prefix = "network."
    state = {
        key.removeprefix(prefix): value for key, value in checkpoint["state_dict"].items() if key.startswith(prefix)
    }
    return Fitted(state, checkpoint["figures"])


class _Reporting(Callback):
    """Tells the report how far training is, and puts the figures beside the weights in checkpoints.

    Of the processes that share several GPUs the first one tells, on its own standard error.
    """

    def __init__(self, report: Report, epochs: int) -> None:
        self._report = report
        self._epochs = epochs

    def __reduce__(self) -> tuple:
        return _Reporting, (TerminalReport(), self._epochs)

    def on_train_batch_end(self, trainer: lightning.Trainer, module: FineTuning, *details: Any) -> None:
        """Tell the step."""
        self._report.check_cancelled()
        if trainer.is_global_zero:
            self._report.progress("training", trainer.global_step, int(trainer.estimated_stepping_batches))

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: FineTuning) -> None:
        """Tell the figures of the epoch, which end with its validation."""
        if trainer.is_global_zero:
            figures = {"loss": float(trainer.callback_metrics["loss"]), **module.figures}
            told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            self._report.log("info", f"Epoch {trainer.current_epoch + 1} of {self._epochs}: {told}")

    def on_save_checkpoint(self, trainer: lightning.Trainer, module: FineTuning, checkpoint: dict[str, Any]) -> None:
        """Keep the figures with the weights that reached them."""
        checkpoint["figures"] = dict(module.figures)
