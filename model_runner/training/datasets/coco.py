# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled objects in COCO's JSON files.

Where there is a ``segmentation`` the object is the smallest rectangle around its polygons. Otherwise it is the
``bbox``: of five numbers (centre x and y, width, height, angle in degrees, counter-clockwise on the screen, as
Detectron2 writes it), of eight (four corners), or of four (left, top, width, height). Run-length codes are not read:
where there is one, a ``bbox`` of four numbers would hide how the object is turned, and is refused.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from math import cos, isfinite, pi, radians, sin
from pathlib import Path
from typing import Any

from shapely import MultiPoint

from model_runner.errors import InputError
from model_runner.training.datasets.findings import Finding, Tell
from model_runner.training.datasets.images import IMAGE_SUFFIXES
from model_runner.training.datasets.labelled_objects import LabelledImage, LabelledObject
from model_runner.training.datasets.splits import SPLITS, split_names

ANNOTATIONS = "annotations"
PREFERRED = "instances"  # among several files of a split, as in COCO's own, which has captions and keypoints beside
NO_LABELS = {"classes.json", "check.json", "dataset.json"}  # of this project
CORNERS = 8  # numbers


def is_coco(folder: Path) -> bool:
    """Whether a folder holds what may be an annotation file for any split, or for the whole dataset."""
    return any(_candidates(folder, split) for split in SPLITS)


def holds_annotations(folder: Path) -> bool:
    """Whether one of these files is of COCO, by its content."""
    return any(map(_has_lists, dict.fromkeys(path for split in SPLITS for path in _candidates(folder, split))))


def coco_splits(folder: Path) -> tuple[str, ...]:
    """The splits that have annotation files of their own."""
    return tuple(split for split in SPLITS if _own_files(folder, split))


def read_coco(folder: Path, split: str, tell: Tell) -> list[LabelledImage]:
    """The images that an annotation file lists, with their objects.

    The file lies in the split's folder or in ``annotations`` there, such as ``train/_annotations.coco.json``; or its
    name tells the split, such as ``annotations/instances_train.json`` and ``train.json``; or it is the only one, and
    every split is the whole dataset. Images lie beside it, in ``images``, or in a folder named after the split.
    Objects marked ``iscrowd`` are left out.

    Args:
        folder: of the dataset.
        split: such as "train" or "val".
        tell: is told what is wrong; what it is told of is left out.

    Raises:
        InputError: there is no annotation file, there are several, or the file is none.
    """
    path = _annotation_file(folder, split)
    content = _load(path)
    if not content["images"]:
        raise InputError(f"{path} lists no images.")
    for key in ("images", "categories"):
        _tell_shared_ids(path, key, content[key], tell)
    categories = {
        each["id"]: str(each.get("name", "")).strip() for each in content["categories"] if _is_id(each.get("id"))
    }
    found = _find_images(folder, split, path, content["images"], tell)
    objects: dict[int | str, list[LabelledObject]] = {key: [] for key in found}
    listed = {each["id"] for each in content["images"] if _is_id(each.get("id"))}
    for number, annotation in enumerate(content["annotations"], 1):
        place = f"{path}, annotation {annotation.get('id', f'number {number}')}"
        if not _is_id(annotation.get("image_id")) or annotation["image_id"] not in listed:
            text = f"{place} belongs to image {annotation.get('image_id')}, which is not among the images."
            tell(Finding("missing_pair", str(path), text))
        elif annotation.get("iscrowd") == 1:
            tell(Finding("crowd", str(path), f"{place} is a crowd and is left out."))
        elif not _is_id(annotation.get("category_id")) or annotation["category_id"] not in categories:
            known = ", ".join(f"{key} {name}" for key, name in categories.items()) or "none"
            text = f"{place}: there is no category {annotation.get('category_id')}; known are {known}."
            tell(Finding("unknown_class", str(path), text))
        elif annotation["image_id"] in objects:
            try:
                corners = _corners(annotation, place)
            except InputError as error:
                tell(Finding("label_text", str(path), str(error)))
                continue
            name = categories[annotation["category_id"]]
            objects[annotation["image_id"]].append(LabelledObject(corners, name, 0, place))
    if _may_be_radians(content["annotations"]):
        text = f"{path}: all angles lie between -pi and pi; they are taken as degrees, counter-clockwise."
        tell(Finding("angles", str(path), text))
    return [image._replace(objects=tuple(objects[key])) for key, image in found.items()]


