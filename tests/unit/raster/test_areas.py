# SPDX-License-Identifier: GPL-2.0-or-later
"""Square metres of classes, against whole polygons on the ellipsoid."""

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from model_runner.raster.areas import AreaTable
from model_runner.raster.working_grid import WorkingGrid

UTM = WorkingGrid(700, 600, Affine.translation(300_000, 6_500_000) @ Affine.rotation(30) @ Affine.scale(10, -10), 32633)
DEGREES = WorkingGrid(700, 600, Affine(0.01, 0, 5, 0, -0.01, 62), 4326)
PIXELS = WorkingGrid(700, 600, Affine(1, 0, 0, 0, -1, 0), None)


def on_its_system(grid):
    return WorkingGrid(grid.width, grid.height, grid.to_ground, grid.crs and CRS.from_epsg(grid.crs))


def table_of(grid, numbers, rows_at_once=37, columns_at_once=400):
    table = AreaTable(grid, 3)
    for row in range(0, grid.height, rows_at_once):
        for column in range(0, grid.width, columns_at_once):
            part = numbers[row : row + rows_at_once, column : column + columns_at_once]
            table.add(column, row, part)
    return table


@pytest.mark.parametrize("grid", [UTM, DEGREES, PIXELS], ids=["UTM", "degrees", "pixels"])
def test_areas_are_those_of_the_ellipsoid(grid):
    grid = on_its_system(grid)
    numbers = np.zeros((600, 700), np.uint8)
    numbers[100:300, 50:650], numbers[300:600, 400:] = 2, 255
    table = table_of(grid, numbers)
    assert table.pixels.tolist() == [420_000 - 120_000 - 90_000, 0, 120_000]
    expected = grid.measure_polygons(np.array([shapely.box(50, 100, 650, 300)]))[0]
    assert table.areas[2] == pytest.approx(expected, rel=2e-4)  # a patch of 1 km pixels is not of one size
    assert table.areas[1] == 0


def test_a_belt_of_degrees_has_the_area_that_the_ellipsoid_says():
    grid = on_its_system(DEGREES)
    belt = table_of(grid, np.zeros((600, 700), np.uint8)).areas[0]
    ring = shapely.segmentize(shapely.box(5, 56, 12, 62), 0.05)
    assert belt == pytest.approx(abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(ring)[0]), rel=1e-5)


@pytest.mark.parametrize("degrees", [3.6, 1, 0.25])
def test_pixels_of_a_world_map_are_not_of_one_size(degrees):
    height = int(180 / degrees)
    grid = WorkingGrid(2 * height, height, Affine(degrees, 0, -180, 0, -degrees, 90), CRS.from_epsg(4326))
    earth = table_of(grid, np.zeros((height, 2 * height), np.uint8)).areas[0]
    assert earth == pytest.approx(510_065_621_724_000, rel=3e-3)  # the surface of the WGS 84 ellipsoid


@pytest.mark.parametrize("system", [3832, 32660, 3857])
def test_holes_do_not_count_across_the_antimeridian_either(system):
    middle = pyproj.Transformer.from_crs(4326, system, always_xy=True).transform(180, -17)
    grid = WorkingGrid(60, 60, Affine(100, 0, middle[0] - 3000, 0, -100, middle[1] + 3000), CRS.from_epsg(system))
    outer, hole = shapely.box(0, 0, 60, 60), shapely.box(35, 20, 45, 40)
    whole, without, cut = grid.measure_polygons(np.array([outer, outer - hole, hole]))
    assert without == pytest.approx(whole - cut, rel=1e-6)


def test_holes_do_not_count():
    grid = on_its_system(UTM)
    outer, hole = shapely.box(10, 10, 500, 500), shapely.box(100, 100, 300, 200)
    whole, without, cut = grid.measure_polygons(np.array([outer, outer - hole, hole]))
    assert without == pytest.approx(whole - cut, rel=1e-9)
