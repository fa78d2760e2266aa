# SPDX-License-Identifier: GPL-2.0-or-later
"""The labels of a chip, for each kind of task: what there is, how it is written and how it is drawn.

A chip is *labelled*, or *empty*: it shows background alone. One of which neither can be said has no label at all.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image, ImageDraw

from model_runner.raster.working_grid import WorkingGrid
from model_runner.training_data.files import write_image, write_map, write_text

IGNORED = 255
CHANGED = 255  # in the labels of pairs
OPACITY = 0.45  # of areas that are drawn


@dataclass(frozen=True)
class Dates:
    """The pixels of a chip.

    Attributes:
        pixels: uint8 (dates, C, h, w), the earlier date first.
        valid: (h, w) which of them have data.
        bands: names of the bands.
    """

    pixels: np.ndarray
    valid: np.ndarray
    bands: tuple[str, ...]


@dataclass(frozen=True)
class Label(ABC):
    """The labels of a chip.

    Attributes:
        counts: (classes,) objects, pixels or scenes of each class.
        rows: of the polygons that the chip shows, in the label layer.
        keeps_surroundings: whether pixels beyond the area of interest stay as they are: they have labels of their own
            that say that they do not count. Otherwise they are blank.
    """

    counts: np.ndarray
    rows: np.ndarray
    keeps_surroundings: ClassVar[bool] = False

    @property
    def foreground(self) -> np.ndarray:
        """``counts`` of those classes that are no background."""
        return self.counts

    @property
    def is_empty(self) -> bool:
        """Whether the chip shows background alone."""
        return not self.foreground.any()

    @abstractmethod
    def write(self, split: Path, name: str, dates: Dates, grid: WorkingGrid) -> None:
        """Write the chip into the folder of its split.

        Raises:
            InputError: a file cannot be written.
        """

    @abstractmethod
    def draw(self, image: Image.Image, colours: Sequence[str]) -> None:
        """Draw the labels over an image of the chip, of any size, in the colours of the classes."""


@dataclass(frozen=True)
class ObjectLabel(Label):
    """Oriented boxes, in DOTA's layout.

    Attributes:
        corners: (n, 4, 2) in pixels of the chip, beyond which boxes of objects that it cuts reach.
        names: (n,) of their classes.
        side: of the chip in pixels.
    """

    numbers: np.ndarray
    corners: np.ndarray
    names: tuple[str, ...]
    side: int

    def write(self, split: Path, name: str, dates: Dates, grid: WorkingGrid) -> None:
        """Write ``images/NAME.tif`` and ``labelTxt/NAME.txt``; pixels that do not count are 0."""
        write_image(split / "images" / f"{name}.tif", dates.pixels[0] * dates.valid, dates.valid, grid, dates.bands)
        lines = [
            " ".join([*(f"{value:.2f}" for value in corners.ravel()), self.names[number], "0"])
            for corners, number in zip(self.corners, self.numbers, strict=True)
        ]
        write_text(split / "labelTxt" / f"{name}.txt", "".join(f"{line}\n" for line in lines))

    def draw(self, image: Image.Image, colours: Sequence[str]) -> None:
        """Draw the boxes."""
        pen = ImageDraw.Draw(image)
        for corners, number in zip(self.corners * (image.width / self.side), self.numbers, strict=True):
            points = [tuple(point) for point in corners.tolist()]
            pen.line([*points, points[0], points[1]], fill=colours[number], width=max(2, image.width // 128))


@dataclass(frozen=True)
class MaskLabel(Label):
    """The class of each pixel.

    Attributes:
        values: (h, w) class numbers, 255 where there is none.
        background: number of the class of pixels in no polygon, or None.
        colours: of the classes.
    """

    values: np.ndarray
    background: int | None
    colours: tuple[str, ...]
    keeps_surroundings: ClassVar[bool] = True

    @property
    def foreground(self) -> np.ndarray:
        """Pixels of all classes but the background."""
        return np.delete(self.counts, [] if self.background is None else self.background)

    def write(self, split: Path, name: str, dates: Dates, grid: WorkingGrid) -> None:
        """Write ``images/NAME.tif`` and ``masks/NAME.tif``."""
        write_image(split / "images" / f"{name}.tif", dates.pixels[0], dates.valid, grid, dates.bands)
        write_map(split / "masks" / f"{name}.tif", self.values, grid, self.colours)

    def draw(self, image: Image.Image, colours: Sequence[str]) -> None:
        """Colour the areas of the classes; the background is left alone, and what does not count is dimmed."""
        for number, colour in enumerate(colours):
            if number != self.background:
                _tint(image, self.values == number, colour)
        _tint(image, self.values == IGNORED, "#000000")


@dataclass(frozen=True)
class ChangeLabel(Label):
    """Where something changed.

    Attributes:
        values: (h, w) 255 where something changed, else 0.
    """

    values: np.ndarray

    @property
    def foreground(self) -> np.ndarray:
        """Pixels that changed."""
        return self.counts[1:]

    def write(self, split: Path, name: str, dates: Dates, grid: WorkingGrid) -> None:
        """Write ``A/NAME.tif``, ``B/NAME.tif`` and ``label/NAME.tif``; pixels that do not count are 0 at both dates."""
        for folder, pixels in zip("AB", dates.pixels, strict=True):
            write_image(split / folder / f"{name}.tif", pixels * dates.valid, dates.valid, grid, dates.bands)
        write_map(split / "label" / f"{name}.tif", self.values, grid, ())

    def draw(self, image: Image.Image, colours: Sequence[str]) -> None:
        """Colour what changed."""
        _tint(image, self.values == CHANGED, colours[-1])


@dataclass(frozen=True)
class SceneLabel(Label):
    """What the whole chip shows.

    Attributes:
        name: of the class.
    """

    name: str
    keeps_surroundings: ClassVar[bool] = True

    def write(self, split: Path, name: str, dates: Dates, grid: WorkingGrid) -> None:
        """Write ``CLASS/NAME.tif``."""
        write_image(split / self.name / f"{name}.tif", dates.pixels[0], dates.valid, grid, dates.bands)

    def draw(self, image: Image.Image, colours: Sequence[str]) -> None:
        """Write the class at the top, in its colour."""
        pen = ImageDraw.Draw(image)
        pen.rectangle((0, 0, image.width, image.height // 8), fill=colours[int(self.counts.argmax())])
        pen.text((4, 2), self.name, fill="white", font_size=max(8, image.height // 10), stroke_width=1, stroke_fill=0)


def _tint(image: Image.Image, where: np.ndarray, colour: str) -> None:
    """Lay a colour over the pixels that ``where`` (h, w) marks."""
    opacity = Image.fromarray((where * (255 * OPACITY)).astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST)
    image.paste(Image.new("RGB", image.size, colour), mask=opacity)
