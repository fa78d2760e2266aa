# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong in words that an analyst can act on.

The text of a ``RunnerError`` is shown as it is: one line that says what is wrong, with the value, and what to do.
It is caught in three places only: the command line, the server and the Processing algorithm.
"""


class RunnerError(Exception):
    """Base of everything that the user can mend; its text is shown as it is."""


class InputError(RunnerError, ValueError):
    """A value, a file or a combination of options cannot be used."""


class UnreadableRaster(RunnerError, OSError):
    """The file is missing, damaged or of a format that GDAL cannot read."""


class ModelError(RunnerError, ValueError):
    """A model is unknown, damaged or does not fit the task."""


class DownloadError(RunnerError, OSError):
    """A transfer failed: the network, the server, a proxy or a wrong hash."""


class OutOfMemory(RunnerError, MemoryError):
    """Not even one tile at a time fits into the memory of the device."""


class Cancelled(Exception):  # the end that the user asked for is not an error
    """The user asked to stop."""
