# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the pixels of one grid lie in another one, whatever the reference systems of both."""

import threading
from dataclasses import dataclass, field

import numpy as np
import pyproj
from affine import Affine
from pyproj.exceptions import ProjError

from model_runner.errors import InputError
from model_runner.raster.working_grid import WorkingGrid

NODES_APART = 16  # pixels between those whose place is computed; what lies between is interpolated
ROUNDING = 1e-3  # of a pixel, which grids may be apart and still be the same


@dataclass(frozen=True)
class GridMapping:
    """The way from pixels of ``source`` to pixels of ``target``; several threads may take it.

    Both grids have a reference system, or neither has one; then they share their plane.

    Raises:
        InputError: there is no way between the reference systems.
    """

    source: WorkingGrid
    target: WorkingGrid
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _transformer: pyproj.Transformer | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Find the way between the reference systems; None where they are the same."""
        source, target = self.source.reference_system, self.target.reference_system
        same = source is None or source.equals(target, ignore_axis_order=True)
        try:
            transformer = None if same else pyproj.Transformer.from_crs(source, target, always_xy=True)
        except ProjError as error:
            raise InputError(
                f"There is no way from {self.source.system_name} to {self.target.system_name}; bring the rasters into "
                "one reference system."
            ) from error
        object.__setattr__(self, "_transformer", transformer)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Pixels (n, 2) of the target at pixels (n, 2) of the source; not finite where there is no way."""
        x, y = self.source.to_ground_points(points).T
        if self._transformer is not None:
            with self._lock:
                x, y = self._transformer.transform(x, y)
        with np.errstate(invalid="ignore"):
            return np.stack(~self.target.to_ground @ (self.target.turned_near(x), y), axis=1)

    def scales_at(self, x: float, y: float) -> tuple[float, float]:
        """How many columns and rows of the target a pixel of the source spans at (x, y), in any direction."""
        right, left, below, above = self.apply(np.array([[x + 0.5, y], [x - 0.5, y], [x, y + 0.5], [x, y - 0.5]]))
        columns, rows = np.hypot(right - left, below - above)
        return float(columns), float(rows)

    @property
    def along_axes(self) -> Affine | None:
        """The mapping as scales and offsets, offsets rounded to whole pixels where that moves no pixel.

        None where it turns, mirrors, shears or bends.
        """
        if self._transformer is not None:
            return None
        width, height = self.source.width, self.source.height
        (left, top), (right, right_top), (left_bottom, bottom) = self.apply(
            np.array([[0, 0], [width, 0], [0, height]], dtype=np.float64)
        )
        across, down = (right - left) / width, (bottom - top) / height
        if max(abs(right_top - top), abs(left_bottom - left)) > ROUNDING or min(across, down) <= 0:
            return None
        if max(abs(across - 1) * width, abs(down - 1) * height) <= ROUNDING:
            across = down = 1.0
        column, row = (each if abs(each - round(each)) > ROUNDING else round(each) for each in (left, top))
        return Affine(across, 0, column, 0, down, row)

    def lattice(self, x: int, y: int, width: int, height: int) -> "Lattice":
        """The mapping over a window of the source, in its pixels.

        Nodes are the same whatever the window, so windows agree on their common pixels.
        """
        first_column, first_row = x // NODES_APART, y // NODES_APART
        columns = np.arange(first_column, -(-(x + width) // NODES_APART) + 1)
        rows = np.arange(first_row, -(-(y + height) // NODES_APART) + 1)
        nodes = np.stack(np.meshgrid(columns, rows), axis=-1) * float(NODES_APART)
        mapped = self.apply(nodes.reshape(-1, 2)).reshape(len(rows), len(columns), 2)
        return Lattice(first_column, first_row, mapped)


@dataclass(frozen=True)
class Lattice:
    """Places in a target grid: ``nodes`` (rows, columns, 2), ``NODES_APART`` pixels of the source from each other.

    The first node is number (``column``, ``row``), counted from the source's corner.
    """

    column: int
    row: int
    nodes: np.ndarray

    def at(self, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows (h, w) of the target, float64, at columns (w,) and rows (h,) of the source."""
        between_rows = _interpolate(self.nodes, ys / NODES_APART - self.row, axis=0)
        places = _interpolate(between_rows, xs / NODES_APART - self.column, axis=1)
        return places[..., 0], places[..., 1]


def _interpolate(nodes: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    index = np.floor(positions).astype(np.int64)
    shape = [1] * nodes.ndim
    shape[axis] = -1
    share = (positions - index).reshape(shape)
    return nodes.take(index, axis) * (1 - share) + nodes.take(index + 1, axis) * share
