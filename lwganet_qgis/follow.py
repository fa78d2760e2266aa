# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's messages become a ``QgsProcessingFeedback``'s, and its cancel becomes the job's.

One runner serves all algorithms of this QGIS.
"""

from __future__ import annotations

import os
import time
from typing import Any, Callable, ContextManager, Optional

from qgis.core import QgsProcessingException, QgsProcessingFeedback

from ..model_runner.contract.errors import RunnerError
from ..model_runner.contract.folders import PLUGIN_ROOT, plugin_version
from ..model_runner.contract.messages import Finished, Log, Progress, duration
from . import settings
from .runner_client import JobCancelled, RunnerClient
from .runner_environment import is_outdated, runner_python
from .runner_process import RunnerProcess, clean_environment

SECONDS_BETWEEN_TEXTS = 2.0


def _launch() -> RunnerProcess:
    python = runner_python(settings.chosen_runner_python())
    command = [str(python), "-s", "-m", "model_runner", "serve", "--idle-seconds", str(60 * settings.idle_minutes())]
    return RunnerProcess(command, PLUGIN_ROOT, {**clean_environment(os.environ), **settings.proxy_variables()})


_client = RunnerClient(_launch, plugin_version())


def follow(
    task: str,
    request: Any,
    feedback: QgsProcessingFeedback,
    reword: Callable[[str], str] = str,
    cancel_seconds: Optional[float] = None,
    what_is_left: Callable[[], str] = str,
) -> Finished:
    """Do a task on the runner and show its course.

    Args:
        task: its name in ``task_requests.REQUESTS``.
        request: the dataclass of that name.
        feedback: of the algorithm.
        reword: makes the form's words of what the runner says in those of the command line.
        cancel_seconds: how long the task may take to stop when it is cancelled; None for as long as others.
        what_is_left: tells what a cancelled task has left.

    Raises:
        QgsProcessingException: it failed or was cancelled; ``qgis_process`` would call a cancelled run that ends in
            any other way a success.
    """
    try:
        if is_outdated(runner_python(settings.chosen_runner_python())):
            feedback.pushWarning(
                "The runner's environment was made for another version of the plugin; run 'Set up the environment' "
                "(lwganet:setupenvironment) to renew it."
            )
        return _client.run(task, request, Narrator(feedback, reword).tell, feedback.isCanceled, cancel_seconds)
    except JobCancelled as error:
        raise QgsProcessingException(f"Cancelled. {what_is_left()}".rstrip()) from error
    except RunnerError as error:
        raise QgsProcessingException(reword(str(error))) from error


def end_runner() -> None:
    """End the runner, if one is there; the next job starts another, with the settings of that time."""
    _client.shut_down()


def without_runner() -> ContextManager[None]:
    """A block in which no runner is there, for what a runner would be in the way of; jobs wait until it is done.

    Raises:
        RunnerError: a job is under way.
    """
    return _client.without_runner()


def renew_runner() -> None:
    """Have the next job start another runner, with the settings of that time; a job that is under way goes on."""
    _client.renew()


class Narrator:
    """Tells a feedback what a runner tells, reworded."""

    def __init__(self, feedback: QgsProcessingFeedback, reword: Callable[[str], str]) -> None:
        self._feedback = feedback
        self._reword = reword
        self._stage: Optional[str] = None
        self._last_text = 0.0

    def tell(self, message: Any) -> None:
        """Pass a ``Progress`` or ``Log`` on."""
        if isinstance(message, Log):
            push = {"warning": self._feedback.pushWarning, "debug": self._feedback.pushDebugInfo}
            push.get(message.level, self._feedback.pushInfo)(self._reword(message.text))
        elif isinstance(message, Progress):
            if message.total:
                self._feedback.setProgress(100 * message.done / message.total)
            now = time.monotonic()
            if message.stage != self._stage or now - self._last_text > SECONDS_BETWEEN_TEXTS:
                self._stage, self._last_text = message.stage, now
                self._feedback.setProgressText(progress_text(message))


def progress_text(progress: Progress) -> str:
    """How far a job is, in words: ``tiles 12/340, 3.1 MPix/s, 40 s left``."""
    parts = [f"{progress.stage} {progress.done}/{progress.total}" if progress.total else progress.stage]
    if progress.note:
        parts.append(progress.note)
    if progress.megapixels_per_second is not None:
        parts.append(f"{progress.megapixels_per_second:.2g} MPix/s")
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)
