# SPDX-License-Identifier: GPL-2.0-or-later
"""The loop: steps, validations and checkpoints of one process.

All that is random is a function of the seed and the number of a step, and all that a step leaves is in the
checkpoint: a training that goes on from any checkpoint ends as one that was never interrupted. (On GPUs but for
rounding, since they add up in another order each time.)
"""

import copy
import math
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from model_runner.device import is_lack_of_memory
from model_runner.errors import Cancelled, InputError, OutOfMemory
from model_runner.report import Report
from model_runner.training import checkpoints
from model_runner.training.averaging import AveragedNetwork
from model_runner.training.batches import Batch, Steps, training_loader, validation_loader
from model_runner.training.chance import standard_error
from model_runner.training.course import COUNTS, Clock, Course
from model_runner.training.event_file import EventFile
from model_runner.training.interruption import Interruption
from model_runner.training.job import Job
from model_runner.training.memory import parts_that_fit
from model_runner.training.module import Learner
from model_runner.training.recipes.recipe import Metric
from model_runner.training.resumption import beginning

GRADIENT_CLIP = 35.0
SECONDS_BETWEEN_CHECKPOINTS = 300.0
LEEWAY = 0.5  # standard errors below the best figure within which a later state, more settled, is taken for as good


def train(fabric: Fabric, job: Job, report: Report) -> None:
    """Train to the end of the plan; what is best is left in the checkpoint ``best.ckpt``.

    Raises:
        InputError: an image cannot be read, the disk is full, or the loss is no longer a number.
        OutOfMemory: not even one image at a time fits.
        Cancelled: the user or the system asked to stop; the last checkpoint is of that moment.
        KeyboardInterrupt: they asked twice, or several processes share the work; the checkpoints remain as they are.
    """
    if fabric.world_size > 1:  # what processes are given lies in memory that they share
        job = job._replace(network=copy.deepcopy(job.network), checkpoint=copy.deepcopy(job.checkpoint))
    with Interruption(postponed=fabric.world_size == 1) as interruption:
        _Training(fabric, job, report, interruption).run()


