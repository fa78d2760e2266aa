# SPDX-License-Identifier: GPL-2.0-or-later
"""Images, or pairs of images of two dates, with a label for each pixel."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rasterio.enums import ColorInterp
from torch import Tensor
from torch.utils.data import Dataset

from model_runner.errors import InputError, UnreadableRaster
from model_runner.raster.handles import reading
from model_runner.training.datasets.coco import is_coco
from model_runner.training.datasets.findings import Finding, Tell, refuse
from model_runner.training.datasets.images import (
    COLOURS,
    Pixels,
    find_named_images,
    image_size,
    opened_for_pixels,
    read_image,
)
from model_runner.training.datasets.splits import SPLITS, part_folder, split_folder

IGNORED = 255  # label of pixels that neither teach nor count
MASK_FOLDERS = ("images", "masks")
PAIR_FOLDERS = ("A", "B", "label")
CLASSES_FILE = "classes.json"
VALUES = 256  # that labels may have
UNCHANGED, CHANGED = 0, 255  # values in the labels of pairs
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
TOLD_COLOURS = 8  # unknown ones that are named


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


class LabelTable(NamedTuple):
    """What the values of labels mean.

    Attributes:
        numbers: the class number of each value, or ``IGNORED``.
        colours: the value for which each colour, #rrggbb, stands in labels of three bands; empty refuses such labels.
        allowed: tells which values there may be, for messages.
        form: tells which bands labels must have, for messages.
        fault: the kind of finding that another value or colour is.
    """

    numbers: dict[int, int]
    colours: dict[str, int]
    allowed: str
    form: str
    fault: str


class ClassTable(NamedTuple):
    """The classes that masks tell apart.

    The file is a list of ``{"name": …, "colour": "#rrggbb", "value": …}``, or ``{"classes": [such a list], "ignored":
    [values]}``. A class without value has its place in the list, the first being 0. Besides what is listed as ignored,
    255 is, unless it is a class's value.

    Attributes:
        path: of the file.
        values: of the classes, in the masks.
        colours: #rrggbb, or empty.
        ignored: values of pixels that do not count, besides 255.
    """

    path: Path
    values: dict[str, int]
    colours: dict[str, str]
    ignored: tuple[int, ...]

    def labels(self, class_names: tuple[str, ...]) -> LabelTable:
        """The table of values for classes with other numbers; ``class_names`` has all of the file's."""
        classes = {value: class_names.index(name) for name, value in self.values.items()}
        ignored = sorted({*self.ignored, IGNORED} - set(classes))
        values = sorted(classes)
        gapless = values == list(range(len(values)))
        told = f"0 to {len(values) - 1}" if gapless else ", ".join(map(str, values))
        beside = f", and {', '.join(map(str, ignored))} is ignored" if ignored else ""
        colours = {colour.lower(): self.values[name] for name, colour in self.colours.items() if colour}
        return LabelTable(
            {**dict.fromkeys(ignored, IGNORED), **classes},
            colours if len(colours) == len(self.values) else {},
            f"{CLASSES_FILE} names the classes {told}{beside}",
            "labels have one of uint8, which holds class numbers, or red, green and blue of uint8 where "
            f"{CLASSES_FILE} gives each class a colour of its own",
            "unknown_value",
        )


CHANGE_LABELS = LabelTable(
    {UNCHANGED: 0, CHANGED: 1},
    {},
    f"labels are {UNCHANGED} (unchanged) or {CHANGED} (changed)",
    "labels have one of uint8, which holds numbers and not colours",
    "change_value",
)


class MapDataset(Dataset[LabelledMap]):
    """Images with a label for each pixel; ``open_masks`` and ``open_pairs`` make it.

    All labels are read and all sizes compared at once, before hours of training are spent; images are read when they
    are asked for, and what cannot be read is told then.

    Args:
        files: the paths of the images and, last, of the labels of each place.
        table: what the values of the labels mean.
        pixels: which bands of the images are seen, and how.

    Attributes:
        paths: of the images of each place.

    Raises:
        InputError: sizes differ, an image is not of 8 bits, or a label has another value.
    """

    def __init__(self, files: Sequence[tuple[Path, ...]], table: LabelTable, pixels: Pixels = COLOURS) -> None:
        self.paths = [each[:-1] for each in files]
        self._label_paths = [each[-1] for each in files]
        self._pixels = pixels
        self._table = table
        self._numbers = torch.zeros(VALUES, dtype=torch.uint8)
        self._numbers[list(table.numbers)] = torch.tensor(list(table.numbers.values()), dtype=torch.uint8)
        for paths, label_path in zip(self.paths, self._label_paths, strict=True):
            with suppress(UnreadableRaster):
                count_values(label_path, {path: image_size(path, pixels) for path in paths}, table, refuse)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> LabelledMap:
        images = torch.stack([read_image(path, self._pixels) for path in self.paths[index]])
        return LabelledMap(images, self.read_labels(index), self.paths[index][0].stem)

    def read_labels(self, index: int) -> Tensor:
        """The class numbers uint8 (H, W) of a place, without its images."""
        return self._numbers[_read_values(self._label_paths[index], self._table)[0].long()]

    def classes_of(self, index: int) -> list[int]:
        """The numbers of the classes that a place shows, without its images."""
        return [number for number in self.read_labels(index).unique().tolist() if number != IGNORED]


