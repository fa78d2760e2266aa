# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol between a client (QGIS, a script) and ``python -m model_runner serve``.

One message a line, JSON in UTF-8, the message's type under the key ``type``::

    client                                   runner
                                             Hello            once, as soon as it lives
    Run {job, task, request}   ->
                                        <-   Log, Progress    any number, in order
    Cancel {job}               ->                             at any time, also before the job began
                                        <-   Finished or Failed   exactly one for each Run
    end of input               ->            the runner ends at once

Jobs run one after the other, in the order of their ``Run``. A cancelled job ends with ``Failed`` of kind
``cancelled``. Both sides ship together: an unknown type or field is a fault, and ``Hello`` tells whether the runner
is of another version.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from .errors import WireError

PROTOCOL_VERSION = 1


@dataclass(frozen=True)
class Hello:
    """The runner lives and speaks this version."""

    protocol: int
    version: str
    process: int


@dataclass(frozen=True)
class Run:
    """Do a task; ``request`` holds the plain fields of the task's request (see ``task_requests``)."""

    job: str
    task: str
    request: dict


@dataclass(frozen=True)
class Cancel:
    """Stop this job, running or waiting."""

    job: str


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    ``done`` and ``total`` count the steps of ``stage`` ("tiles", "training" …); total is 0 while it is not known.
    ``note`` tells what else is of interest, such as "epoch 3 of 30, loss 0.412".
    """

    job: str
    stage: str
    done: int
    total: int
    megapixels_per_second: Optional[float] = None
    seconds_left: Optional[float] = None
    note: str = ""


@dataclass(frozen=True)
class Log:
    """A line for the user's log; ``level`` is "info", "warning" or "debug"."""

    job: str
    level: str
    text: str


@dataclass(frozen=True)
class Finished:
    """The job is done: complete files by name, and numbers that a model can use."""

    job: str
    outputs: dict = field(default_factory=dict)
    numbers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """The job ended without result; nothing that looks like a result was left.

    ``kind`` is "input" (the user can mend it; ``message`` says how), "cancelled" or "internal" (``message`` names
    the error; its traceback is in the log).
    """

    job: str
    kind: str
    message: str


MESSAGES = {message.__name__: message for message in (Hello, Run, Cancel, Progress, Log, Finished, Failed)}


def encode(message: Any) -> str:
    """The message as one line of JSON."""
    body = {"type": type(message).__name__, **asdict(message)}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True, allow_nan=False) + "\n"


def decode(line: str) -> Any:
    """The message in a line.

    Raises:
        WireError: the line is not JSON, or names an unknown type or field.
    """
    try:
        body = json.loads(line)
        return MESSAGES[body.pop("type")](**body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WireError(f"Not a message of protocol {PROTOCOL_VERSION}: {line[:120]!r} ({error}).") from error


def duration(seconds: float) -> str:
    """A time as people say it: ``40 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
