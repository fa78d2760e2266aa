# SPDX-License-Identifier: GPL-2.0-or-later
"""Images, or pairs of images of two dates, with a label for each pixel."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rasterio import DatasetReader
from torch import Tensor
from torch.utils.data import Dataset

from model_runner.errors import InputError
from model_runner.raster.handles import reading
from model_runner.training.datasets.images import COLOURS, Pixels, find_named_images, image_size, opened, read_image
from model_runner.training.datasets.splits import SPLITS, split_folder

IGNORED = 255  # label of pixels that neither teach nor count
MASK_FOLDERS = ("images", "masks")
PAIR_FOLDERS = ("A", "B", "label")
CLASSES_FILE = "classes.json"
UNCHANGED, CHANGED = 0, 255  # values in the labels of pairs
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class LabelledMap(NamedTuple):
    """Images of one place and the class of each pixel.

    Attributes:
        images: uint8 (dates, bands, H, W), of most datasets red, green, blue; the earlier date first.
        labels: uint8 (H, W), class numbers, ``IGNORED`` where there is none.
        name: of the images, without suffix.
    """

    images: Tensor
    labels: Tensor
    name: str


class MapDataset(Dataset[LabelledMap]):
    """Images with a label for each pixel; ``open_masks`` and ``open_pairs`` make it.

    All labels are read and all sizes compared at once, before hours of training are spent; images are read when they
    are asked for.

    Args:
        files: the paths of the images and, last, of the labels of each place.
        numbers: the class number of each value of the labels.
        allowed: tells which values there may be, for the message.
        pixels: which bands of the images are seen, and how.

    Attributes:
        paths: of the images of each place.

    Raises:
        InputError: sizes differ, an image is not of 8 bits, or a label has another value.
        UnreadableRaster: a file is damaged.
    """

    def __init__(
        self, files: Sequence[tuple[Path, ...]], numbers: dict[int, int], allowed: str, pixels: Pixels = COLOURS
    ) -> None:
        self.paths = [each[:-1] for each in files]
        self._label_paths = [each[-1] for each in files]
        self._pixels = pixels
        self._numbers = torch.zeros(256, dtype=torch.uint8)
        self._numbers[list(numbers)] = torch.tensor(list(numbers.values()), dtype=torch.uint8)
        for paths, label_path in zip(self.paths, self._label_paths, strict=True):
            values = _read_values(label_path)
            for path in paths:
                _refuse_other_size(path, image_size(path, pixels), label_path, values.shape)
            strange = [value for value in values.unique().tolist() if value not in numbers]
            if strange:
                raise InputError(f"{label_path} holds the value {strange[0]}; {allowed}.")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> LabelledMap:
        images = torch.stack([read_image(path, self._pixels) for path in self.paths[index]])
        return LabelledMap(images, self.read_labels(index), self.paths[index][0].stem)

    def read_labels(self, index: int) -> Tensor:
        """The class numbers uint8 (H, W) of a place, without its images."""
        return self._numbers[_read_values(self._label_paths[index]).long()]

    def classes_of(self, index: int) -> list[int]:
        """The numbers of the classes that a place shows, without its images."""
        return [number for number in self.read_labels(index).unique().tolist() if number != IGNORED]


def open_masks(folder: Path, split: str, class_names: tuple[str, ...], pixels: Pixels = COLOURS) -> MapDataset:
    """A dataset of ``images/NAME.{tif,tiff,png,jpg,jpeg}``, ``masks/`` with the same names, and ``classes.json``.

    The masks hold places in the list of ``classes.json``, and 255 where pixels do not count.

    Args:
        folder: holds ``images`` and ``masks``, or folders named after the splits that do; ``classes.json`` lies in
            either. In the first case every split is the whole dataset.
        split: such as "train" or "val".
        class_names: a class's place here is its number.
        pixels: which bands of the images are seen, and how.

    Raises:
        InputError: a file or folder is missing, or its content cannot be used.
        UnreadableRaster: an image is damaged.
    """
    root = split_folder(folder, split, MASK_FOLDERS[0])
    named = list(_read_classes(_find_classes_file((root, folder))))
    unknown = [name for name in named if name not in class_names]
    if unknown:
        raise InputError(f"{root}: the class {unknown[0]} is unknown; known are {', '.join(class_names)}.")
    numbers = {number: class_names.index(name) for number, name in enumerate(named)}
    allowed = f"{CLASSES_FILE} names the classes 0 to {len(named) - 1}, and {IGNORED} is ignored"
    return MapDataset(_find_matching(root, MASK_FOLDERS), {**numbers, IGNORED: IGNORED}, allowed, pixels)


def find_mask_classes(folder: Path) -> dict[str, str]:
    """The classes of a dataset with masks, by number, with their colours as #rrggbb; empty where there is none.

    Raises:
        InputError: there is no ``classes.json``, or it cannot be used.
    """
    return _read_classes(_find_classes_file((folder, *(folder / split for split in SPLITS))))


def open_pairs(folder: Path, split: str, pixels: Pixels = COLOURS) -> MapDataset:
    """A dataset of ``A/NAME.{tif,tiff,png,jpg,jpeg}``, ``B/`` and ``label/`` with the same names.

    A is the earlier date, and labels hold 255 where something changed, else 0.

    Args:
        folder: holds ``A``, ``B`` and ``label``, or folders named after the splits that do. In the first case every
            split is the whole dataset.
        split: such as "train" or "val".
        pixels: which bands of the images are seen, and how.

    Raises:
        InputError: a file or folder is missing, or its content cannot be used.
        UnreadableRaster: an image is damaged.
    """
    root = split_folder(folder, split, PAIR_FOLDERS[0])
    allowed = f"labels are {UNCHANGED} (unchanged) or {CHANGED} (changed)"
    return MapDataset(_find_matching(root, PAIR_FOLDERS), {UNCHANGED: 0, CHANGED: 1}, allowed, pixels)


def _find_matching(root: Path, folders: tuple[str, ...]) -> list[tuple[Path, ...]]:
    """The files of the same name, without suffix, in all of some folders, sorted."""
    layout = f"{', '.join(folders[:-1])} and {folders[-1]}"
    found = [{path.stem: path for path in find_named_images(root / name, layout)} for name in folders]
    for one in found:
        for name, path in one.items():
            lacking = [folder for folder, other in zip(folders, found, strict=True) if name not in other]
            if lacking:
                raise InputError(f"{path} has no counterpart: there is no {root / lacking[0] / name} with any suffix.")
    return [tuple(each[name] for each in found) for name in found[0]]


def _refuse_other_size(path: Path, size: tuple[int, int], label_path: Path, label_size: tuple[int, ...]) -> None:
    if size != tuple(label_size):
        (height, width), (label_height, label_width) = size, label_size
        raise InputError(
            f"{path} measures {width} x {height} pixels and {label_path} {label_width} x {label_height}; both must "
            "show the same pixels."
        )


def _read_values(path: Path) -> Tensor:
    """The values uint8 (H, W) of a file of labels."""
    with reading(str(path)), opened(path) as raster:
        _refuse_other_labels(raster, path)
        return torch.from_numpy(raster.read(1))


def _refuse_other_labels(raster: DatasetReader, path: Path) -> None:
    if raster.count != 1 or raster.dtypes[0] != "uint8":
        raise InputError(
            f"{path} has {raster.count} bands of {raster.dtypes[0]}; labels have one of uint8, which holds numbers "
            "and not colours."
        )


def _find_classes_file(folders: Sequence[Path]) -> Path:
    for folder in folders:
        if (folder / CLASSES_FILE).is_file():
            return folder / CLASSES_FILE
    raise InputError(
        f"There is no {folders[-1] / CLASSES_FILE}; it lists the classes in the order of their numbers: "
        '[{"name": "water", "colour": "#1f78b4"}, …].'
    )


def _read_classes(path: Path) -> dict[str, str]:
    """The classes that a file lists: names and colours."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8-sig"))
        classes = {str(each["name"]): str(each.get("colour", "")) for each in listed}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f'{path} cannot be used; it must be a list such as [{{"name": "water", "colour": "#1f78b4"}}, …].'
        ) from error
    if len(classes) != len(listed) or not 2 <= len(classes) <= IGNORED:
        raise InputError(f"{path} names {len(classes)} different classes in {len(listed)} entries; 2 to 255 can be.")
    for name, colour in classes.items():
        if colour and not COLOUR.fullmatch(colour):
            raise InputError(f"{path}: the colour {colour!r} of {name} is not written #rrggbb.")
    return classes
