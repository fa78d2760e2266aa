# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a dataset."""

from pathlib import Path

SPLITS = ("train", "val", "test")
OTHER_NAMES = {"val": ("valid", "validation")}


def split_names(split: str) -> tuple[str, ...]:
    """What the folder or file of a split may be called, the usual name first."""
    return (split, *OTHER_NAMES.get(split, ()))


def part_folder(folder: Path, split: str) -> Path:
    """The folder of a split, whether it is there or not."""
    return next((folder / name for name in split_names(split) if (folder / name).is_dir()), folder / split)


def split_folder(folder: Path, split: str, content: str) -> Path:
    """Where a split lies: in its own folder, or in ``folder`` if that holds the ``content`` of a dataset itself."""
    return folder if (folder / content).is_dir() else part_folder(folder, split)


def present_splits(folder: Path, content: str) -> tuple[str, ...]:
    """The splits that have a folder; none where ``folder`` holds the ``content`` of a dataset itself."""
    if (folder / content).is_dir():
        return ()
    return tuple(split for split in SPLITS if part_folder(folder, split).is_dir())
