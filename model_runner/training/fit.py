# SPDX-License-Identifier: GPL-2.0-or-later
"""From a dataset and a recipe to trained weights."""

import logging
import math
import warnings
from contextlib import suppress
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import numpy as np
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import FinetuneRequest
from model_runner.errors import Cancelled, InputError, RunnerError, UnreadableRaster
from model_runner.report import Report
from model_runner.training import checkpoints
from model_runner.training.batches import weights_of_images
from model_runner.training.datasets.images import longest_side
from model_runner.training.hardware import choose_hardware
from model_runner.training.job import Job
from model_runner.training.pixel_statistics import pixels_of
from model_runner.training.plan import make_plan, plan_of_resumed
from model_runner.training.recipes import find_recipe
from model_runner.training.relay import Relay, RelayedReport
from model_runner.training.trainer import train


class Fitted(NamedTuple):
    """The weights that a run keeps, the figures they reached on the validation images, and after which epoch."""

    state: dict[str, Tensor]
    metrics: dict[str, float]
    epoch: int


def seed_everything(seed: int) -> None:
    """Make the first weights repeat with the seed."""
    lightning.seed_everything(seed, workers=True, verbose=False)


def fit(network: nn.Module, card: ModelCard, request: FinetuneRequest, from_model: bool, report: Report) -> Fitted:
    """Train the network on the dataset and return the weights that were best on its validation images.

    Later weights that are worse by no more than chance are taken for as good, and preferred.

    Checkpoints are written in the output folder after every validation and every few minutes, and ``log/metrics.csv``
    after every validation.

    Args:
        network: what is trained.
        card: of the new model.
        request: what the user chose.
        from_model: whether all of the network, not a backbone only, has learnt something before.
        report: is told how far training is, and asked whether to stop.

    Raises:
        InputError: the device or the dataset cannot be used, or there is nothing to go on from, or that began with
            other data.
        OutOfMemory: not even one image at a time fits.
        Cancelled: the user asked to stop; the checkpoints remain.
        KeyboardInterrupt: the process was asked to end; the checkpoints remain.
    """
    _silence_lightning()
    hardware = choose_hardware(request, report)
    recipe, output = find_recipe(request.task, card.network), Path(request.output)
    pixels = pixels_of(card, request.bands)
    side = request.sample_size
    if side is None:
        side = recipe.sample_side(
            card.tile_size, lambda: longest_side(recipe.training_images(Path(request.data)), pixels)
        )
    training = recipe.training_data(request, card.class_names, side, pixels)
    validation = recipe.validation_data(request, card.class_names, side, pixels)
    report.log(
        "info", f"Training on {len(training)} images in samples of {side} pixels, validating on {len(validation)}."
    )
    checkpoint = _checkpoint_to_resume(request, card, report) if request.resume else None
    if checkpoint is None:
        rate = recipe.learning_rate_from_model if from_model else recipe.learning_rate
        plan = make_plan(request, len(training), rate, from_model)
    else:
        plan = plan_of_resumed(request, checkpoint["plan"])
        course = checkpoint["course"]
        if course["best"] is None and course["step"] > plan.steps:
            raise InputError(
                f"The training has come to step {course['step']}, beyond the {plan.steps} of {plan.epochs} epochs; "
                f"choose {math.ceil(course['step'] / plan.steps_per_epoch)} epochs at least."
            )
    training.passes = plan.epochs
    report.log("info", plan.in_words())
    checkpoints.begin(output)
    weights = np.ones(len(training))
    if request.balance:
        weights = weights_of_images(_classes_shown(training, len(card.classes)))
    job = Job(network, card, recipe, request, output, plan, training, validation, weights, checkpoint)
    if isinstance(hardware["devices"], list):  # each takes an image of a batch at least
        hardware["devices"] = hardware["devices"][: plan.batch_size]
    fabric = Fabric(**hardware)
    if fabric.world_size == 1:
        # as parts of a function Lightning does not look into them
        fabric.launch(partial(train, job=job, report=report))
    else:
        _train_in_processes(fabric, job, report)
    return best_so_far(output)


def _train_in_processes(fabric: Fabric, job: Job, report: Report) -> None:
    with Relay(report) as relay:
        try:
            fabric.launch(partial(_train_and_tell, job=job, report=relay.for_processes))
        except KeyboardInterrupt:
            for process in active_children():
                process.terminate()
            raise
        except (ProcessRaisedException, ProcessExitedException) as error:
            relay.close()
            raise (relay.error or error) from error


def _train_and_tell(fabric: Fabric, job: Job, report: RelayedReport) -> None:
    """What each of several processes does; of an error of one the others only learn that it has ended."""
    try:
        train(fabric, job, report)
    except (RunnerError, Cancelled) as error:
        report.end(error)
        raise


def best_so_far(output: Path) -> Fitted | None:
    """The best weights of the training in a folder; None before its first validation."""
    best = checkpoints.load_checkpoint(output, checkpoints.BEST)
    return None if best is None else Fitted(best["network"], best["figures"], best["epoch"])


def is_finished(output: Path) -> bool:
    """Whether the training in a folder came to its end."""
    last = checkpoints.load_checkpoint(output, checkpoints.LAST)
    return last is not None and last["course"]["finished"]


def _checkpoint_to_resume(request: FinetuneRequest, card: ModelCard, report: Report) -> dict[str, Any] | None:
    output = Path(request.output)
    checkpoint = checkpoints.load_checkpoint(output, checkpoints.LAST)
    if checkpoint is not None:
        if checkpoint.get("data_fingerprint") != card.data_fingerprint:
            raise InputError(
                f"The images or labels in {request.data} are not those with which the training in {output} began; "
                "bring the dataset back to what it was, or begin anew in another folder."
            )
        best = output / checkpoints.FOLDER / checkpoints.BEST
        if checkpoint["course"]["best_epoch"] and not best.is_file():
            raise InputError(f"The checkpoint {best}, of the best weights so far, is missing; begin anew.")
        report.log("info", f"Going on after step {checkpoint['course']['step']}.")
    elif checkpoints.has_begun(output):
        report.log("info", "The training had not come to a checkpoint; beginning anew.")
    else:
        path = output / checkpoints.FOLDER / checkpoints.LAST
        raise InputError(f"There is no checkpoint {path} to go on from; leave --resume away to begin anew.")
    return checkpoint


def _classes_shown(samples: Any, class_count: int) -> np.ndarray:
    """Which classes each image shows, bool (images, classes)."""
    shown = np.zeros((len(samples), class_count), bool)
    for index in range(len(samples)):
        with suppress(UnreadableRaster):
            shown[index, samples.classes_of(index)] = True
    return shown


def _silence_lightning() -> None:
    """Keep its advice to developers from users."""
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=UserWarning, module="lightning.*")