def open_masks(folder: Path, split: str, class_names: tuple[str, ...], pixels: Pixels = COLOURS) -> MapDataset:
    """A dataset of ``images/NAME.{tif,tiff,png,jpg,jpeg}``, ``masks/`` with the same names, and ``classes.json``.

    The masks hold the values that ``classes.json`` gives the classes, and 255 where pixels do not count; or they are
    painted in its colours. See ``ClassTable``.

    Args:
        folder: holds ``images`` and ``masks``, or folders named after the splits that do; ``classes.json`` lies in
            either. In the first case every split is the whole dataset.
        split: such as "train" or "val".
        class_names: a class's place here is its number.
        pixels: which bands of the images are seen, and how.

    Raises:
        InputError: a file or folder is missing, or its content cannot be used.
    """
    files = find_masks(folder, split, refuse)
    table = read_class_table(folder, split)
    unknown = [name for name in table.values if name not in class_names]
    if unknown:
        raise InputError(f"{table.path}: the class {unknown[0]} is unknown; known are {', '.join(class_names)}.")
    return MapDataset(files, table.labels(class_names), pixels)


def find_masks(folder: Path, split: str, tell: Tell) -> list[tuple[Path, Path]]:
    """The image and the mask of each place of a split; ``tell`` is told of those without counterpart.

    Raises:
        InputError: a folder is missing or empty.
    """
    root = split_folder(folder, split, MASK_FOLDERS[0])
    if not (root / MASK_FOLDERS[1]).is_dir() and is_coco(folder):
        raise InputError(
            f"{folder} has no {MASK_FOLDERS[1]} but JSON as COCO's, whose polygons and run-length codes are not read "
            f"as masks; write them as images of class numbers into {root / MASK_FOLDERS[1]}."
        )
    return _find_matching(root, MASK_FOLDERS, tell)


def find_mask_classes(folder: Path) -> dict[str, str]:
    """The classes of a dataset with masks, in the order of the table, with their colours as #rrggbb or empty.

    Raises:
        InputError: there is no ``classes.json``, or it cannot be used.
    """
    return _read_classes(_find_classes_file((folder, *(part_folder(folder, split) for split in SPLITS)))).colours


