# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the chips of a plan, and count what was written."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from model_runner.reports.examples import Example
from model_runner.training_data.files import chip_grid
from model_runner.training_data.labelling import Labeller
from model_runner.training_data.labels import Dates, Label
from model_runner.training_data.places import Place
from model_runner.training_data.planning import Plan, PlannedChip
from model_runner.training_data.splitting import SPLITS

THUMBNAIL = 224  # pixels
LABELLED_ON_SHEET = 20
EMPTY_ON_SHEET = 4


@dataclass
class SplitTally:
    """What was written for a split.

    Attributes:
        chips: how many.
        empty: how many of them show background alone.
        counts: (classes,) objects, pixels or scenes.
        chips_with: (classes,) in how many chips each class is.
        sheet: pictures of some chips.
    """

    counts: np.ndarray
    chips_with: np.ndarray
    chips: int = 0
    empty: int = 0
    sheet: list[Example] = field(default_factory=list)


@dataclass
class Tally:
    """What was written.

    Attributes:
        splits: by name.
        shown: the number of the raster on which each polygon of the label layer was first seen, by its row.
        without_data: chips that were left out when their pixels were seen.
        chips_of_places: how many chips were cut from each raster, by its number.
    """

    splits: dict[str, SplitTally]
    shown: dict[int, int] = field(default_factory=dict)
    without_data: int = 0
    chips_of_places: Counter = field(default_factory=Counter)


def write_chips(
    plan: Plan,
    places: Mapping[int, tuple[Place, Labeller]],
    colours: Sequence[str],
    empty_ratio: float,
    seed: int,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Tally:
    """Write the labelled chips of a plan, and of the empty ones so many for each labelled one.

    Args:
        plan: the chips.
        places: the rasters and what labels their chips, by number.
        colours: of the classes.
        empty_ratio: empty chips for each labelled one of their split.
        seed: chooses the empty ones, and those that are shown in the report.
        folder: of the dataset; splits are folders in it.
        progress: is told how many chips are done, of how many; may raise to end it.

    Raises:
        InputError: a file cannot be written.
        UnreadableRaster: a raster is damaged.
    """
    generator = np.random.default_rng(seed)
    writer = _Writer(places, colours, folder, Tally({}))
    parts = {split: _part(plan.chips, split, empty_ratio, generator) for split in SPLITS}
    total, done = sum(len(labelled) + wanted for labelled, _, wanted in parts.values()), 0
    for split, (labelled, empty, wanted) in parts.items():
        if not labelled:
            continue
        classes = len(colours)
        tally = writer.tally.splits[split] = SplitTally(np.zeros(classes, np.int64), np.zeros(classes, np.int64))
        shown = _choose(labelled, LABELLED_ON_SHEET, generator)
        for number, each in enumerate(labelled):
            progress(done + number, total)
            writer.write(each, tally, number in shown)
        done += len(labelled)
        for each in empty:
            if tally.empty == wanted:
                break
            progress(done + tally.empty, total)
            writer.write(each, tally, tally.empty < EMPTY_ON_SHEET)
        done += wanted
    progress(total, total)
    return writer.tally


def _part(
    chips: Sequence[PlannedChip], split: str, empty_ratio: float, generator: np.random.Generator
) -> tuple[list[PlannedChip], list[PlannedChip], int]:
    """The labelled chips of a split, its empty ones in random order, and how many of these are wanted."""
    labelled = [each for each in chips if each.split == split and not each.is_empty]
    empty = [each for each in chips if each.split == split and each.is_empty]
    empty = [empty[number] for number in generator.permutation(len(empty))]
    return labelled, empty, min(len(empty), round(empty_ratio * len(labelled)))


def _choose(chips: Sequence[PlannedChip], count: int, generator: np.random.Generator) -> set[int]:
    return set(generator.permutation(len(chips))[:count].tolist())


@dataclass
class _Writer:
    """Reads, labels and writes chips one by one."""

    places: Mapping[int, tuple[Place, Labeller]]
    colours: Sequence[str]
    folder: Path
    tally: Tally

    def write(self, planned: PlannedChip, tally: SplitTally, is_shown: bool) -> None:
        """Write a chip, unless too little of it has data."""
        chip = planned.chip
        place, labeller = self.places[chip.place]
        read = place.read(chip)
        inside = place.inside(chip)
        label = labeller.label(chip, read.valid & inside)
        if label is None or label.is_empty != planned.is_empty:
            self.tally.without_data += 1
            return
        dates = Dates(read.pixels, read.valid if label.keeps_surroundings else read.valid & inside, read.bands)
        name = f"{place.name}_{_number(chip.x)}_{_number(chip.y)}" + ("" if chip.row is None else f"_{chip.row:05d}")
        label.write(self.folder / planned.split, name, dates, chip_grid(place.grid, chip))
        tally.chips += 1
        tally.empty += label.is_empty
        tally.counts += label.counts
        tally.chips_with += label.counts > 0
        self.tally.chips_of_places[chip.place] += 1
        for row in label.rows.tolist():
            self.tally.shown.setdefault(row, chip.place)
        if is_shown:
            tally.sheet.append(_pictured(name, dates, label, self.colours))


def _number(pixels: float) -> str:
    return f"{'m' if pixels < 0 else ''}{abs(round(pixels)):05d}"


def _pictured(name: str, dates: Dates, label: Label, colours: Sequence[str]) -> Example:
    """The dates of a chip, with the labels over the last one."""
    images = [
        Image.fromarray(np.moveaxis(pixels[:3] if len(pixels) >= 3 else pixels[[0, 0, 0]], 0, -1).copy()).resize(
            (THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR
        )
        for pixels in dates.pixels * dates.valid
    ]
    label.draw(images[-1], colours)
    headings = ("labelled",) if len(images) == 1 else ("before", "after, labelled")
    panels = tuple((heading, np.asarray(image)) for heading, image in zip(headings, images, strict=True))
    return Example(name, "without labels" if label.is_empty else "", panels)
