# SPDX-License-Identifier: GPL-2.0-or-later
"""From the polygons of a raster to the labels of its chips, for each task."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import shapely

from model_runner.raster.placed_polygons import PlacedPolygons
from model_runner.training_data.chips import Chip
from model_runner.training_data.labels import CHANGED, IGNORED, ChangeLabel, Label, MaskLabel, ObjectLabel, SceneLabel

LEAST_VALID = 0.5  # share of an empty chip or a scene that must have data
NARROWEST = 0.5  # shorter side of a box in pixels, from which an object can be seen
ROUNDING = 0.1  # pixels, more than corners are rounded by when they are written
NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Labeller(ABC):
    """Labels the chips of a raster.

    Attributes:
        polygons: in pixels of the raster.
        names: of the classes.
    """

    polygons: PlacedPolygons
    names: tuple[str, ...]

    def label(self, chip: Chip, valid: np.ndarray) -> Label | None:
        """The labels of a chip; None if it can neither teach anything nor pass for background.

        Args:
            chip: the chip.
            valid: (side, side) which of its pixels have data and lie in the area of interest.
        """
        found = self._label(chip, valid) if valid.any() else None
        if found is not None and found.is_empty and valid.mean() < LEAST_VALID:
            return None
        return found

    @abstractmethod
    def _label(self, chip: Chip, valid: np.ndarray) -> Label | None:
        """``label``, for a chip that has data."""

    def _rows(self, chip: Chip) -> np.ndarray:
        return self.polygons.rows[self.polygons.near(*chip.window)]


@dataclass(frozen=True)
class ObjectLabeller(Labeller):
    """Oriented boxes: the smallest rectangles around the polygons, in pixels.

    An object is kept where the chip shows enough of it: with its whole box where the chip holds the box's centre, else
    with the box of what it shows. A chip that shows cut objects alone has no label: it is no background either.

    Attributes:
        visible: smallest share of an object that a chip must show.
    """

    visible: float

    def _label(self, chip: Chip, valid: np.ndarray) -> Label | None:
        near = self.polygons.near(*chip.window)
        boxes = shapely.minimum_rotated_rectangle(self.polygons.polygons[near])
        shares = self._shown(near, chip, valid)
        kept = (shares > 0) & (shares >= self.visible)
        beyond = kept & ~_holds_centre(chip, boxes)
        boxes[beyond] = shapely.minimum_rotated_rectangle(_clip(self.polygons.polygons[near[beyond]], chip))
        kept[beyond] = _holds_centre(chip, boxes[beyond]) & (_shorter_sides(boxes[beyond]) >= NARROWEST)
        if not kept.any() and (shares > 0).any():
            return None
        numbers = self.polygons.numbers[near[kept]]
        corners = [shapely.get_coordinates(box)[:4] for box in boxes[kept]]
        pixels = chip.side / np.array([chip.width, chip.height])
        return ObjectLabel(
            np.bincount(numbers, minlength=len(self.names)),
            self.polygons.rows[near[kept]],
            numbers,
            (np.array(corners).reshape(-1, 4, 2) - (chip.x, chip.y)) * pixels,
            self.names,
            chip.side,
        )

    def _shown(self, near: np.ndarray, chip: Chip, valid: np.ndarray) -> np.ndarray:
        """Which share of each polygon lies on pixels of the chip that count."""
        polygons = self.polygons.polygons[near]
        cut = _clip(polygons, chip)
        shares = shapely.area(cut) / shapely.area(polygons)
        if valid.all():
            return shares
        for place in np.flatnonzero(shares > 0):
            alone = PlacedPolygons(cut[place : place + 1], NOTHING, NOTHING)
            on_pixels = alone.burn(chip.window, (chip.side, chip.side), np.ones(1), 0) > 0
            shares[place] *= valid[on_pixels].mean() if on_pixels.any() else 1.0
        return shares


def without_slivers(polygons: PlacedPolygons) -> PlacedPolygons:
    """The polygons whose boxes are wide enough for something to be seen in them."""
    wide = _shorter_sides(shapely.minimum_rotated_rectangle(polygons.polygons)) >= NARROWEST
    return PlacedPolygons(polygons.polygons[wide], polygons.numbers[wide], polygons.rows[wide])


def _clip(polygons: np.ndarray, chip: Chip) -> np.ndarray:
    x, y, width, height = chip.window
    return shapely.clip_by_rect(polygons, x, y, x + width, y + height)


def _holds_centre(chip: Chip, boxes: np.ndarray) -> np.ndarray:
    """Whether the middles of boxes lie in a chip, and will after their corners are rounded."""
    centres = shapely.get_coordinates(shapely.centroid(boxes)).reshape(-1, 2) - (chip.x, chip.y)
    return ((centres >= ROUNDING) & (centres <= (chip.width - ROUNDING, chip.height - ROUNDING))).all(axis=1)


def _shorter_sides(boxes: np.ndarray) -> np.ndarray:
    """Of rectangles, of which the narrowest may have become lines."""
    half = shapely.length(boxes) / 2
    return (half - np.sqrt(np.maximum(half**2 - 4 * shapely.area(boxes), 0))) / 2


@dataclass(frozen=True)
class MaskLabeller(Labeller):
    """Polygons burnt in; where they overlap, the smaller one lies on top.

    Attributes:
        background: number of the class of the pixels in no polygon; None has them ignored.
        colours: of the classes.
    """

    background: int | None
    colours: tuple[str, ...]

    def _label(self, chip: Chip, valid: np.ndarray) -> Label | None:
        fill = IGNORED if self.background is None else self.background
        values = self.polygons.burn(chip.window, (chip.side, chip.side), self.polygons.numbers, fill)
        values[~valid] = IGNORED
        counts = np.bincount(values.ravel(), minlength=IGNORED + 1)[: len(self.names)]
        if not counts.any():
            return None
        return MaskLabel(counts, self._rows(chip), values, self.background, self.colours)


@dataclass(frozen=True)
class ChangeLabeller(Labeller):
    """Polygons burnt in, whatever their class."""

    def _label(self, chip: Chip, valid: np.ndarray) -> Label | None:
        values = (
            self.polygons.burn(chip.window, (chip.side, chip.side), np.full(len(self.polygons.rows), CHANGED), 0)
            * valid
        )
        changed = int((values == CHANGED).sum())
        return ChangeLabel(np.array([valid.sum() - changed, changed]), self._rows(chip), values)


@dataclass(frozen=True)
class SceneLabeller(Labeller):
    """The class of the polygon that a chip was made for, or of those that cover a cell.

    Attributes:
        covered: smallest share of a cell that the polygons of its class must cover.
    """

    covered: float

    def _label(self, chip: Chip, valid: np.ndarray) -> Label | None:
        if valid.mean() < LEAST_VALID:
            return None
        if chip.row is not None:
            rows = np.array([chip.row])
            number = int(self.polygons.numbers[self.polygons.rows == chip.row][0])
        else:
            rows = self._rows(chip)
            values = self.polygons.burn(chip.window, (chip.side, chip.side), self.polygons.numbers, IGNORED)
            shares = np.bincount(values.ravel(), minlength=IGNORED + 1)[: len(self.names)] / values.size
            number = int(shares.argmax())
            if shares[number] < max(self.covered, 1 / values.size):
                return None
        counts = np.zeros(len(self.names), dtype=np.int64)
        counts[number] = 1
        return SceneLabel(counts, rows, self.names[number])