def read_class_table(folder: Path, split: str) -> ClassTable:
    """The table that holds for a split.

    Raises:
        InputError: there is no ``classes.json``, or it cannot be used.
    """
    root = split_folder(folder, split, MASK_FOLDERS[0])
    return _read_classes(_find_classes_file((root, folder)))


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
    """
    return MapDataset(find_pairs(folder, split, refuse), CHANGE_LABELS, pixels)


def find_pairs(folder: Path, split: str, tell: Tell) -> list[tuple[Path, Path, Path]]:
    """Both images and the label of each place of a split; ``tell`` is told of those without counterpart.

    Raises:
        InputError: a folder is missing or empty.
    """
    return _find_matching(split_folder(folder, split, PAIR_FOLDERS[0]), PAIR_FOLDERS, tell)


def _find_matching(root: Path, folders: tuple[str, ...], tell: Tell) -> list[tuple[Path, ...]]:
    """The files of the same name, without suffix, in all of some folders, sorted."""
    layout = f"{', '.join(folders[:-1])} and {folders[-1]}"
    found = [{path.stem: path for path in find_named_images(root / name, layout, tell)} for name in folders]
    for one in found:
        for name, path in one.items():
            lacking = [folder for folder, other in zip(folders, found, strict=True) if name not in other]
            if lacking:
                places = " and ".join(str(root / each / name) for each in lacking)
                text = f"{path} has no counterpart: there is no {places} with any suffix."
                tell(Finding("missing_pair", str(path), text))
    return [tuple(each[name] for each in found) for name in found[0] if all(name in each for each in found)]


def count_values(label_path: Path, sizes: dict[Path, tuple[int, int]], table: LabelTable, tell: Tell) -> Tensor | None:
    """How many pixels of a place have each value, int64 (256,), or None if its labels cannot be used.

    Args:
        label_path: the labels of the place.
        sizes: height and width of its images.
        table: what the values mean.
        tell: is told of sizes that differ and of values or colours that are not in the table.

    Raises:
        UnreadableRaster: the file is damaged.
    """
    try:
        values, strange_colours = _read_values(label_path, table)
    except InputError as error:
        tell(Finding("label_file", str(label_path), str(error)))
        return None
    fits = [_has_size(path, size, label_path, values.shape, tell) for path, size in sizes.items()]
    counts = torch.bincount(values.flatten(), minlength=VALUES)
    strange = [value for value in counts.nonzero()[:, 0].tolist() if value not in table.numbers]
    if strange:
        several = f"values {', '.join(map(str, strange))}" if len(strange) > 1 else f"value {strange[0]}"
        tell(Finding(table.fault, str(label_path), f"{label_path} holds the {several}; {table.allowed}."))
    if strange_colours:
        more = len(strange_colours) - TOLD_COLOURS
        several = "colours " if len(strange_colours) > 1 else "colour "
        several += ", ".join(strange_colours[:TOLD_COLOURS]) + (f" and {more} more" if more > 0 else "")
        allowed = f"{CLASSES_FILE} gives the classes {', '.join(table.colours)}"
        tell(Finding(table.fault, str(label_path), f"{label_path} shows the {several}; {allowed}."))
    return None if strange or strange_colours or not all(fits) else counts


def _has_size(path: Path, size: tuple[int, int], label_path: Path, label_size: tuple[int, ...], tell: Tell) -> bool:
    if size == tuple(label_size):
        return True
    (height, width), (label_height, label_width) = size, label_size
    text = (
        f"{path} measures {width} x {height} pixels and {label_path} {label_width} x {label_height}; both must "
        "show the same pixels."
    )
    tell(Finding("size", str(path), text))
    return False


def _read_values(path: Path, table: LabelTable) -> tuple[Tensor, list[str]]:
    """The values uint8 (H, W) of a file of labels, and which of its colours, #rrggbb, stand for none.

    Pixels in such colours have the value ``IGNORED``.
    """
    with reading(str(path)), opened_for_pixels(path) as raster:
        in_colours = raster.count - (raster.colorinterp[-1] is ColorInterp.alpha) == 3 and bool(table.colours)
        if set(raster.dtypes) != {"uint8"} or not (raster.count == 1 or in_colours):
            raise InputError(f"{path} has {raster.count} bands of {raster.dtypes[0]}; {table.form}.")
        if not in_colours:
            return torch.from_numpy(raster.read(1)), []
        red, green, blue = raster.read((1, 2, 3)).astype(np.int32)
    colours = red << 16 | green << 8 | blue
    values, known = np.full(colours.shape, IGNORED, np.uint8), np.zeros(colours.shape, bool)
    for colour, value in table.colours.items():
        here = colours == int(colour[1:], 16)
        values[here], known[here] = value, True
    return torch.from_numpy(values), [f"#{colour:06x}" for colour in np.unique(colours[~known]).tolist()]


def _find_classes_file(folders: Sequence[Path]) -> Path:
    for folder in folders:
        if (folder / CLASSES_FILE).is_file():
            return folder / CLASSES_FILE
    raise InputError(
        f"There is no {folders[-1] / CLASSES_FILE}; it lists the classes in the order of their numbers: "
        '[{"name": "water", "colour": "#1f78b4"}, …].'
    )


def _read_classes(path: Path) -> ClassTable:
    """The table of classes in a file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        listed, ignored = (content["classes"], content.get("ignored")) if isinstance(content, dict) else (content, None)
        colours = {str(each["name"]): str(each.get("colour", "")) for each in listed}
        values = {str(each["name"]): each.get("value", place) for place, each in enumerate(listed)}
        ignored = tuple(ignored if isinstance(ignored, list) else [] if ignored is None else [ignored])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f'{path} cannot be used; it must be a list such as [{{"name": "water", "colour": "#1f78b4"}}, …].'
        ) from error
    if len(colours) != len(listed) or not 2 <= len(colours) <= IGNORED:
        raise InputError(f"{path} names {len(colours)} different classes in {len(listed)} entries; 2 to 255 can be.")
    for name, colour in colours.items():
        if colour and not COLOUR.fullmatch(colour):
            raise InputError(f"{path}: the colour {colour!r} of {name} is not written #rrggbb.")
    numbers = [*values.values(), *ignored]
    for number in numbers:
        if type(number) is not int or not 0 <= number < VALUES:
            raise InputError(f"{path}: the value {number!r} is no whole number from 0 to {VALUES - 1}.")
        if numbers.count(number) > 1:
            raise InputError(f"{path} uses the value {number} twice.")
    return ClassTable(path, values, colours, ignored)
