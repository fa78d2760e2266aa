# SPDX-License-Identifier: GPL-2.0-or-later
"""What tasks that label each pixel write, window by window."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model_runner.raster.areas import AreaTable
from model_runner.raster.geotiff import NO_CLASS, GeoTiffWriter, rounded_probabilities

# from probabilities (C, h, w) to the class number and the probability that is told of each pixel (h, w)
Decide = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class ClassMaps:
    """The rasters of classes and, if there is one, of probability; and the table of areas, all on one grid."""

    decide: Decide
    classes: GeoTiffWriter
    probability: GeoTiffWriter | None
    areas: AreaTable

    def write(self, x: int, y: int, found: np.ndarray, valid: np.ndarray) -> None:
        """Write a window from probabilities (C, h, w) and which pixels (h, w) have data."""
        numbers, probability = self.decide(found)
        numbers = np.where(valid, numbers, NO_CLASS).astype(np.uint8)
        self.classes.write(x, y, numbers)
        self.areas.add(x, y, numbers)
        if self.probability is not None:
            self.probability.write(x, y, rounded_probabilities(probability, valid))
