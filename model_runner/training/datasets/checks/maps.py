# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be wrong with masks, and with labels of pairs."""

from pathlib import Path

from model_runner.errors import UnreadableRaster
from model_runner.raster.bands import colour_table
from model_runner.raster.handles import reading
from model_runner.training.datasets.checks.examination import Examination
from model_runner.training.datasets.images import opened, refuse_cut_off
from model_runner.training.datasets.maps import IGNORED, ClassTable, LabelTable, count_values

UNLIKE = 48  # levels of red, green or blue by which a colour is another one


def examine_labels(
    files: tuple[Path, ...], table: LabelTable, names: tuple[str, ...], split: str, examination: Examination
) -> None:
    """Look at the images of a place and their labels.

    Args:
        files: the images and, last, the labels.
        table: what the values of the labels mean.
        names: of the classes, by number.
        split: where the place belongs.
        examination: is told.
    """
    *paths, label_path = files
    pair = label_path if len(paths) > 1 else None
    sizes = {path: examination.look_at(path, split, pair) for path in paths}
    try:
        refuse_cut_off(label_path)
        usable = {path: size for path, size in sizes.items() if size is not None}
        counts = count_values(label_path, usable, table, examination.take)
    except UnreadableRaster as error:
        examination.tell("unreadable", label_path, str(error))
        return
    if counts is None:
        return
    classes = {value: number for value, number in table.numbers.items() if number != IGNORED}
    for value, number in classes.items():
        if counts[value]:
            examination.count(split, names[number], int(counts[value]), label_path)
    if not any(counts[value] for value in classes):
        examination.tell("ignored", label_path, f"{label_path} has ignored pixels only.")


def doubt_colours(label_path: Path, table: ClassTable, examination: Examination) -> None:
    """Compare the palette of a mask with the colours of the table."""
    try:
        with reading(str(label_path)), opened(label_path) as raster:
            palette = colour_table(raster, 1)
    except UnreadableRaster:
        return  # told already
    for name, value in table.values.items():
        colour = table.colours[name]
        if value in palette and colour:
            told = tuple(bytes.fromhex(colour[1:]))
            if max(abs(one - other) for one, other in zip(told, palette[value], strict=False)) > UNLIKE:
                shown = "#" + bytes(palette[value][:3]).hex()
                text = f"{label_path} shows its value {value} in {shown}; {table.path} gives {name} {colour}."
                examination.tell("colours", label_path, text)
