# SPDX-License-Identifier: GPL-2.0-or-later
"""Images with oriented objects, in DOTA's layout."""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from model_runner.errors import InputError
from model_runner.rotated_boxes.geometry import minimum_area_boxes
from model_runner.training.datasets.images import COLOURS, Pixels, find_named_images, read_image
from model_runner.training.datasets.splits import split_folder

IMAGES, LABELS = "images", "labelTxt"
HEADERS = ("imagesource:", "gsd:")


class Sample(NamedTuple):
    """An image and its n labelled objects.

    Attributes:
        image: uint8 (bands, H, W), of most datasets red, green, blue.
        boxes: float32 (n, 5), le90, in pixels; see ``rotated_boxes`` for the convention.
        labels: int64 (n,), class numbers.
        difficult: bool (n,), which objects the annotators called hard to make out.
        name: of the image, without its suffix.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    difficult: Tensor
    name: str

    def where(self, keep: Tensor) -> "Sample":
        """The same image with those objects only that ``keep`` (n,) marks."""
        return self._replace(boxes=self.boxes[keep], labels=self.labels[keep], difficult=self.difficult[keep])


class _LabelledObject(NamedTuple):
    """A line of a label file: four corners as x1, y1 … x4, y4, the class and how difficult it is."""

    corners: tuple[float, ...]
    class_name: str
    difficulty: int
    place: str  # the file and the line's number


class _Annotation(NamedTuple):
    """The objects of an image, as in ``Sample``."""

    boxes: Tensor
    labels: Tensor
    difficult: Tensor


class DotaDataset(Dataset[Sample]):
    """A dataset in DOTA's layout: ``images/NAME.{tif,tiff,png,jpg,jpeg}`` and ``labelTxt/NAME.txt``.

    A label file holds ``x1 y1 x2 y2 x3 y3 x4 y4 class difficulty`` a line, in pixels, and perhaps DOTA's two header
    lines; a missing difficulty is 0. An image without a label file shows no objects. Boxes are the smallest rectangles
    around the four corners. All labels are checked at once, before hours of training are spent; images are read when
    they are asked for.

    Args:
        folder: holds ``images`` and ``labelTxt``, or folders named after the splits that do. In the first case every
            split is the whole dataset.
        split: such as "train" or "val".
        class_names: a class's place here is its number.
        minimum_side: in pixels; objects with a smaller box are left out.
        largest_difficulty: objects beyond are left out.
        pixels: which bands of the images are seen, and how.

    Attributes:
        paths: of the images, sorted.

    Raises:
        InputError: a folder is missing or empty, a label file has no image, or a line cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        class_names: tuple[str, ...],
        minimum_side: float = 2.0,
        largest_difficulty: int = 100,
        pixels: Pixels = COLOURS,
    ) -> None:
        root = split_folder(folder, split, IMAGES)
        self.paths = find_named_images(root / IMAGES, f"{IMAGES} and {LABELS}")
        self._minimum_side = minimum_side
        self._largest_difficulty = largest_difficulty
        self._pixels = pixels
        self._class_numbers = {name: number for number, name in enumerate(class_names)}
        label_paths = _find_label_files(root / LABELS)
        images = {path.stem for path in self.paths}
        for name, path in label_paths.items():
            if name not in images:
                raise InputError(f"{path} labels no image: there is no {root / IMAGES / name} with an image's suffix.")
        self._annotations = [self._annotation(label_paths.get(path.stem)) for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        path = self.paths[index]
        return Sample(read_image(path, self._pixels), *self._annotations[index], path.stem)

    def classes_of(self, index: int) -> list[int]:
        """The numbers of the classes of an image's objects; the image stays unread."""
        return self._annotations[index].labels.unique().tolist()

    def _annotation(self, label_path: Path | None) -> _Annotation:
        """The objects of one label file; none without a file."""
        objects = [] if label_path is None else list(_read_labels(label_path))
        objects = [each for each in objects if each.difficulty <= self._largest_difficulty]
        corners = torch.tensor([each.corners for each in objects], dtype=torch.float64).reshape(-1, 4, 2)
        boxes = minimum_area_boxes(corners).float()
        labels = torch.tensor([self._class_number(each) for each in objects], dtype=torch.int64)
        difficult = torch.tensor([each.difficulty > 0 for each in objects], dtype=torch.bool)
        large = boxes[:, 3] >= self._minimum_side
        return _Annotation(boxes[large], labels[large], difficult[large])

    def _class_number(self, labelled: _LabelledObject) -> int:
        if labelled.class_name not in self._class_numbers:
            raise InputError(
                f"{labelled.place}: the class {labelled.class_name} is unknown; "
                f"known are {', '.join(self._class_numbers)}."
            )
        return self._class_numbers[labelled.class_name]


def find_class_names(folder: Path) -> tuple[str, ...]:
    """All classes that the label files of a dataset name, of all its splits, sorted.

    Raises:
        InputError: there are no labelled objects, or a line cannot be read.
    """
    label_folders = [each for each in (folder / LABELS, *sorted(folder.glob(f"*/{LABELS}"))) if each.is_dir()]
    names = {
        labelled.class_name
        for label_folder in label_folders
        for path in _find_label_files(label_folder).values()
        for labelled in _read_labels(path)
    }
    if not names:
        raise InputError(f"No labelled objects in {folder}; expected {LABELS}/NAME.txt or SPLIT/{LABELS}/NAME.txt.")
    return tuple(sorted(names))


def _find_label_files(folder: Path) -> dict[str, Path]:
    """The label files of a folder by the names of their images."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; it holds a file NAME.txt for each labelled image.")
    return {path.stem: path for path in sorted(folder.glob("*.txt"))}


def _read_labels(path: Path) -> Iterator[_LabelledObject]:
    """The objects of a label file, line by line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; save it anew as such.") from error
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lower().startswith(HEADERS):
            yield _parse_line(line, f"{path}, line {number}")


def _parse_line(line: str, place: str) -> _LabelledObject:
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
    return _LabelledObject(corners, fields[8], difficulty, place)
