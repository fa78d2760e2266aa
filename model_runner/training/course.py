# SPDX-License-Identifier: GPL-2.0-or-later
"""How far a training is, and how that is told."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

from model_runner.contract.messages import duration
from model_runner.report import Report
from model_runner.training.plan import Plan

COUNTS = ("epoch", "step", "learning_rate")  # columns of the log that are no figures
SECONDS_BETWEEN_NOTES = 1.0
STEPS_TO_JUDGE = 5  # after which the duration is told; the first one is always slow


@dataclass
class Course:
    """Where a training is, in plain values for a checkpoint.

    Attributes:
        step: how many steps are done.
        parts: in how many parts each batch is computed.
        rows: of the log, one for each validation.
        best: the best figure; None before the first validation.
        best_epoch: after which epoch it was reached.
        leeway: by how much a figure may be below the best one and count as equal.
        kept_epoch: the last epoch whose figure is the best or counts as equal; its weights become the model.
        validated: the last step after which the network was validated.
        losses: sums of the losses since then.
        summed: over how many steps.
        faults: what is to be said of images that could not be read.
        finished: whether all is done.
    """

    step: int = 0
    parts: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0
    leeway: float = 0.0
    kept_epoch: int = 0
    validated: int = 0
    losses: dict[str, Any] = field(default_factory=dict)
    summed: int = 0
    faults: list[str] = field(default_factory=list)
    finished: bool = False


class Clock:
    """Tells how far a training is and how long it will take."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._times: list[float] = []
        self._last = time.monotonic()
        self._noted = -math.inf
        self._note = ""
        self._validation = 0.0
        self._validations_left = 0

    def stepped(self, course: Course, plan: Plan) -> None:
        """Tell of a step."""
        now = time.monotonic()
        self._times = [*self._times[-99:], now - self._last]
        self._last = now
        left = self._left(plan.steps - course.step)
        if now - self._noted >= SECONDS_BETWEEN_NOTES:
            self._noted, self._note = now, _note(course, plan)
        self._report.progress("training", course.step, plan.steps, seconds_left=left, note=self._note)
        if len(self._times) == STEPS_TO_JUDGE:
            steps = plan.steps - course.step
            told = "1 step is" if steps == 1 else f"{steps} steps are"
            self._report.log("info", f"{told} left: about {duration(left)}, and the validations.")

    def validated(self, seconds: float, left: int) -> None:
        """Note how long a validation took; that time belongs to no step."""
        self._validation, self._validations_left = seconds, left
        self._last = time.monotonic()

    def _left(self, steps: int) -> float:
        times = self._times[1:] or self._times
        return sum(times) / len(times) * steps + self._validation * self._validations_left


def _note(course: Course, plan: Plan) -> str:
    epoch = min(course.step // plan.steps_per_epoch + 1, plan.epochs)
    parts = [f"epoch {epoch} of {plan.epochs}"]
    if course.summed:
        parts.append(f"loss {float(course.losses['loss']) / course.summed:.3f}")
    if course.rows:
        name = next(key for key in course.rows[-1] if key not in COUNTS and not key.startswith("loss"))
        parts.append(f"{name} {course.rows[-1][name]:.3f}, at best {course.best:.3f}")
    return ", ".join(parts)
