# SPDX-License-Identifier: GPL-2.0-or-later
"""What a look through a dataset gathers: findings, examples of classes, and images to compare."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from model_runner.errors import InputError, UnreadableRaster
from model_runner.training.datasets.findings import Finding
from model_runner.training.datasets.images import COLOURS, Pixels, digest_of, glance_at, is_blank

TRAIN = "train"


class _Seen(NamedTuple):
    """An image that was glanced at.

    Attributes:
        path: of the image.
        split: where it belongs.
        pair: the labels of the pair that it belongs to; None where it stands alone.
        class_name: of the whole image; empty where only parts of it have a class.
    """

    path: Path
    split: str
    pair: Path | None
    class_name: str


class Examination:
    """Gathers what is found in a dataset.

    Args:
        pixels: which bands of the images are to be seen.

    Attributes:
        findings: in the order in which they are told.
        counts: examples of each class (objects, pixels or images) by split.
    """

    def __init__(self, pixels: Pixels = COLOURS) -> None:
        self._pixels = pixels
        self.findings: list[Finding] = []
        self.counts: dict[str, Counter[str]] = {}
        self._first_places: dict[tuple[str, str], tuple[Path, str]] = {}
        self._seen: dict[bytes, list[_Seen]] = defaultdict(list)

    def tell(self, kind: str, file: Path, text: str) -> None:
        """Take a finding."""
        self.take(Finding(kind, str(file), text))

    def take(self, finding: Finding) -> None:
        """Take a finding, as readers tell it."""
        self.findings.append(finding)

    def begin(self, split: str) -> None:
        """Take note of a split, which may have no examples at all."""
        self.counts[split] = Counter()

    def count(self, split: str, class_name: str, number: int, file: Path, place: str = "") -> None:
        """Take examples of a class from a file; ``place`` says where in it."""
        self.counts[split][class_name] += number
        self._first_places.setdefault((split, class_name), (file, place or str(file)))

    def look_at(self, path: Path, split: str, pair: Path | None = None, class_name: str = "") -> tuple[int, int] | None:
        """Glance at an image, to compare it later: its height and width, or None if it cannot be used.

        Args:
            path: of the image.
            split: where it belongs.
            pair: the labels of the pair that it belongs to, if it does.
            class_name: of the whole image, if it has one.
        """
        try:
            glance = glance_at(path, self._pixels)
        except UnreadableRaster as error:
            self.tell("unreadable", path, str(error))
            return None
        except InputError as error:
            self.tell("too_few_bands", path, str(error))
            return None
        if glance.unused_bands:
            used = self._pixels.count
            text = f"{path} has {used + glance.unused_bands} bands, of which the first {used} are used."
            self.tell("bands", path, text)
        self._seen[glance.digest].append(_Seen(path, split, pair, class_name))
        return glance.size

    def compare_images(self) -> None:
        """Tell which images are one and the same, but for blank ones; only those that begin alike are read in full."""
        for alike in self._seen.values():
            if len(alike) > 1:
                same: dict[bytes, list[_Seen]] = defaultdict(list)
                for seen in alike:
                    try:
                        same[digest_of(seen.path, self._pixels)].append(seen)
                    except UnreadableRaster as error:
                        self.tell("unreadable", seen.path, str(error))
                for group in same.values():
                    if len(group) > 1 and not is_blank(group[0].path, self._pixels):
                        self._tell_of_same(group)

    def _tell_of_same(self, group: list[_Seen]) -> None:
        first = next((seen for seen in group if seen.split == TRAIN), group[0])
        for other in group:
            if other is first:
                continue
            text = f"{other.path} shows the same pixels as {first.path}"
            if other.split != first.split:
                self.tell("leak" if first.split == TRAIN else "repeated", other.path, f"{text}.")
            elif other.class_name != first.class_name:
                text += f", as {other.class_name} and as {first.class_name}."
                self.tell("contradiction", other.path, text)
            elif other.pair is None:
                self.tell("repeated", other.path, f"{text}.")
            elif other.pair == first.pair:
                self.tell("same_dates", other.path, f"{text}.")

    def compare_classes(self, folder: Path, table: Sequence[str], told: str) -> None:
        """Tell which classes lack examples, and which names no training image knows.

        Args:
            folder: of the dataset.
            table: the classes that the dataset itself lists; empty where it has no such list.
            told: what the counts count, such as "objects".
        """
        if TRAIN not in self.counts:
            return
        names = sorted({*table, *(name for counts in self.counts.values() for name in counts)})
        self._tell_of_spellings(folder, names)
        learnt = self.counts[TRAIN]
        for name in names:
            if table and not learnt[name]:
                self.tell("no_example", folder, f"{TRAIN} has no {told} of the class {name}.")
            for split, counts in self.counts.items():
                if learnt[name] and not counts[name]:
                    self.tell("no_example", folder, f"{split} has no {told} of the class {name}.")
                elif counts[name] and not learnt[name] and not table:
                    file, place = self._first_places[split, name]
                    known = ", ".join(sorted(learnt)) or "none"
                    self.tell(
                        "unknown_class", file, f"{place}: {TRAIN} has no {told} of the class {name}, but {known}."
                    )

    def _tell_of_spellings(self, folder: Path, names: Sequence[str]) -> None:
        by_spelling = defaultdict(list)
        for name in names:
            by_spelling[re.sub(r"[\s_-]", "", name.lower())].append(name)
        for alike in by_spelling.values():
            if len(alike) > 1:
                self.tell("names", folder, f"{folder} has the classes {' and '.join(map(repr, alike))}.")

    def refuse_nothing(self, folder: Path, told: str, class_name: str | None = None) -> None:
        """Tell if train has no examples, or none of a class without which there is nothing to learn."""
        learnt = self.counts.get(TRAIN)
        if learnt is not None and not (learnt.total() if class_name is None else learnt[class_name]):
            self.tell("nothing", folder, f"{TRAIN} of {folder} has no {told}.")
