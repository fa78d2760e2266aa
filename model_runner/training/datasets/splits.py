# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a dataset."""

from pathlib import Path

SPLITS = ("train", "val", "test")


def split_folder(folder: Path, split: str, content: str) -> Path:
    """Where a split lies: in its own folder, or in ``folder`` if that holds the ``content`` of a dataset itself."""
    return folder if (folder / content).is_dir() else folder / split
