# SPDX-License-Identifier: GPL-2.0-or-later
"""How much ground each class of a raster covers."""

import numpy as np

from model_runner.raster.working_grid import WorkingGrid

PATCH = 128  # side, in pixels, of what is taken for pixels of one size
LARGEST_PATCH = 300_000.0  # and in metres: sizes within differ by the square of its part of the Earth's radius


class AreaTable:
    """Counts the pixels of each class and measures their ground.

    Args:
        grid: of the raster.
        classes: how many there are; greater numbers are not counted.

    Attributes:
        pixels: (classes,) how many pixels each class has.
        areas: (classes,) square metres on the ellipsoid; without a reference system, pixels.
        in_metres: whether there is a reference system.
    """

    def __init__(self, grid: WorkingGrid, classes: int) -> None:
        self._grid = grid
        self.in_metres = grid.crs is not None
        metres = grid.metres_per_pixel
        self._patch = PATCH if metres is None else max(1, min(PATCH, int(LARGEST_PATCH / metres)))
        self.pixels = np.zeros(classes, np.int64)
        self.areas = np.zeros(classes, np.float64)

    def add(self, x: int, y: int, numbers: np.ndarray) -> None:
        """Count class numbers (h, w) of the window that begins at column x and row y."""
        height, width = numbers.shape
        side = self._patch
        counts, centres = [], []
        for top in range(0, height, side):
            for left in range(0, width, side):
                patch = numbers[top : top + side, left : left + side]
                counts.append(np.bincount(patch.ravel(), minlength=len(self.pixels))[: len(self.pixels)])
                centres.append((x + left + patch.shape[1] / 2, y + top + patch.shape[0] / 2))
        counts = np.stack(counts)
        self.pixels += counts.sum(axis=0)
        self.areas += areas_of_pixels(self._grid, np.array(centres)) @ counts


def areas_of_pixels(grid: WorkingGrid, centres: np.ndarray) -> np.ndarray:
    """Areas (n,) of pixels centred on working pixels (n, 2), as ``WorkingGrid.measure_areas``."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    return grid.measure_areas(centres[:, None] + corners)
