# SPDX-License-Identifier: GPL-2.0-or-later
"""Images with oriented objects, whatever the format of their labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from model_runner.errors import InputError
from model_runner.rotated_boxes.geometry import minimum_area_boxes
from model_runner.training.datasets.coco import coco_splits, is_coco, read_coco
from model_runner.training.datasets.dota import IMAGES, is_dota, read_dota
from model_runner.training.datasets.findings import Tell, refuse
from model_runner.training.datasets.images import COLOURS, Pixels, read_image
from model_runner.training.datasets.labelled_objects import LabelledImage, LabelledObject
from model_runner.training.datasets.splits import SPLITS, present_splits

MINIMUM_SIDE = 2.0  # pixels; what is smaller is no label


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


class _Annotation(NamedTuple):
    """The objects of an image, as in ``Sample``."""

    boxes: Tensor
    labels: Tensor
    difficult: Tensor


class ObjectDataset(Dataset[Sample]):
    """A dataset of images with oriented objects, in DOTA's or COCO's format (see ``dota`` and ``coco``).

    Boxes are the smallest rectangles around the corners. All labels are read at once; images are read when they are
    asked for.

    Args:
        folder: of the dataset, with its splits or without.
        split: such as "train" or "val".
        class_names: a class's place here is its number.
        minimum_side: in pixels; objects with a smaller box are left out.
        largest_difficulty: objects beyond are left out.
        pixels: which bands of the images are seen, and how.

    Attributes:
        paths: of the images, sorted.

    Raises:
        InputError: a folder is missing or empty, labels and images do not match, a class is unknown, or a label cannot
            be read.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        class_names: tuple[str, ...],
        minimum_side: float = MINIMUM_SIDE,
        largest_difficulty: int = 100,
        pixels: Pixels = COLOURS,
    ) -> None:
        labelled = read_objects(folder, split, refuse)
        self.paths = [each.path for each in labelled]
        self._names = [each.name for each in labelled]
        self._minimum_side = minimum_side
        self._largest_difficulty = largest_difficulty
        self._pixels = pixels
        self._class_numbers = {name: number for number, name in enumerate(class_names)}
        self._annotations = [self._annotation(each.objects) for each in labelled]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        return Sample(read_image(self.paths[index], self._pixels), *self._annotations[index], self._names[index])

    def classes_of(self, index: int) -> list[int]:
        """The numbers of the classes of an image's objects; the image stays unread."""
        return self._annotations[index].labels.unique().tolist()

    def labelled_objects(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """The boxes, labels and difficulties of an image, as in ``Sample``, without its pixels."""
        return tuple(self._annotations[index])

    def _annotation(self, objects: tuple[LabelledObject, ...]) -> _Annotation:
        objects = [each for each in objects if each.difficulty <= self._largest_difficulty]
        boxes = boxes_of(objects)
        labels = torch.tensor([self._class_number(each) for each in objects], dtype=torch.int64)
        difficult = torch.tensor([each.difficulty > 0 for each in objects], dtype=torch.bool)
        large = boxes[:, 3] >= self._minimum_side
        return _Annotation(boxes[large], labels[large], difficult[large])

    def _class_number(self, labelled: LabelledObject) -> int:
        if labelled.class_name not in self._class_numbers:
            raise InputError(
                f"{labelled.place}: the class {labelled.class_name} is unknown; "
                f"known are {', '.join(self._class_numbers)}."
            )
        return self._class_numbers[labelled.class_name]


def boxes_of(objects: Sequence[LabelledObject]) -> Tensor:
    """The smallest boxes around objects, float32 (n, 5), le90."""
    corners = torch.tensor([each.corners for each in objects], dtype=torch.float64).reshape(-1, 4, 2)
    return minimum_area_boxes(corners).float()


def read_objects(folder: Path, split: str, tell: Tell) -> list[LabelledImage]:
    """The images of a split with their objects, in whichever format they are.

    Raises:
        InputError: the folder is laid out in none of the formats, or has no such split.
    """
    if is_dota(folder) or not is_coco(folder):
        return read_dota(folder, split, tell)
    return read_coco(folder, split, tell)


def find_class_names(folder: Path) -> tuple[str, ...]:
    """All classes that the labels of a dataset name, of all its splits, sorted.

    Raises:
        InputError: there are no labelled objects, or a label cannot be read.
    """
    names = {
        labelled.class_name
        for split in object_splits(folder) or SPLITS[:1]
        for image in read_objects(folder, split, refuse)
        for labelled in image.objects
    }
    if not names:
        raise InputError(
            f"No labelled objects in {folder}; expected labelTxt/NAME.txt or COCO's JSON, in it or in each split."
        )
    return tuple(sorted(names))


def object_splits(folder: Path) -> tuple[str, ...]:
    """The splits that a dataset has; none where it is not divided."""
    return coco_splits(folder) if is_coco(folder) and not is_dota(folder) else present_splits(folder, IMAGES)
