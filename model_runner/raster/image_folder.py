# SPDX-License-Identifier: GPL-2.0-or-later
"""The images of a folder."""

from pathlib import Path

from model_runner.errors import InputError

IMAGE_SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".webp"}


def find_images(folder: Path) -> list[Path]:
    """The images that lie in a folder itself, by name.

    Raises:
        InputError: there are none.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not found:
        raise InputError(f"There are no images in {folder}; expected {', '.join(sorted(IMAGE_SUFFIXES))}.")
    return found
