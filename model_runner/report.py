# SPDX-License-Identifier: GPL-2.0-or-later
"""How a task tells of itself while it runs, whoever listens: a server's client, a terminal, nobody."""

import json
import sys
import time
from collections.abc import Callable
from typing import TextIO

from tqdm import tqdm

from model_runner.contract.messages import Log, Progress, encode
from model_runner.errors import Cancelled

SECONDS_BETWEEN_PROGRESS = 0.2


class Report:
    """Tells nobody; the base of the others."""

    def progress(
        self,
        stage: str,
        done: int,
        total: int,
        megapixels_per_second: float | None = None,
        seconds_left: float | None = None,
        note: str = "",
    ) -> None:
        """Tell how far the task is; see ``messages.Progress``."""

    def log(self, level: str, text: str) -> None:
        """Tell a line; ``level`` is "info", "warning" or "debug"."""

    def check_cancelled(self) -> None:
        """Return at once, or raise ``Cancelled`` when the user asked to stop."""


class MessageReport(Report):
    """Sends the messages of the protocol, progress at most five times a second."""

    def __init__(self, job: str, send: Callable[[object], None], is_cancelled: Callable[[], bool]) -> None:
        self._job = job
        self._send = send
        self._is_cancelled = is_cancelled
        self._last_progress = 0.0

    def progress(
        self,
        stage: str,
        done: int,
        total: int,
        megapixels_per_second: float | None = None,
        seconds_left: float | None = None,
        note: str = "",
    ) -> None:
        """Send a ``Progress``, unless the last one is very young and this one does not end the stage."""
        now = time.monotonic()
        if done != total and now - self._last_progress < SECONDS_BETWEEN_PROGRESS:
            return
        self._last_progress = now
        self._send(Progress(self._job, stage, done, total, megapixels_per_second, seconds_left, note))

    def log(self, level: str, text: str) -> None:
        """Send a ``Log``."""
        self._send(Log(self._job, level, text))

    def check_cancelled(self) -> None:
        """Raise ``Cancelled`` when the client sent a ``Cancel`` for this job."""
        if self._is_cancelled():
            raise Cancelled


def json_lines_report(stream: TextIO) -> MessageReport:
    """The report behind ``--progress json``: the protocol's messages on a stream."""

    def send(message: object) -> None:
        stream.write(encode(message))
        stream.flush()

    return MessageReport("1", send, lambda: False)


class TerminalReport(Report):
    """A progress bar and plain lines on standard error."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._stage = ""

    def progress(
        self,
        stage: str,
        done: int,
        total: int,
        megapixels_per_second: float | None = None,
        seconds_left: float | None = None,
        note: str = "",
    ) -> None:
        """Move the bar; a new stage begins a new bar."""
        if self._bar is None or stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=total or None, desc=stage, file=sys.stderr, disable=not sys.stderr.isatty())
        if megapixels_per_second is not None:
            self._bar.set_postfix_str(f"{megapixels_per_second:.2f} MPix/s", refresh=False)
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)
        if done == total:
            self.close()

    def log(self, level: str, text: str) -> None:
        """Print the line above the bar; debug lines are left out."""
        if level != "debug":
            tqdm.write(text if level == "info" else f"{level}: {text}", file=sys.stderr)

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class EachLineOnce(Report):
    """Passes on what it is told to another report, a line that comes again only the first time."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._told: set[str] = set()
        self.progress = report.progress
        self.check_cancelled = report.check_cancelled

    def log(self, level: str, text: str) -> None:
        """Tell the line, unless it was told before."""
        if text not in self._told:
            self._told.add(text)
            self._report.log(level, text)


def plain_json(values: dict) -> str:
    """A dictionary as one line of JSON, for summaries on standard output."""
    return json.dumps(values, ensure_ascii=False, separators=(", ", ": "))