def _annotation_file(folder: Path, split: str) -> Path:
    found = _candidates(folder, split)
    if not found:
        raise InputError(
            f"There is no annotation file for {split} in {folder}; expected {split}/_annotations.coco.json, "
            f"{ANNOTATIONS}/instances_{split}.json or {split}.json."
        )
    preferred = [path for path in found if path.name.startswith(PREFERRED)]
    if len(found) > 1 and len(preferred) != 1:
        raise InputError(
            f"There are several annotation files for {split}: {', '.join(map(str, found))}; keep one of them there."
        )
    return (preferred or found)[0]


def _candidates(folder: Path, split: str) -> list[Path]:
    """The JSON files that may label a split: those of its own, else those named after no split."""
    every = [name for each in SPLITS for name in split_names(each)]
    return _own_files(folder, split) or [path for path in _files_at_top(folder) if not _tells(path, every)]


def _own_files(folder: Path, split: str) -> list[Path]:
    """The JSON files in the folder of a split, else those named after it."""
    names = split_names(split)
    inside = [_json_files((folder / name, folder / name / ANNOTATIONS)) for name in names]
    named = [path for path in _files_at_top(folder) if _tells(path, names)]
    return next((found for found in (*inside, named) if found), [])


def _files_at_top(folder: Path) -> list[Path]:
    return _json_files((folder, folder / ANNOTATIONS))


def _json_files(folders: Iterable[Path]) -> list[Path]:
    return sorted(path for folder in folders for path in folder.glob("*.json") if path.name not in NO_LABELS)


def _tells(path: Path, names: Iterable[str]) -> bool:
    """Whether a file's name has one of some words in it, not as part of another word."""
    return any(re.search(rf"(?<![a-z]){name}(?![a-z])", path.stem.lower()) for name in names)