class _Training:
    def __init__(self, fabric: Fabric, job: Job, report: Report, interruption: Interruption) -> None:
        self._fabric, self._job, self._report, self._interruption = fabric, job, report, interruption
        self._plan, self._recipe = job.plan, job.recipe
        network = job.network
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self._learner = learner = Learner(network, job.recipe, job.card, job.request.frozen_stages)
        parameters = [each for each in learner.parameters() if each.requires_grad]
        decay = job.recipe.averaging
        self._averaged = None if decay is None else AveragedNetwork(learner.network, decay)
        self._course = Course()
        if job.checkpoint is not None:
            learner.network.load_state_dict(job.checkpoint["network"])
        self._module, self._optimizer = fabric.setup(learner, job.recipe.optimizer(parameters, job.plan.learning_rate))
        if self._averaged is not None:
            self._averaged.network.to(fabric.device)
        if job.checkpoint is not None:
            self._restore(job.checkpoint)
        self._validation_batch = job.recipe.validation_batch_size
        self._last_saved = time.monotonic()
        self._clock = Clock(report)
        self._events: EventFile | None = None
        if job.request.tensorboard and fabric.is_global_zero:
            self._events = EventFile((job.output / checkpoints.LOG).parent, self._course.step + 1)

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(checkpoint["optimizer"])
        if checkpoint["precision"]:  # of float16 alone
            self._fabric.strategy.precision.load_state_dict(checkpoint["precision"])
        if self._averaged is not None:
            self._averaged.load_state_dict(checkpoint["average"])
        self._course = Course(**{**checkpoint["course"], "finished": False})
        self._course.losses = self._fabric.to_device(self._course.losses)

    def run(self) -> None:
        """Do what is left of the plan."""
        course = self._course
        try:
            self._validate_if_due()
            self._prepare_parts()
            while not self._is_over():
                if not self._go_on():
                    self._take_smaller_parts()
        except Cancelled:
            self._save()
            raise
        if not course.finished:
            course.finished = True
            self._save()
        if course.kept_epoch > course.best_epoch:
            self._say(
                "info",
                f"The model has the weights of epoch {course.kept_epoch}, which are as good as those of epoch "
                f"{course.best_epoch} as far as {len(self._job.validation)} validation images can tell.",
            )
        if course.faults:
            self._report.log(
                "warning", f"{len(course.faults)} images could not be read and were left out: {' '.join(course.faults)}"
            )

    def _is_over(self) -> bool:
        """Whether all steps are done, or the figures have not become better for long enough.

        A network that starts from scratch may find nothing at all for a while: until it does, nobody loses patience.
        """
        course, plan = self._course, self._plan
        since_best = course.validated // plan.steps_per_epoch - course.best_epoch
        impatient = plan.patience > 0 and bool(course.best) and since_best >= plan.patience
        return course.step >= plan.steps or impatient

    def _prepare_parts(self) -> None:
        """Decide in how many parts a batch is computed, unless a checkpoint tells."""
        if self._course.parts and self._fabric.world_size == 1:
            return
        self._course.parts = 1
        if self._fabric.world_size == 1:
            pairs = max(1, self._plan.batch_size // 2)
            batch = next(
                iter(training_loader(self._job.training, self._steps(), self._recipe.collate, pairs, 0, False))
            )
            if batch.parts:
                images, targets, _ = self._fabric.to_device(batch.parts[0])
                with self._fabric.autocast():
                    self._course.parts = parts_that_fit(self._learner, images, targets, self._plan.batch_size)
        if self._course.parts > 1:
            size = self._plan.batch_size
            self._say(
                "info", f"The memory holds {-(-size // self._course.parts)} of the {size} images of a step at once."
            )

    def _steps(self) -> Steps:
        fabric, job = self._fabric, self._job
        return Steps(
            self._plan, job.weights, job.request.seed, self._course.step, fabric.global_rank, fabric.world_size
        )

    def _go_on(self) -> bool:
        """Work until the end of the plan; False when the memory does not suffice for the parts of a batch."""
        course = self._course
        loader = training_loader(
            self._job.training,
            self._steps(),
            self._recipe.collate,
            course.parts,
            self._job.request.workers,
            self._fabric.device.type == "cuda",
        )
        self._learner.train()
        for batch in self._interruption.checked(loader):
            self._note_faults(batch)
            if not self._fits(batch):
                return False
            course.step += 1
            self._tell()
            self._validate_if_due()
            if self._is_over():
                break
            if time.monotonic() - self._last_saved >= SECONDS_BETWEEN_CHECKPOINTS:
                self._save()
            self._check_cancelled()
        return True

    def _fits(self, batch: Batch) -> bool:
        """One step, or False when the memory does not suffice for it."""
        try:
            losses = self._find_gradients(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_lack_of_memory(error):
                raise
            return False
        if losses:
            self._take_step(losses)
        return True

    def _find_gradients(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch; none where no image of it, or of another process's share, could be read."""
        fabric = self._fabric
        if fabric.world_size > 1:
            shares = fabric.all_reduce(torch.tensor(float(bool(batch.parts)), device=fabric.device), reduce_op="sum")
            if shares < fabric.world_size:
                return {}
        torch.manual_seed(_seed(self._job.request.seed, self._course.step, fabric.global_rank))
        self._optimizer.zero_grad()
        losses: dict[str, Tensor] = {}
        for number, part in enumerate(batch.parts, 1):
            images, targets, share = fabric.to_device(part)
            with fabric.no_backward_sync(self._module, enabled=number < len(batch.parts)):
                terms = {name: share * term for name, term in self._module(images, targets).items()}
                total = torch.stack(list(terms.values())).sum()
                fabric.backward(total)
            for name, term in {"loss": total, **{f"loss/{name}": term for name, term in terms.items()}}.items():
                losses[name] = losses.get(name, 0) + term.detach()
        return losses

    def _take_step(self, losses: dict[str, Tensor]) -> None:
        """Move the weights against the gradients."""
        plan, step = self._plan, self._course.step
        rate = plan.learning_rate * self._recipe.learning_rate_factor(step, plan.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._fabric.clip_gradients(self._module, self._optimizer, max_norm=GRADIENT_CLIP, error_if_nonfinite=False)
        try:
            self._optimizer.step()
        except (RuntimeError, MemoryError) as error:
            if is_lack_of_memory(error):  # of what it keeps for each weight; smaller parts would not help
                raise OutOfMemory("The memory does not suffice to take a step; choose a smaller network.") from error
            raise
        if self._averaged is not None:
            self._averaged.update(self._learner.network)
        self._course.summed += 1
        for name, loss in losses.items():
            self._course.losses[name] = self._course.losses.get(name, 0) + loss
        if self._events is not None:
            self._events.add(
                step + 1, {f"step/{name}": value for name, value in {**losses, "learning_rate": rate}.items()}
            )

    def _take_smaller_parts(self) -> None:
        """Halve what is computed at once, after the memory did not suffice; steps stay as large as they are."""
        course, size = self._course, self._plan.batch_size
        self._optimizer.zero_grad()
        if self._fabric.device.type == "cuda":
            torch.cuda.empty_cache()
        if course.parts >= size or self._fabric.world_size > 1:
            raise OutOfMemory(
                "The memory does not suffice to train on a single image; choose a smaller --sample-size or network."
                if self._fabric.world_size == 1
                else f"The memory of the GPUs does not suffice for batches of {size}; choose a smaller --batch-size."
            )
        course.parts = min(2 * course.parts, size)
        self._report.log(
            "warning",
            f"The memory does not suffice; going on with {-(-size // course.parts)} images at once, "
            f"and {size} in a step as before.",
        )

    def _note_faults(self, batch: Batch) -> None:
        for fault in batch.faults:
            if not self._job.request.skip_unreadable:
                raise InputError(
                    f"{fault.rstrip('.')}. Repair or remove it, or leave such images out by --skip-unreadable."
                )
            if fault not in self._course.faults:
                self._course.faults.append(fault)
                self._report.log("warning", f"Left out: {fault}")

    def _validate_if_due(self) -> None:
        """After the epochs that the plan names, measure the network and keep it if it is the best, or as good."""
        course, plan = self._course, self._plan
        if course.step == course.validated or not plan.is_validated(course.step):
            return
        began = time.monotonic()
        epoch = course.step // plan.steps_per_epoch
        losses = {name: float(self._fabric.all_reduce(total)) / course.summed for name, total in course.losses.items()}
        if not math.isfinite(losses.get("loss", 0.0)):
            raise InputError(
                f"The loss is no longer a number in epoch {epoch}; begin anew with a learning rate below "
                f"{plan.learning_rate:g}."
            )
        metric = self._measure()
        figures = metric.compute()
        name, score = next(iter(figures.items()))
        rate = self._optimizer.param_groups[0]["lr"]
        course.rows.append({"epoch": epoch, "step": course.step, "learning_rate": rate, **losses, **figures})
        if self._events is not None:
            told = {f"epoch/{key}": value for key, value in course.rows[-1].items() if key not in COUNTS}
            self._events.add(course.step, told)
        course.validated, course.losses, course.summed = course.step, {}, 0
        if course.best is None or math.isnan(course.best) or score > course.best:
            course.best, course.best_epoch, course.leeway = score, epoch, LEEWAY * standard_error(metric)
        if math.isnan(course.best) or score >= course.best - course.leeway:
            course.kept_epoch = epoch
            self._save_best(figures, epoch)
        told = ", ".join(f"{key} {value:.3f}" for key, value in {"loss": losses.get("loss", 0.0), **figures}.items())
        self._say("info", f"Epoch {epoch} of {plan.epochs}: {told}")
        if self._is_over() and epoch < plan.epochs:
            self._say(
                "info", f"Ending: {name} was best in epoch {course.best_epoch}, {plan.patience} epochs ago or more."
            )
        self._write_log()
        self._save()
        self._clock.validated(time.monotonic() - began, self._remaining_validations())

    def _remaining_validations(self) -> int:
        plan = self._plan
        epochs_left = plan.epochs - self._course.step // plan.steps_per_epoch
        return -(-epochs_left // plan.epochs_between_validations)

    def _measure(self) -> Metric:
        """What the network, or its average, says of the validation images."""
        while True:
            try:
                return self._measured()
            except (RuntimeError, MemoryError) as error:
                if not is_lack_of_memory(error):
                    raise
            if self._validation_batch == 1:
                raise OutOfMemory("The memory does not suffice to look at a validation image; make these smaller.")
            self._validation_batch //= 2

    @torch.no_grad()
    def _measured(self) -> Metric:
        fabric, job = self._fabric, self._job
        metric: Metric = self._recipe.metric(job.card.class_names)
        loader = validation_loader(
            job.validation,
            self._recipe.collate,
            self._validation_batch,
            job.request.workers,
            fabric.global_rank,
            fabric.world_size,
        )
        network = (self._averaged.network if self._averaged is not None else self._learner.network).eval()
        for batch in self._interruption.checked(loader):
            self._check_cancelled()
            self._note_faults(batch)
            for part in batch.parts:
                images, targets, _ = fabric.to_device(part)
                with fabric.autocast():
                    metric.update(network, self._learner.normalise(images), targets)
        self._learner.train()
        if fabric.world_size > 1:
            found: list[dict[str, Any]] = [{} for _ in range(fabric.world_size)]
            torch.distributed.all_gather_object(found, metric.seen)
            metric.seen = {name: seen for part in found for name, seen in part.items()}
        if not metric.seen:
            raise InputError("None of the validation images could be read.")
        return metric

    def _save_best(self, figures: dict[str, float], epoch: int) -> None:
        network = self._averaged.network if self._averaged is not None else self._learner.network
        if self._fabric.is_global_zero:
            content = {"network": network.state_dict(), "figures": figures, "epoch": epoch}
            checkpoints.save_checkpoint(self._job.output, checkpoints.BEST, content)

    def _write_log(self) -> None:
        if not self._fabric.is_global_zero:
            return
        try:
            checkpoints.save_log(self._job.output, self._course.rows)
        except InputError as error:
            if not isinstance(error.__cause__, PermissionError):
                raise
            self._say("warning", f"{error.__cause__}; the log is written again after the next validation.")

    def _save(self) -> None:
        """Leave all that is needed to go on."""
        if self._events is not None:
            self._events.write()
        if self._fabric.is_global_zero:
            content = {
                "data_fingerprint": self._job.card.data_fingerprint,
                "plan": asdict(self._plan),
                **beginning(self._job.request, self._job.card),
                "course": asdict(self._course),
                "network": self._learner.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "precision": self._fabric.strategy.precision.state_dict(),
                "average": None if self._averaged is None else self._averaged.state_dict(),
            }
            checkpoints.save_checkpoint(self._job.output, checkpoints.LAST, content)
        self._last_saved = time.monotonic()

    def _check_cancelled(self) -> None:
        self._interruption.check()
        if self._fabric.is_global_zero:  # others would end the process that keeps the checkpoint
            self._report.check_cancelled()

    def _tell(self) -> None:
        if self._fabric.is_global_zero:
            self._clock.stepped(self._course, self._plan)

    def _say(self, level: str, text: str) -> None:
        if self._fabric.is_global_zero:
            self._report.log(level, text)


def _seed(seed: int, step: int, rank: int) -> int:
    """A seed of its own for each step of each process."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))
