# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of files and folders that every system takes."""

from __future__ import annotations

import re

NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)\d)(\.|$)", re.IGNORECASE)  # Windows keeps them, with endings too


def fitting_file_name(text: str) -> str:
    """A text as the name of a file or folder, without what some system refuses in it; it may be empty."""
    name = NOT_IN_NAMES.sub("_", text).strip(" .")
    taken = DEVICES.match(name)
    return f"{name[: taken.end(1)]}_{name[taken.end(1) :]}" if taken else name
