# SPDX-License-Identifier: GPL-2.0-or-later
"""What the fields of all requests have in common: their options, and how values are refused."""

from __future__ import annotations

from dataclasses import MISSING, field
from typing import Any, Optional

from .errors import InputError
from .model_card import TASKS

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def option(help_text: str, default: Any = MISSING, **form: Any) -> Any:
    """A field with what the command line needs to know of it."""
    metadata = {"help": help_text, **form}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def refuse_unless(holds: bool, text: str) -> None:
    """Raise ``InputError`` with the text unless something holds."""
    if not holds:
        raise InputError(text)


def refuse_share(name: str, value: Optional[float]) -> None:
    """Raise ``InputError`` unless a value is None or lies between 0 and 1."""
    refuse_unless(value is None or 0 <= value <= 1, f"The {name} must lie between 0 and 1; {value} was given.")


def refuse_unknown_task(what: str, task: str) -> None:
    """Raise ``InputError`` unless there is such a task."""
    refuse_unless(task in TASKS, f"{what} knows the tasks {', '.join(TASKS)}; {task!r} was given.")
