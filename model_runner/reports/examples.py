# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of many images a report shows: the worst ones and some at random, however many there are."""

import heapq
import random
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from model_runner.reports.page import section
from model_runner.reports.pictures import data_address

PANEL_WIDTH, NARROW_WIDTH = 228, 184  # pixels of the page, margins included
MOST_WIDE_PANELS = 4  # that fit beside one another


class Example(NamedTuple):
    """An image with what is labelled and what was found.

    Attributes:
        title: the image's name.
        caption: how well it went.
        panels: headings and pictures uint8 (h, w, 3), to be shown side by side.
    """

    title: str
    caption: str
    panels: tuple[tuple[str, np.ndarray], ...]


class Gallery:
    """Keeps a few examples of many; of the others not even the picture is made.

    Args:
        worst: how many of the worst are kept.
        at_random: how many others are kept.
        seed: of the choice.
    """

    def __init__(self, worst: int = 6, at_random: int = 6, seed: int = 0) -> None:
        self._most_worst = worst
        self._most_random = at_random
        self._chance = random.Random(seed)
        self._worst: list[tuple[float, int, Example]] = []
        self._random: list[tuple[float, int, Example]] = []
        self._offered = 0

    def offer(self, badness: float, make: Callable[[], Example]) -> None:
        """Take an example if it is among the worst so far, or by chance; ``badness`` 0 is without fault."""
        self._offered += 1
        lot = self._chance.random()
        is_worst = badness > 0 and _enters(self._worst, badness, self._most_worst)
        # twice as many, since some of them may turn out to be among the worst
        is_lucky = _enters(self._random, lot, self._most_random + self._most_worst)
        if is_worst or is_lucky:
            example = make()
            if is_worst:
                _keep(self._worst, (badness, -self._offered, example), self._most_worst)
            if is_lucky:
                _keep(self._random, (lot, -self._offered, example), self._most_random + self._most_worst)

    @property
    def worst(self) -> list[Example]:
        """The worst, worst first."""
        return [example for _, _, example in sorted(self._worst, key=lambda each: each[:2], reverse=True)]

    @property
    def at_random(self) -> list[Example]:
        """Others, in the order of their coming."""
        shown = {number for _, number, _ in self._worst}
        others = sorted((each for each in self._random if each[1] not in shown), key=lambda each: -each[0])
        return [each[2] for each in sorted(others[: self._most_random], key=lambda each: -each[1])]


def _enters(kept: list, value: float, most: int) -> bool:
    return most > 0 and (len(kept) < most or value > kept[0][0])


def _keep(kept: list, entry: tuple[float, int, Example], most: int) -> None:
    (heapq.heappush if len(kept) < most else heapq.heappushpop)(kept, entry)


def example_sections(gallery: Gallery, *explained: str, note: str = "") -> tuple[str, ...]:
    """The examples of a gallery, under two headings, each with what explains them."""
    shown = {"Where it errs most": gallery.worst, "Others at random": gallery.at_random}
    return tuple(
        section(heading, *explained, show_examples(examples), note=note)
        for heading, examples in shown.items()
        if examples
    )


def show_examples(examples: Sequence[Example]) -> str:
    """Examples below one another."""
    shown = []
    for each in examples:
        narrow, width = ("", PANEL_WIDTH) if len(each.panels) <= MOST_WIDE_PANELS else (" narrow", NARROW_WIDTH)
        panels = "".join(
            f'<div class="panel"><img src="{data_address(picture)}" alt="{escape(heading)}"><span>{escape(heading)}'
            "</span></div>"
            for heading, picture in each.panels
        )
        shown.append(
            f'<div class="example{narrow}" style="width:{len(each.panels) * width}px"><h3>{escape(each.title)}</h3>'
            f'<div class="note">{escape(each.caption)}</div>{panels}</div>'
        )
    return "\n".join(shown)
