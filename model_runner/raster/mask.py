# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons outside of which nothing is looked at."""

from functools import partial

import geopandas
import numpy as np
import shapely

from model_runner.errors import InputError
from model_runner.raster.placed_polygons import PlacedPolygons
from model_runner.raster.polygon_files import in_system_of, near_the_grid, read_polygon_features
from model_runner.raster.working_grid import WorkingGrid


class PolygonMask:
    """The polygons of a vector file on a working grid.

    Args:
        path: vector file that GDAL can open; everything in it that is no polygon is ignored.
        grid: the working grid.

    Raises:
        InputError: the file cannot be read, holds no polygon or none that touches the grid.
    """

    def __init__(self, path: str, grid: WorkingGrid) -> None:
        polygons = _read_polygons(path, grid)
        to_pixels = ~grid.to_ground
        polygons = shapely.transform(
            polygons, lambda points: np.stack(to_pixels @ (points[:, 0], points[:, 1]), axis=1)
        )
        polygons = polygons[shapely.intersects(polygons, shapely.box(0, 0, grid.width, grid.height))]
        self._inside = np.ones(len(polygons), np.uint8)
        self._placed = PlacedPolygons(polygons, self._inside, np.arange(len(polygons)))
        if not len(polygons):
            raise InputError("The polygons of the mask do not touch the part of the raster that is looked at.")

    def touches(self, x: float, y: float, width: float, height: float) -> bool:
        """Whether a polygon touches a window of the grid, in working pixels."""
        return bool(len(self._placed.near(x, y, width, height)))

    def inside(
        self, x: float, y: float, width: float, height: float, shape: tuple[int, int] | None = None
    ) -> np.ndarray:
        """The pixels of a window whose centre lies in a polygon.

        Args:
            x: left border of the window in working pixels.
            y: its upper border.
            width: of the window in working pixels.
            height: of the window in working pixels.
            shape: rows and columns of pixels over the window; without it those of the grid.

        Returns:
            (rows, columns) bool.
        """
        return self._placed.burn((x, y, width, height), shape or (height, width), self._inside, 0).astype(bool)


def _read_polygons(path: str, grid: WorkingGrid) -> np.ndarray:
    """The polygons of a file in ground coordinates."""
    geometry = read_polygon_features(path, "mask", with_fields=False).geometry
    polygons = _parts_with_area(shapely.force_2d(geometry.to_numpy()))
    polygons = _parts_with_area(shapely.make_valid(polygons))
    near = near_the_grid(geopandas.GeoSeries(polygons, crs=geometry.crs), grid)
    polygons = _parts_with_area(in_system_of(grid, near).to_numpy())
    if not grid.full_turn:
        return polygons
    turns = (-grid.full_turn, 0, grid.full_turn)  # a raster across the antimeridian has longitudes of both sides
    return np.concatenate([shapely.transform(polygons, partial(np.add, (turn, 0))) for turn in turns])


def _parts_with_area(geometry: np.ndarray) -> np.ndarray:
    """The polygons among geometries, those in collections included."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