def _load(path: Path) -> dict[str, list[dict]]:
    """The lists of an annotation file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON in UTF-8: {error}.") from error
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise InputError(f"{path} is no annotation file of COCO: it has no list of {key}.")
    return content


def _has_lists(path: Path) -> bool:
    try:
        return bool(_load(path))
    except InputError:
        return False


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _tell_shared_ids(path: Path, key: str, entries: list[dict], tell: Tell) -> None:
    """Images and categories that cannot be told apart: their annotations would count for another one."""
    ids = [each.get("id") for each in entries]
    without = [number for number, each in enumerate(ids, 1) if not _is_id(each)]
    if without:
        tell(Finding("same_id", str(path), f"{path}: {len(without)} of the {len(ids)} {key} have no id."))
    for each, count in Counter(filter(_is_id, ids)).items():
        if count > 1:
            tell(Finding("same_id", str(path), f"{path}: {count} {key} have the id {each}."))


def _find_images(
    folder: Path, split: str, path: Path, entries: list[dict], tell: Tell
) -> dict[int | str, LabelledImage]:
    """The listed images that are there, by id, without objects yet."""
    places = _image_folders(folder, split, path)
    found: dict[int | str, LabelledImage] = {}
    names = set()
    for entry in entries:
        name = str(entry.get("file_name", ""))
        image = next((place / name for place in places if Path(name).suffix and (place / name).is_file()), None)
        if image is None:
            text = f"{path} lists the image {name!r}, which is not there; looked beside it, in images and in {split}."
            tell(Finding("missing_pair", str(path), text))
        elif image.suffix.lower() not in IMAGE_SUFFIXES:
            text = f"{path} lists {name!r}; expected {', '.join(sorted(IMAGE_SUFFIXES))}."
            tell(Finding("unreadable", str(image), text))
        elif name in names:
            tell(Finding("same_name", str(path), f"{path} lists the image {name!r} twice."))
        elif _is_id(entry.get("id")):
            size = (entry.get("height"), entry.get("width"))
            told = size if all(isinstance(each, int) for each in size) else None
            found[entry["id"]] = LabelledImage(image, name, (), path, told)
            names.add(name)
    return found


def _image_folders(folder: Path, split: str, path: Path) -> list[Path]:
    """Where the images of an annotation file may lie, the nearest places first."""
    beside = (path.parent, path.parent.parent) if path.parent.name == ANNOTATIONS else (path.parent,)
    tops = [place for root in (*beside, folder) for place in (root, root / "images")]
    of_split = [part for top in tops for name in split_names(split) for part in _beginning_with(name, top)]
    return [place for part in of_split for place in (part, part / "images")] + tops


def _beginning_with(name: str, folder: Path) -> list[Path]:
    """What lies in a folder and is called so, whatever its capitals: CVAT writes them."""
    if not folder.is_dir():
        return []
    return sorted(each for each in folder.iterdir() if each.name.lower().startswith(name))


def _corners(annotation: dict, place: str) -> tuple[float, ...]:
    """The corners of an annotation, as x1, y1 … x4, y4."""
    polygons = annotation.get("segmentation")
    if isinstance(polygons, list) and any(polygons):
        parts = polygons if isinstance(polygons[0], list) else [polygons]
        return _rectangle_around(tuple(value for part in parts for value in _numbers(part, place)))
    numbers = _numbers(annotation.get("bbox") or [], place)
    if len(numbers) == CORNERS:
        return numbers
    if len(numbers) == 5:
        return _turned(*numbers[:4], -radians(numbers[4]))
    if isinstance(polygons, dict):
        raise InputError(
            f"{place}: its segmentation is a run-length code, which is not read; write it as polygons, or give a bbox "
            "of 5 or 8 numbers."
        )
    if len(numbers) == 4:
        left, top, width, height = numbers
        (degrees,) = _numbers([_rotation(annotation)], place)
        return _turned(left + width / 2, top + height / 2, width, height, radians(degrees))
    raise InputError(f"{place} has no polygon, and its bbox has {len(numbers)} numbers instead of 4, 5 or 8.")


def _rotation(annotation: dict) -> Any:
    """Degrees, clockwise on the screen, by which CVAT turns an upright box around its centre."""
    attributes = annotation.get("attributes")
    return attributes.get("rotation", 0) if isinstance(attributes, dict) else 0


def _numbers(values: Any, place: str) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, values))
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: the coordinates are not all numbers.") from error
    if not all(isfinite(value) for value in numbers):
        raise InputError(f"{place}: the coordinates are not all finite.")
    return numbers


def _turned(x: float, y: float, width: float, height: float, angle: float) -> tuple[float, ...]:
    """The corners of a box around its centre; the angle in radians, clockwise on the screen."""
    cosine, sine = cos(angle), sin(angle)
    halves = ((u * width / 2, v * height / 2) for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
    points = ((x + along * cosine - across * sine, y + along * sine + across * cosine) for along, across in halves)
    return tuple(value for point in points for value in point)


def _rectangle_around(numbers: Sequence[float]) -> tuple[float, ...]:
    """The corners of a quadrilateral itself, or of the smallest rectangle around other polygons."""
    points = list(zip(numbers[::2], numbers[1::2], strict=False))
    if len(points) > 4:
        outline = MultiPoint(points).oriented_envelope
        points = list((outline.exterior if outline.geom_type == "Polygon" else outline).coords)[:4]
    points += [points[-1]] * (4 - len(points))
    return tuple(value for point in points for value in point)


def _may_be_radians(annotations: list[dict]) -> bool:
    """Whether no angle of the boxes that have one is beyond half a turn in radians, and one is not 0."""
    boxes = [each.get("bbox") for each in annotations if not each.get("segmentation")]
    boxes = [each for each in boxes if isinstance(each, list) and len(each) == 5]
    angles = [box[4] for box in boxes if isinstance(box[4], int | float)]
    return any(angles) and all(abs(angle) <= pi for angle in angles)
