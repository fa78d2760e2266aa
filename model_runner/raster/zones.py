# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons of a layer, each of which is a scene of a raster."""

from typing import NamedTuple

import geopandas
import numpy as np
import shapely

from model_runner.raster.polygon_files import polygons_on_grid, read_polygon_features
from model_runner.raster.scenes import Scene, square_scenes
from model_runner.raster.working_grid import WorkingGrid


class Zones(NamedTuple):
    """The features of a layer and what the raster shows of them.

    Attributes:
        frame: all features that have a polygon, as they are, in the layer's own reference system.
        scenes: those that touch the raster; their numbers are rows of the frame.
    """

    frame: geopandas.GeoDataFrame
    scenes: list[Scene]


def read_zones(path: str, grid: WorkingGrid) -> Zones:
    """The zones of a vector file on a working grid.

    A zone is seen in the square around the box that encloses it, along the raster's axes, with what lies around the
    zone. A layer without reference system is taken to be in the raster's.

    Raises:
        InputError: the file cannot be read or holds no polygon.
    """
    frame = read_polygon_features(path, "zones file", with_fields=True)
    pixels = polygons_on_grid(frame.geometry, grid)
    with np.errstate(invalid="ignore"):  # what has no place in the raster's reference system is infinite
        boxes = shapely.bounds(pixels)
        low, high = boxes[:, :2], boxes[:, 2:]
        touches = ((low < (grid.width, grid.height)) & (high > 0) & (high > low)).all(axis=1)
        touches &= np.isfinite(boxes).all(axis=1)
    touches[touches] = shapely.intersects(pixels[touches], shapely.box(0, 0, grid.width, grid.height))
    return Zones(frame, square_scenes(grid, boxes[touches], np.flatnonzero(touches)))
