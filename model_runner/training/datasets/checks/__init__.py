# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong or doubtful about a dataset, all of it, before anything is trained."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import rasterio

from model_runner.errors import InputError
from model_runner.report import Report
from model_runner.training.datasets.checks.examination import TRAIN, Examination
from model_runner.training.datasets.checks.maps import doubt_colours, examine_labels
from model_runner.training.datasets.checks.objects import examine_objects
from model_runner.training.datasets.findings import KINDS, Finding, Tell
from model_runner.training.datasets.images import COLOURS, Pixels
from model_runner.training.datasets.layouts import check_layout, dataset_splits
from model_runner.training.datasets.maps import (
    CHANGE_LABELS,
    find_masks,
    find_pairs,
    read_class_table,
)
from model_runner.training.datasets.objects import read_objects
from model_runner.training.datasets.scenes import find_scenes
from model_runner.training.datasets.splits import SPLITS

NEEDED = SPLITS[:2]
PAIR_CLASSES = ("unchanged", "changed")


@dataclass(frozen=True)
class DatasetCheck:
    """The outcome of a check.

    Attributes:
        images: how many there are, or pairs, by split.
        classes: examples of each class (objects, pixels or images) by split.
        errors: what must be mended before anything can be learnt.
        doubts: what may be as it should.
    """

    images: dict[str, int]
    classes: dict[str, dict[str, int]]
    errors: tuple[Finding, ...]
    doubts: tuple[Finding, ...]

    def plain(self) -> dict[str, Any]:
        """For JSON: findings of one kind together, with the kind's title and remedy."""
        return {
            "images": self.images,
            "classes": self.classes,
            "errors": [_plain_group(*group) for group in grouped(self.errors)],
            "doubts": [_plain_group(*group) for group in grouped(self.doubts)],
        }


