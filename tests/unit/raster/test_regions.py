# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons from numbers: nothing lost, nothing twice."""

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from model_runner.raster import regions as module
from model_runner.raster.geotiff import NO_CLASS
from model_runner.raster.regions import means_in_polygons, outline_regions, share_corners
from model_runner.raster.working_grid import WorkingGrid
from tests.conftest import HALF_METRES


def outlined(numbers, **options):
    """The regions of numbers (h, w) on pixels of half a metre."""
    height, width = numbers.shape
    grid = WorkingGrid(width, height, HALF_METRES, rasterio.crs.CRS.from_epsg(32633))
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", width=width, height=height, count=1, dtype="uint8", nodata=NO_CLASS, crs=grid.crs,
            transform=HALF_METRES,
        ) as dataset:  # fmt: skip
            dataset.write(numbers.astype(np.uint8), 1)
        with file.open() as dataset:
            return outline_regions(dataset, grid, **options)


def blots(seed, side=60, classes=3):
    """Blots of classes with sharp and ragged borders, some without data."""
    generator = np.random.default_rng(seed)
    field = generator.random((classes + 1, side // 6, side // 6)).repeat(6, 1).repeat(6, 2)
    field += 0.25 * generator.random(field.shape)
    numbers = field.argmax(0)
    return np.where(numbers == classes, NO_CLASS, numbers)


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_regions_cover_each_class_exactly(seed):
    numbers = blots(seed)
    regions = outlined(numbers)
    assert shapely.is_valid(regions.polygons).all()
    for number in range(3):
        polygons = regions.polygons[regions.numbers == number]
        assert shapely.area(polygons).sum() == (numbers == number).sum()
        row, column = np.argwhere(numbers == number)[0]
        assert shapely.contains_xy(polygons, column + 0.5, row + 0.5).sum() == 1


@given(st.integers(0, 1000), st.sampled_from([0.8, 2.0]))
@settings(max_examples=10)
@example(561, 2.0)  # the corner of a region inside another crosses its edge
def test_simplified_neighbours_have_no_gaps_and_hardly_overlap(seed, metres):
    numbers = np.where(blots(seed) == NO_CLASS, 0, blots(seed))  # without holes in the coverage
    exact, simple = outlined(numbers), outlined(numbers, simplify=metres)
    assert shapely.is_valid(simple.polygons).all()
    joined = shapely.union_all(simple.polygons)
    assert shapely.area(simple.polygons).sum() == pytest.approx(joined.area, rel=1e-3)
    assert not joined.interiors
    assert joined.area == pytest.approx(numbers.size, rel=0.02)
    assert shapely.get_num_coordinates(simple.polygons).sum() < shapely.get_num_coordinates(exact.polygons).sum()


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_neighbours_share_their_corners(seed):
    polygons = outlined(blots(seed)).polygons
    shared = share_corners(polygons)
    assert shapely.equals(shared, polygons).all()
    assert shapely.coverage_is_valid(shared)


def test_small_regions_are_dropped_and_small_holes_filled():
    numbers = np.zeros((40, 40), int)
    numbers[2:6, 2:6] = 1  # 4 m2
    numbers[10:30, 10:30] = 2  # 100 m2, in it
    numbers[15:20, 15:20] = 1  # 6.25 m2, in it
    numbers[16, 16] = 0  # a pixel

    def found(**options):
        regions = outlined(numbers, **options)
        return sorted(zip(regions.numbers.tolist(), shapely.area(regions.polygons).tolist(), strict=True))

    assert found() == [(0, 1.0), (0, 1184.0), (1, 16.0), (1, 24.0), (2, 375.0)]
    assert found(minimum_area=5) == [(0, 1184.0), (1, 24.0), (2, 375.0)]
    assert found(fill_holes=7) == [(0, 1200.0), (2, 400.0)]
    assert found(fill_holes=200) == [(0, 1600.0)]
    assert found(left_out=(0,)) == [(1, 16.0), (1, 24.0), (2, 375.0)]


def test_a_raster_without_data_has_no_regions():
    for options in ({}, {"minimum_area": 1, "fill_holes": 1, "simplify": 1}):
        assert len(outlined(np.full((5, 5), NO_CLASS), **options).polygons) == 0


def test_means_of_polygons_are_those_of_their_pixels_whatever_is_read_at_once(monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 16)
    numbers, values = blots(3), np.random.default_rng(4).random((60, 60)).astype(np.float32)
    values[::7, ::5] = -1
    regions = outlined(numbers)
    sliver = shapely.box(20.1, 20.1, 20.3, 20.3)
    form = {"width": 60, "height": 60, "count": 1, "dtype": "float32", "nodata": -1, "transform": HALF_METRES}
    with MemoryFile() as file:
        with file.open(driver="GTiff", **form) as dataset:
            dataset.write(values, 1)
        with file.open() as dataset:
            means = means_in_polygons(dataset, regions.polygons)
            assert means_in_polygons(dataset, np.array([sliver])) == values[20, 20]
            assert means_in_polygons(dataset, regions.polygons[:0]).size == 0
    rows, columns = np.nonzero(values >= 0)
    for polygon, mean in zip(regions.polygons, means, strict=True):
        inside = shapely.contains_xy(polygon, columns + 0.5, rows + 0.5)
        if inside.any():
            assert mean == pytest.approx(values[rows[inside], columns[inside]].mean(), rel=1e-5)
