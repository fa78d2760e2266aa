# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs on a runner: it is started when needed, replaced when it died, and stopped within two seconds.

Knows nothing of QGIS.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from threading import Lock
from typing import Any, Callable, Iterator, Optional

from ..model_runner.contract.errors import RunnerError
from ..model_runner.contract.messages import PROTOCOL_VERSION, Cancel, Failed, Finished, Hello, Log, Progress, Run
from .runner_process import RunnerEnded, RunnerProcess

POLL_SECONDS = 0.1
START_SECONDS = 60.0
CANCEL_SECONDS = 1.2
WAITING = Log("", "info", "The model runner is at work for another algorithm; this one begins when that has ended.")


class JobCancelled(Exception):
    """The user asked to stop, and the job has stopped."""


class RunnerClient:
    """The jobs of one QGIS on one runner, one after the other, from any thread.

    Args:
        launch: starts a runner.
        version: the version of the plugin, which the runner's must equal.
        start_seconds: how long a runner may take to say hello.
        cancel_seconds: how long a runner may take to stop a cancelled job before it is killed.
    """

    def __init__(
        self,
        launch: Callable[[], RunnerProcess],
        version: str,
        start_seconds: float = START_SECONDS,
        cancel_seconds: float = CANCEL_SECONDS,
    ) -> None:
        self._launch = launch
        self._version = version
        self._start_seconds = start_seconds
        self._cancel_seconds = cancel_seconds
        self._runner: Optional[RunnerProcess] = None
        self._is_stale = False
        self._turn = Lock()
        self._job_numbers = count(1)

    def run(
        self,
        task: str,
        request: Any,
        tell: Callable[[Any], None],
        is_cancelled: Callable[[], bool],
        cancel_seconds: Optional[float] = None,
    ) -> Finished:
        """Do a task and wait for its end.

        Args:
            task: its name in ``task_requests.REQUESTS``.
            request: the dataclass of that name.
            tell: called with each ``Progress`` and ``Log``, and with a ``Log`` of ours if another job comes first.
            is_cancelled: asked several times a second.
            cancel_seconds: how long this job may take to stop when it is cancelled; None for as long as others.

        Raises:
            RunnerError: the runner refused or failed; the text is for the user.
            JobCancelled: the job was cancelled.
        """
        with self._turn_of_our_own(tell, is_cancelled):
            self._end_if_stale()
            if cancel_seconds is None:
                cancel_seconds = self._cancel_seconds
            kept = self._runner is not None
            heard = False

            def hear(message: Any) -> None:
                nonlocal heard
                heard = True
                tell(message)

            try:
                return self._run_once(task, request, hear, is_cancelled, cancel_seconds)
            except RunnerEnded:
                self.shut_down()
                if heard or not kept:
                    raise
                # A runner that had waited for work ended in the very moment in which work came.
                return self._run_once(task, request, tell, is_cancelled, cancel_seconds)

    def shut_down(self) -> None:
        """End the runner, if there is one; the next job starts another."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    @contextmanager
    def without_runner(self) -> Iterator[None]:
        """End the runner, and let jobs wait until the block is done: its environment may be replaced meanwhile.

        Raises:
            RunnerError: a job is under way.
        """
        if not self._turn.acquire(blocking=False):
            raise RunnerError(
                "Another LWGANet algorithm is still running in this QGIS; wait for it or cancel it, and repeat."
            )
        try:
            self.shut_down()
            yield
        finally:
            self._turn.release()

    def renew(self) -> None:
        """Have the next job start another runner. One that works is left to its job, one that waits ends now."""
        self._is_stale = True
        if self._turn.acquire(blocking=False):
            try:
                self._end_if_stale()
            finally:
                self._turn.release()

    def _end_if_stale(self) -> None:
        if self._is_stale:
            self._is_stale = False
            self.shut_down()

    @contextmanager
    def _turn_of_our_own(self, tell: Callable[[Any], None], is_cancelled: Callable[[], bool]) -> Iterator[None]:
        if not self._turn.acquire(blocking=False):
            tell(WAITING)
            while not self._turn.acquire(timeout=POLL_SECONDS):
                if is_cancelled():
                    raise JobCancelled
        try:
            yield
        finally:
            self._turn.release()

    def _run_once(
        self,
        task: str,
        request: Any,
        tell: Callable[[Any], None],
        is_cancelled: Callable[[], bool],
        cancel_seconds: float,
    ) -> Finished:
        runner = self._ready_runner(is_cancelled)
        job = str(next(self._job_numbers))
        runner.send(Run(job, task, asdict(request)))
        kill_at: Optional[float] = None
        while True:
            message = runner.receive(POLL_SECONDS)
            if kill_at is None and is_cancelled():
                runner.send(Cancel(job))
                kill_at = time.monotonic() + cancel_seconds
            if isinstance(message, (Finished, Failed)) and message.job == job:
                return _outcome(message, cancelled=kill_at is not None)
            if isinstance(message, (Progress, Log)) and message.job == job:
                tell(message)
            if kill_at is not None and time.monotonic() > kill_at:
                self._runner = None
                runner.kill()
                raise JobCancelled

    def _ready_runner(self, is_cancelled: Callable[[], bool]) -> RunnerProcess:
        if self._runner is not None and self._runner.is_alive():
            return self._runner
        self.shut_down()
        runner = self._launch()
        try:
            self._expect_hello(runner, is_cancelled)
        except RunnerEnded as error:
            raise RunnerEnded(f"{error} If it goes on like this, repair its environment.") from error
        except BaseException:
            runner.kill()
            raise
        self._runner = runner
        return runner

    def _expect_hello(self, runner: RunnerProcess, is_cancelled: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._start_seconds
        hello = None
        while hello is None:
            if is_cancelled():
                raise JobCancelled
            if time.monotonic() > deadline:
                raise RunnerError(f"The model runner did not answer within {self._start_seconds:g} s and was ended.")
            hello = runner.receive(POLL_SECONDS)
        if not isinstance(hello, Hello):
            raise RunnerError(f"The model runner began with {type(hello).__name__} instead of Hello and was ended.")
        if (hello.protocol, hello.version) != (PROTOCOL_VERSION, self._version):
            raise RunnerError(
                f"The model runner is of version {hello.version} (protocol {hello.protocol}), the plugin in QGIS of "
                f"version {self._version} (protocol {PROTOCOL_VERSION}): restart QGIS to finish the plugin's update."
            )


def _outcome(message: Any, cancelled: bool) -> Finished:
    """What a job's last message means."""
    if cancelled or (isinstance(message, Failed) and message.kind == "cancelled"):
        raise JobCancelled
    if isinstance(message, Finished):
        return message
    if message.kind == "input":
        raise RunnerError(message.message)
    raise RunnerError(f"The model runner failed: {message.message} (its details are in the log).")
