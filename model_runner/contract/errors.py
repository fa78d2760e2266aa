# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that both sides know."""

from __future__ import annotations


class RunnerError(Exception):
    """Base of everything that the user can mend; its text is one line and is shown as it is."""


class InputError(RunnerError, ValueError):
    """A value, a file or a combination of options cannot be used."""


class ModelError(RunnerError, ValueError):
    """A model is unknown, damaged or does not fit the task."""


class WireError(RunnerError, ValueError):
    """A line is no message of this protocol."""
