# SPDX-License-Identifier: GPL-2.0-or-later
"""Where pixels lie on the ground, and how far, in which direction and how large things there really are."""

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
import pyproj
import shapely
from affine import Affine
from pyproj.exceptions import CRSError, ProjError
from rasterio.crs import CRS

MOST_OBLONG = 1.05  # longer over shorter side of a pixel that passes for a square
LONGEST_SIDE = 64  # pixels, in which a polygon's sides are measured


@dataclass(frozen=True)
class WorkingGrid:
    """The pixels that a run works on, and their place on the ground.

    ``to_ground`` maps working pixels (x right, y down, (0, 0) the top-left corner of the first pixel) to coordinates
    of ``crs``, exactly, rotation and shear included. A raster without any georeference has ``crs`` None and, as in
    QGIS, the ground coordinates (column, -row).

    Measures are geodesic, on the ellipsoid of ``crs``: true metres, whatever the projection does to distances. A
    local (engineering) system that has no place on Earth is measured in the plane. Without ``crs`` everything is
    measured in pixels, and directions count from the image's up.
    """

    width: int
    height: int
    to_ground: Affine
    crs: CRS | None

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Least and largest ground coordinates: left, bottom, right, top."""
        return (*self.outline.min(axis=0).tolist(), *self.outline.max(axis=0).tolist())

    @property
    def outline(self) -> np.ndarray:
        """The corners (4, 2) in ground coordinates, from the top-left one around the grid."""
        return self.to_ground_points(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (self.width, self.height))

    @cached_property
    def reference_system(self) -> pyproj.CRS | None:
        """``crs`` as pyproj knows it."""
        return None if self.crs is None else pyproj.CRS.from_user_input(self.crs)

    @property
    def system_name(self) -> str | None:
        """The code of the reference system, such as EPSG:32633, or its name where it has no code."""
        if self.crs is None:
            return None
        authority = self.reference_system.to_authority()
        return ":".join(authority) if authority else self.reference_system.name

    @cached_property
    def full_turn(self) -> float:
        """The way around the Earth in ground coordinates, if these are longitudes and latitudes; else 0."""
        if self.crs is None or not self.reference_system.is_geographic:
            return 0.0
        return float(360 / np.degrees(self.reference_system.axis_info[0].unit_conversion_factor))

    def turned_near(self, x: np.ndarray) -> np.ndarray:
        """First ground coordinates; longitudes by whole turns of the Earth as near to the grid's middle as can be."""
        if not self.full_turn:
            return x
        middle = (self.bounds[0] + self.bounds[2]) / 2
        return x - np.round((x - middle) / self.full_turn) * self.full_turn

    @cached_property
    def metres_per_pixel(self) -> float | None:
        """True metres per pixel at the centre, the geometric mean of both pixel axes; None without ``crs``."""
        return self.metres_per_pixel_at(self.width / 2, self.height / 2)

    def metres_per_pixel_at(self, x: float, y: float) -> float | None:
        """True metres per pixel at a working pixel, the geometric mean of both pixel axes; None without ``crs``."""
        metres = self.metres_along_axes_at(x, y)
        return None if metres is None else sqrt(metres[0] * metres[1])

    def metres_along_axes_at(self, x: float, y: float) -> tuple[float, float] | None:
        """True width and height, in metres, of a pixel centred on working pixel (x, y); None without ``crs``."""
        if self.crs is None:
            return None
        starts = np.array([[x - 0.5, y], [x, y - 0.5]])
        lengths, _ = self.measure_lines(starts, starts + np.eye(2))
        return float(lengths[0]), float(lengths[1])

    @property
    def oblong_sides(self) -> tuple[float, float] | None:
        """True width and height, in metres, of the pixel in the middle if it is no square on the ground, else None."""
        sides = self.metres_along_axes_at(self.width / 2, self.height / 2)
        return None if sides is None or max(sides) <= MOST_OBLONG * min(sides) else sides

    def to_ground_points(self, points: np.ndarray) -> np.ndarray:
        """Ground coordinates (n, 2) of working pixels (n, 2)."""
        matrix = np.array([[self.to_ground.a, self.to_ground.b], [self.to_ground.d, self.to_ground.e]])
        return np.asarray(points, dtype=np.float64) @ matrix.T + (self.to_ground.c, self.to_ground.f)

    def measure_lines(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How long lines are, and where they point.

        Args:
            starts: (n, 2) working pixels.
            ends: (n, 2) working pixels.

        Returns:
            Lengths (n,) in metres and directions (n,) at the start, in degrees clockwise from true north; without
            ``crs`` in pixels, and from the image's up.
        """
        if self.crs is None:
            return _planar_lines(np.asarray(starts) * (1, -1), np.asarray(ends) * (1, -1))
        starts, ends = self.to_ground_points(starts), self.to_ground_points(ends)
        planar, angles = _planar_lines(starts, ends)
        planar *= self._metres_per_unit
        if self._earth is None:
            return planar, angles
        (longitude, latitude), (end_longitude, end_latitude) = self._earth.locate(starts), self._earth.locate(ends)
        directions, _, lengths = self._earth.geod.inv(longitude, latitude, end_longitude, end_latitude)
        on_earth = np.isfinite(lengths)
        return np.where(on_earth, lengths, planar), np.where(on_earth, directions, angles)

    def measure_areas(self, polygons: np.ndarray) -> np.ndarray:
        """Areas (n,) of polygons (n, corners, 2) in working pixels: square metres on the ellipsoid, or pixels."""
        polygons = np.asarray(polygons, dtype=np.float64)
        if self.crs is None:
            return _planar_areas(polygons)
        ground = self.to_ground_points(polygons.reshape(-1, 2))
        planar = _planar_areas(ground.reshape(polygons.shape)) * self._metres_per_unit**2
        if self._earth is None:
            return planar
        longitude, latitude = (each.reshape(polygons.shape[:2]) for each in self._earth.locate(ground))
        areas = [
            abs(self._earth.geod.polygon_area_perimeter(*corners)[0])
            for corners in zip(longitude, latitude, strict=True)
        ]
        return np.where(np.isfinite(areas), areas, planar)

    def measure_polygons(self, polygons: np.ndarray) -> np.ndarray:
        """Areas (n,) of shapely polygons in working pixels, less their holes, as ``measure_areas``.

        Long sides are followed along the grid, which is no shortest line on the ellipsoid.
        """
        if self.crs is None:
            return shapely.area(polygons)
        ground = shapely.transform(shapely.segmentize(polygons, LONGEST_SIDE), self.to_ground_points)
        ground = shapely.orient_polygons(ground)  # here, as longitudes jump at the antimeridian
        planar = shapely.area(ground) * self._metres_per_unit**2
        if self._earth is None:
            return planar
        located = shapely.transform(ground, lambda points: np.stack(self._earth.locate(points), axis=1))
        areas = [abs(self._earth.geod.geometry_area_perimeter(each)[0]) for each in located]
        return np.where(np.isfinite(areas), areas, planar)

    @cached_property
    def _earth(self) -> "_Earth | None":
        return _Earth.of(self.reference_system)

    @property
    def _metres_per_unit(self) -> float:
        return self.reference_system.axis_info[0].unit_conversion_factor if self.reference_system.axis_info else 1.0


@dataclass(frozen=True)
class _Earth:
    """The ellipsoid under a reference system and the way to it."""

    geod: pyproj.Geod
    transformer: pyproj.Transformer
    degrees_per_unit: float

    @classmethod
    def of(cls, crs: pyproj.CRS) -> "_Earth | None":
        """What lies under ``crs``; None for a local system that has no place on Earth."""
        try:
            geographic, geod = crs.geodetic_crs, crs.get_geod()
            if geographic is None or geod is None:
                return None
            if geographic.is_derived:  # from a rotated pole back to the true one
                geographic = geographic.source_crs
            transformer = pyproj.Transformer.from_crs(crs, geographic, always_xy=True)
        except (CRSError, ProjError):
            return None
        return cls(geod, transformer, np.degrees(geographic.axis_info[0].unit_conversion_factor))

    def locate(self, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitudes and latitudes (n,) in degrees of ground coordinates (n, 2)."""
        longitude, latitude = self.transformer.transform(ground[:, 0], ground[:, 1])
        return longitude * self.degrees_per_unit, np.clip(latitude * self.degrees_per_unit, -90, 90)


def _planar_lines(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (n,) and directions (n,), in degrees clockwise from the second axis, of lines between points (n, 2)."""
    right, up = (ends - starts).T
    return np.hypot(right, up), np.degrees(np.arctan2(right, up))


def _planar_areas(polygons: np.ndarray) -> np.ndarray:
    """Areas (n,) of plane polygons (n, corners, 2)."""
    x, y = np.moveaxis(polygons - polygons[:, :1], 2, 0)
    return np.abs((x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1)) / 2
