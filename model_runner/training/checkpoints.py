# SPDX-License-Identifier: GPL-2.0-or-later
"""What a training leaves on the disk while it runs; whatever happens, each file is whole, in its old or new form."""

import csv
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from model_runner.contract.renaming import put_in_place
from model_runner.errors import InputError

FOLDER = "checkpoints"
LAST, BEST = "last.ckpt", "best.ckpt"
LOG = "log/metrics.csv"
FORMAT = 2  # of what a checkpoint holds; a higher one for any change of it


def begin(output: Path) -> None:
    """Make the folders of a training.

    Raises:
        InputError: the disk refuses.
    """
    try:
        for folder in (output / FOLDER, (output / LOG).parent):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The output folder {output} cannot be made: {error.strerror}.") from error


def has_begun(output: Path) -> bool:
    """Whether a training was begun in a folder, perhaps without having come to its first checkpoint."""
    return (output / FOLDER).is_dir()


def save_checkpoint(output: Path, name: str, content: dict[str, Any]) -> None:
    """Put a checkpoint into the place of the one before.

    Raises:
        InputError: the disk is full or refuses; the checkpoint before is as it was.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    _write_whole(output / FOLDER / name, buffer.getbuffer())


def load_checkpoint(output: Path, name: str) -> dict[str, Any] | None:
    """A checkpoint with its tensors on the CPU; None if there is none.

    Raises:
        InputError: the file is damaged, or of another version of this program.
    """
    path = output / FOLDER / name
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"The checkpoint {path} is damaged; begin anew in another folder.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f"The checkpoint {path} was not written by this version of LWGANet; go on with the version that began the "
            "training, or begin anew in another folder."
        )
    return content


def save_log(output: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the log of a training, a line for each validation.

    Raises:
        InputError: the disk is full or refuses.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    _write_whole(output / LOG, text.getvalue().encode())


def _write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file aside, have it on the disk, and give it its name."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(unfinished, path)
        _settle(path.parent)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise InputError(
            f"{path} cannot be written: {error.strerror}; what was there before is whole. Make room on the disk and go "
            "on with --resume."
        ) from error


def _settle(folder: Path) -> None:
    """Have the names in a folder on the disk too, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
