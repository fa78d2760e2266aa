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


def test_holes_do_not_count():
    grid = on_its_system(UTM)
    outer, hole = shapely.box(10, 10, 500, 500), shapely.box(100, 100, 300, 200)
    whole, without, cut = grid.measure_polygons(np.array([outer, outer - hole, hole]))
    assert without == pytest.approx(whole - cut, rel=1e-9)
