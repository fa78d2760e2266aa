# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled objects in DOTA's text files."""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from model_runner.errors import InputError
from model_runner.training.datasets.findings import Finding, Tell
from model_runner.training.datasets.images import find_named_images
from model_runner.training.datasets.labelled_objects import LabelledImage, LabelledObject
from model_runner.training.datasets.splits import SPLITS, part_folder, split_folder

IMAGES, LABELS = "images", "labelTxt"
HEADERS = ("imagesource:", "gsd:")


def is_dota(folder: Path) -> bool:
    """Whether a folder, or that of a split in it, holds DOTA's label files."""
    return any((each / LABELS).is_dir() for each in (folder, *(part_folder(folder, split) for split in SPLITS)))


def read_dota(folder: Path, split: str, tell: Tell) -> list[LabelledImage]:
    """The images ``images/NAME.{tif,tiff,png,jpg,jpeg}`` with the objects of ``labelTxt/NAME.txt``.

    A label file holds ``x1 y1 x2 y2 x3 y3 x4 y4 class difficulty`` a line, in pixels, and perhaps DOTA's two header
    lines; a missing difficulty is 0. An image without a label file shows no objects.

    Args:
        folder: holds ``images`` and ``labelTxt``, or folders named after the splits that do. In the first case every
            split is the whole dataset.
        split: such as "train" or "val".
        tell: is told what is wrong; what it is told of is left out.

    Raises:
        InputError: a folder is missing or empty.
    """
    root = split_folder(folder, split, IMAGES)
    paths = find_named_images(root / IMAGES, f"{IMAGES} and {LABELS}, or annotations in COCO's JSON,", tell)
    label_paths = _find_label_files(root / LABELS)
    known = {path.stem for path in paths}
    for name, path in label_paths.items():
        if name not in known:
            text = f"{path} labels no image: there is no {root / IMAGES / name} with an image's suffix."
            tell(Finding("missing_pair", str(path), text))
    return [_labelled(path, label_paths.get(path.stem), tell) for path in paths]


def _labelled(path: Path, label_path: Path | None, tell: Tell) -> LabelledImage:
    objects = () if label_path is None else tuple(_read_labels(label_path, tell))
    return LabelledImage(path, path.stem, objects, label_path)


def _find_label_files(folder: Path) -> dict[str, Path]:
    """The label files of a folder by the names of their images."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; it holds a file NAME.txt for each labelled image.")
    return {path.stem: path for path in sorted(folder.glob("*.txt"))}


def _read_labels(path: Path, tell: Tell) -> Iterator[LabelledObject]:
    """The objects of a label file, line by line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        tell(Finding("unreadable", str(path), f"{path} is not text in UTF-8; save it anew as such."))
        return
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lower().startswith(HEADERS):
            try:
                yield _parse_line(line, f"{path}, line {number}")
            except InputError as error:
                tell(Finding("label_text", str(path), str(error)))


def _parse_line(line: str, place: str) -> LabelledObject:
    fields = line.split()
    if len(fields) not in (9, 10):
        raise InputError(
            f"{place}: {len(fields)} fields instead of 8 coordinates, a class without blanks and a difficulty."
        )
    try:
        corners = tuple(float(field) for field in fields[:8])
        difficulty = int(fields[9]) if len(fields) == 10 else 0
    except ValueError as error:
        raise InputError(f"{place}: {str(error).split(': ')[-1]} is not a number where one is expected.") from error
    if not all(isfinite(value) for value in corners):
        raise InputError(f"{place}: the coordinates {' '.join(fields[:8])} are not all finite.")
    return LabelledObject(corners, fields[8], difficulty, place)
