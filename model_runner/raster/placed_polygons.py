# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons of a layer as a raster sees them: in its pixels, found by window, burnt into masks."""

from dataclasses import dataclass
from functools import cached_property

import geopandas
import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize

from model_runner.raster.polygon_files import polygons_on_grid
from model_runner.raster.working_grid import WorkingGrid


@dataclass(frozen=True)
class PlacedPolygons:
    """Polygons (n,) in the pixels of a raster, their class numbers (n,) and their rows (n,) in the layer."""

    polygons: np.ndarray
    numbers: np.ndarray
    rows: np.ndarray

    @cached_property
    def _index(self) -> shapely.STRtree:
        return shapely.STRtree(self.polygons)

    @property
    def centres(self) -> np.ndarray:
        """Centroids (n, 2)."""
        return shapely.get_coordinates(shapely.centroid(self.polygons))

    def near(self, x: float, y: float, width: float, height: float) -> np.ndarray:
        """Which polygons touch a window, as sorted places in the list."""
        return np.sort(self._index.query(shapely.box(x, y, x + width, y + height), predicate="intersects"))

    def burn(
        self, window: tuple[float, float, float, float], shape: tuple[int, int], values: np.ndarray, fill: int
    ) -> np.ndarray:
        """A window on pixels of their own, each of the value of the polygon in which its centre lies.

        Where polygons overlap, the smaller one lies on top.

        Args:
            window: x, y, width and height in pixels of the raster.
            shape: pixels down and across.
            values: (n,) of the polygons, uint8.
            fill: value of the other pixels.
        """
        x, y, width, height = window
        near = self.near(*window)
        near = near[np.argsort(-shapely.area(self.polygons[near]), kind="stable")]
        parts = shapely.clip_by_rect(self.polygons[near], x - 1, y - 1, x + width + 1, y + height + 1)
        shapes = [(part, int(value)) for part, value in zip(parts, values[near], strict=True) if part.area > 0]
        if not shapes:
            return np.full(shape, fill, np.uint8)
        pixels = Affine.translation(x, y) @ Affine.scale(width / shape[1], height / shape[0])
        return rasterize(shapes, shape, fill=fill, transform=pixels, dtype=np.uint8)


def place_polygons(geometry: geopandas.GeoSeries, numbers: np.ndarray, grid: WorkingGrid) -> PlacedPolygons:
    """Those polygons that touch a raster with an area, mended where they cross themselves.

    Args:
        geometry: (n,) polygons, in the layer's reference system.
        numbers: (n,) their class numbers.
        grid: of the raster.

    Raises:
        InputError: there is no way between the reference systems.
    """
    polygons = polygons_on_grid(geometry, grid)
    with np.errstate(invalid="ignore"):  # what has no place in the raster's reference system is infinite
        boxes = shapely.bounds(polygons)
    rows = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    mended = shapely.make_valid(polygons[rows], method="structure", keep_collapsed=False)
    touching = shapely.intersects(mended, shapely.box(0, 0, grid.width, grid.height))
    touching &= shapely.area(mended) > 0
    return PlacedPolygons(mended[touching], numbers[rows[touching]], rows[touching])
