# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong, in words that an analyst can act on.

The text of a ``RunnerError`` is shown as it is: one line that says what is wrong, with the value, and what to do.
It is caught in three places only: the command line, the server and the Processing algorithm.
"""

from model_runner.contract.errors import InputError, ModelError, RunnerError, WireError

__all__ = [
    "Cancelled",
    "DownloadError",
    "InputError",
    "ModelError",
    "OutOfMemory",
    "RunnerError",
    "UnreadableRaster",
    "WireError",
    "one_line",
]


class UnreadableRaster(RunnerError, OSError):
    """The file is missing, damaged or of a format that GDAL cannot read."""


class DownloadError(RunnerError, OSError):
    """A transfer failed: the network, the server, a proxy or a wrong hash."""


class OutOfMemory(RunnerError, MemoryError):
    """Not even one tile at a time fits into the memory of the device."""


class Cancelled(Exception):
    """The user asked to stop: an end, not an error."""


def one_line(error: BaseException) -> str:
    """The text of an error of another library without breaks of lines."""
    return " ".join(str(error).split())
