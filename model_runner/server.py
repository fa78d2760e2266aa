# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m model_runner serve``: the tasks, for requests on standard input (see ``contract.messages``).

The protocol has standard output for itself: everything that libraries print goes to standard error. A thread reads,
so that ``Cancel`` is heard during a job and the end of input ends the process, whatever it is doing: what a job
writes is not renamed to its final name before it is complete.
"""

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TextIO

from model_runner.contract.folders import plugin_version
from model_runner.contract.messages import PROTOCOL_VERSION, Cancel, Failed, Hello, Run, decode, encode
from model_runner.contract.task_requests import REQUESTS, request_from_plain
from model_runner.errors import Cancelled, RunnerError, WireError
from model_runner.report import MessageReport
from model_runner.tasks import find_task


def take_standard_output() -> TextIO:
    """The protocol's own standard output; what others print from now on goes to standard error."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return lines


def take_standard_input() -> TextIO:
    """The protocol's own standard input; others find theirs at its end.

    A process that another forks closes its standard input before all else, and would wait for ever for the lock that
    the reading thread holds. So do the processes that load images for a training.
    """
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return requests


class Server:
    """Runs jobs one after the other.

    Args:
        lines: where messages are written.
        idle_seconds: how long it waits for work before it ends.
    """

    def __init__(self, lines: TextIO, idle_seconds: float) -> None:
        self._lines = lines
        self._writing = Lock()
        self._idle_seconds = idle_seconds
        self._jobs: SimpleQueue[Run] = SimpleQueue()
        self._cancelled: set[str] = set()

    def serve(self, requests: TextIO, end: Callable[[int], None] = os._exit) -> None:
        """Say hello and work until no work has come for the idle time; ``end`` ends the process at the end of input."""
        self._send(Hello(PROTOCOL_VERSION, plugin_version(), os.getpid()))
        Thread(target=self._listen, args=(requests, end), name="listener", daemon=True).start()
        while True:
            try:
                job = self._jobs.get(timeout=self._idle_seconds)
            except Empty:
                return
            self._send(self._outcome(job))
            self._cancelled.discard(job.job)

    def _listen(self, requests: TextIO, end: Callable[[int], None]) -> None:
        for line in requests:
            try:
                message = decode(line)
            except WireError as error:
                print(error, file=sys.stderr, flush=True)
                continue
            if isinstance(message, Cancel):
                self._cancelled.add(message.job)
            elif isinstance(message, Run):
                self._jobs.put(message)
        end(0)

    def _outcome(self, run: Run) -> object:
        """Do a job: its ``Finished``, or the ``Failed`` that says why not."""
        report = MessageReport(run.job, self._send, lambda: run.job in self._cancelled)
        try:
            report.check_cancelled()
            task = find_task(run.task)
            request = request_from_plain(REQUESTS[run.task], run.request)
            return replace(task(request, report), job=run.job)
        except Cancelled:
            return Failed(run.job, "cancelled", "Cancelled.")
        except RunnerError as error:
            return Failed(run.job, "input", str(error))
        except Exception as error:  # the process must outlive a fault in one job
            report.log("debug", traceback.format_exc())
            return Failed(run.job, "internal", f"{type(error).__name__}: {_first_line(error)}")

    def _send(self, message: object) -> None:
        with self._writing:
            self._lines.write(encode(message))
            self._lines.flush()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no details"])[0]
