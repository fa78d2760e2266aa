# SPDX-License-Identifier: GPL-2.0-or-later
"""Between the processes that share a training and the one that began it: what they tell, and the wish to stop."""

import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from threading import Thread
from typing import Any

from model_runner.errors import Cancelled, RunnerError
from model_runner.report import Report

SECONDS_FOR_THE_REST = 5.0


class RelayedReport(Report):
    """Tells the process that began the training; goes to each of those that share it.

    Args:
        sender: what is told goes in here.
        cancelled: set when the user asks to stop.
    """

    def __init__(self, sender: Connection, cancelled: Event) -> None:
        self._sender = sender
        self._cancelled = cancelled

    def progress(self, stage: str, done: int, total: int, *values: Any, **options: Any) -> None:
        """See ``Report``."""
        self._sender.send(("progress", (stage, done, total, *values), options))

    def log(self, level: str, text: str) -> None:
        """See ``Report``."""
        self._sender.send(("log", (level, text), {}))

    def check_cancelled(self) -> None:
        """See ``Report``."""
        if self._cancelled.is_set():
            raise Cancelled

    def end(self, error: BaseException) -> None:
        """Tell why a process ends."""
        self._sender.send(("end", (error,), {}))


class Relay:
    """Within ``with``, passes on what processes tell to a report, and asks it whether to stop.

    Args:
        report: is told.

    Attributes:
        for_processes: the report that they are given.
        error: why the first of them ended that said so, or None; complete after ``close``.
    """

    def __init__(self, report: Report) -> None:
        context = multiprocessing.get_context("spawn")
        self._receiver, self._sender = context.Pipe(duplex=False)
        self._cancelled = context.Event()
        self._report = report
        self._thread = Thread(target=self._pass_on, daemon=True)
        self.for_processes = RelayedReport(self._sender, self._cancelled)
        self.error: RunnerError | Cancelled | None = None

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Pass on the rest of what was told; the processes have ended."""
        self._sender.close()
        self._thread.join(SECONDS_FOR_THE_REST)

    def _pass_on(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                what, values, options = self._receiver.recv()
                if what == "end":
                    self.error = self.error or values[0]
                    continue
                getattr(self._report, what)(*values, **options)
                try:
                    self._report.check_cancelled()
                except Cancelled:
                    self._cancelled.set()