def grouped(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """Findings by kind, in the order of ``KINDS``."""
    groups = ((kind, [each for each in findings if each.kind == kind]) for kind in KINDS)
    return [(kind, group) for kind, group in groups if group]


def _plain_group(kind: str, findings: list[Finding]) -> dict[str, Any]:
    return {
        "kind": kind,
        "title": KINDS[kind].title,
        "remedy": KINDS[kind].remedy,
        "found": [{"file": each.file, "text": each.text} for each in findings],
    }


def check_dataset(
    task: str, folder: Path, report: Report, tolerated: Collection[str] = (), pixels: Pixels = COLOURS
) -> DatasetCheck:
    """Look for all that is wrong or doubtful about a dataset.

    Of images only the headers and the first rows are read, and those in full that begin alike; labels are read in full.

    Args:
        task: what shall be learnt.
        folder: of the dataset.
        report: is told how far the check is.
        tolerated: kinds of findings that are doubts, whatever they are otherwise.
        pixels: which bands of the images are to be seen.

    Raises:
        Cancelled: the user asked to stop.
    """
    examination, sizes = Examination(pixels), {}
    if check_layout(folder, task, examination.take):
        with rasterio.Env():  # one for all files, instead of one for each
            sizes = _look_through(task, folder, examination, report)
            examination.compare_images()
    found = dict.fromkeys(examination.findings)
    errors = [each for each in found if KINDS[each.kind].stops and each.kind not in tolerated]
    return DatasetCheck(
        sizes,
        {split: dict(sorted(counts.items())) for split, counts in examination.counts.items()},
        tuple(errors),
        tuple(each for each in found if each not in set(errors)),
    )


@dataclass(frozen=True)
class _Checks:
    """How the datasets of a task are looked through.

    Attributes:
        read: the places of a split; what is wrong with their files is told.
        prepare: from a dataset, a split and its places to what examines one of these.
        conclude: looks at what was counted.
    """

    read: Callable[[Path, str, Tell], Sequence[Any]]
    prepare: Callable[[Path, str, Sequence[Any], Examination], Callable[[Any], None]]
    conclude: Callable[[Path, Examination], None]


def _look_through(task: str, folder: Path, examination: Examination, report: Report) -> dict[str, int]:
    """Look at every place of a dataset: how many there are, by split."""
    checks, splits = CHECKS[task], dataset_splits(folder, task)
    wanted = [split for split in SPLITS if split in splits or (splits and split in NEEDED)] or [TRAIN]
    places, examine = {}, {}
    for split in wanted:
        try:
            places[split] = checks.read(folder, split, examination.take)
            examine[split] = checks.prepare(folder, split, places[split], examination)
            examination.begin(split)
        except InputError as error:
            examination.tell("layout", folder, str(error))
    if not splits and places:
        text = f"{folder} has no {' and '.join(NEEDED)}: the model is measured on the images that it learns from."
        examination.tell("undivided", folder, text)
    done, total = 0, sum(len(places[split]) for split in examine)
    for split, examine_place in examine.items():
        for place in places[split]:
            report.check_cancelled()
            report.progress("checking", done, total)
            examine_place(place)
            done += 1
    report.progress("checking", done, total)
    checks.conclude(folder, examination)
    return {split: len(each) for split, each in places.items()}


def _prepare_objects(
    folder: Path, split: str, places: Sequence[Any], examination: Examination
) -> Callable[[Any], None]:
    return partial(examine_objects, split=split, examination=examination)


def _conclude_objects(folder: Path, examination: Examination) -> None:
    examination.compare_classes(folder, (), "objects")
    examination.refuse_nothing(folder, "labelled objects")


def _prepare_masks(folder: Path, split: str, places: Sequence[Any], examination: Examination) -> Callable[[Any], None]:
    table = read_class_table(folder, split)
    names = tuple(table.values)
    for files in places[:1]:  # all masks of a dataset have one palette
        doubt_colours(files[-1], table, examination)
    labels = table.labels(names)
    return partial(examine_labels, table=labels, names=names, split=split, examination=examination)


def _conclude_masks(folder: Path, examination: Examination) -> None:
    tables = {split: read_class_table(folder, split) for split in examination.counts}
    first = tables.get(TRAIN)
    if first is None:
        return
    for table in tables.values():
        for name in table.values:
            if name not in first.values:
                known = ", ".join(first.values)
                text = f"{table.path}: the class {name} is unknown; {first.path} names {known}."
                examination.tell("unknown_class", table.path, text)
    examination.compare_classes(folder, tuple(first.values), "pixels")
    examination.refuse_nothing(folder, "pixels with a class")
    learnt = [name for name, count in examination.counts[TRAIN].items() if count]
    if len(learnt) == 1:
        examination.tell("one_class", folder, f"All labelled pixels of {TRAIN} are of the class {learnt[0]}.")


def _prepare_pairs(folder: Path, split: str, places: Sequence[Any], examination: Examination) -> Callable[[Any], None]:
    return partial(examine_labels, table=CHANGE_LABELS, names=PAIR_CLASSES, split=split, examination=examination)


def _conclude_pairs(folder: Path, examination: Examination) -> None:
    examination.compare_classes(folder, PAIR_CLASSES, "pixels")
    examination.refuse_nothing(folder, "changed pixels", PAIR_CLASSES[1])


def _prepare_scenes(folder: Path, split: str, places: Sequence[Any], examination: Examination) -> Callable[[Any], None]:
    def examine(scene: tuple[Path, str]) -> None:
        path, name = scene
        examination.look_at(path, split, class_name=name)
        examination.count(split, name, 1, path)

    return examine


def _conclude_scenes(folder: Path, examination: Examination) -> None:
    examination.compare_classes(folder, (), "images")
    learnt = examination.counts.get(TRAIN)
    if learnt is not None and len(learnt) < 2:
        text = f"{TRAIN} has {len(learnt)} class; scenes need two classes at least, each in its folder."
        examination.tell("nothing", folder, text)


CHECKS = {
    "detect": _Checks(read_objects, _prepare_objects, _conclude_objects),
    "segment": _Checks(find_masks, _prepare_masks, _conclude_masks),
    "change": _Checks(find_pairs, _prepare_pairs, _conclude_pairs),
    "classify": _Checks(find_scenes, _prepare_scenes, _conclude_scenes),
}
