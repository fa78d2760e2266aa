# SPDX-License-Identifier: GPL-2.0-or-later
"""The last step of whatever is written aside: its own name."""

from __future__ import annotations

import os
import sys
import time
from typing import Union

PAUSES = (0.2, 0.5, 1, 2, 4, 8)  # seconds


def put_in_place(source: Union[str, os.PathLike], target: Union[str, os.PathLike]) -> None:
    """Rename a file or folder, in place of a file that is there.

    On Windows other programs, such as scanners and those that copy files into a cloud, hold what is new for moments,
    in which it cannot be renamed; this waits up to a quarter of a minute for them.

    Raises:
        OSError: the system refuses, after these moments too.
    """
    for pause in PAUSES if sys.platform == "win32" else ():
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(source, target)
