# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the working grid lies: georeferences of all kinds, extents, resolutions."""

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from model_runner.errors import InputError
from model_runner.raster.source import open_source
from model_runner.raster.tiling import plan_tiles

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
PIXELS = np.random.default_rng(0).integers(1, 255, (3, 40, 60)).astype(np.uint8)


def look(path, **options):
    """The grid, the warnings and the pixels of what is looked at."""
    with open_source(path, band_count=3, **options) as source:
        side = max(source.grid.width, source.grid.height)
        pixels = source.read(plan_tiles(source.grid.width, source.grid.height, side, 0)[0]).pixels
        return source.grid, source.warnings, pixels[:, : source.grid.height, : source.grid.width]


def refusal(path, **options):
    with pytest.raises(InputError) as error, open_source(path, band_count=3, **options):
        pass
    assert "\n" not in str(error.value)
    return str(error.value)


def test_all_of_the_raster_is_the_default(make_raster):
    grid, warnings, _ = look(make_raster("a.tif", PIXELS))
    assert (grid.width, grid.height) == (60, 40)
    assert grid.to_ground == Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)
    assert grid.crs.to_epsg() == 32633
    assert warnings == []


def test_an_extent_takes_the_pixels_that_it_touches(make_raster):
    grid, _, pixels = look(make_raster("a.tif", PIXELS), extent=(400_005.1, 5_799_990, 400_010, 5_799_995.2))
    assert grid.to_ground_points(np.array([[0, 0]])).tolist() == [[400_005, 5_799_995.5]]
    assert (grid.width, grid.height) == (10, 11)
    np.testing.assert_array_equal(pixels, PIXELS[:, 9:20, 10:20])


def test_an_extent_on_the_borders_of_pixels_takes_no_further_ones(make_raster):
    transform = Affine(0.1, 0, 400_000.3, 0, -0.1, 5_800_000.7)
    grid, _, _ = look(
        make_raster("a.tif", PIXELS, transform=transform), extent=(400_000.6, 5_799_999.6, 400_001.7, 5_800_000.4)
    )
    assert (grid.width, grid.height) == (11, 8)


def test_an_extent_that_reaches_beyond_is_cut(make_raster):
    grid, _, _ = look(make_raster("a.tif", PIXELS), extent=(0, 5_799_995, 1e6, 6e6))
    assert (grid.width, grid.height) == (60, 10)


@pytest.mark.parametrize("form", ["EPSG:4326", pyproj.CRS(4326).to_wkt(), "+proj=longlat +datum=WGS84"])
def test_an_extent_in_another_reference_system_is_transformed(make_raster, form):
    to_degrees = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    west, south = to_degrees.transform(400_005, 5_799_990)
    east, north = to_degrees.transform(400_010, 5_799_995)
    grid, _, _ = look(make_raster("a.tif", PIXELS), extent=(west, south, east, north), extent_crs=form)
    left, top = grid.to_ground_points(np.array([[0, 0]]))[0]
    right, bottom = grid.to_ground_points(np.array([[grid.width, grid.height]]))[0]
    assert 400_004 <= left <= 400_005
    assert 400_010 <= right <= 400_011
    assert 5_799_989 <= bottom <= 5_799_990
    assert 5_799_995 <= top <= 5_799_996


@pytest.mark.parametrize(
    ("extent", "extent_crs"),
    [((-179.98, 0.01, -179.97, 0.02), "EPSG:4326"), ((180.02, 0.01, 180.03, 0.02), "OGC:CRS84")],
)
def test_extents_beyond_the_antimeridian_are_found(make_raster, extent, extent_crs):
    transform = Affine(0.001, 0, 179.95, 0, -0.001, 0.1)
    path = make_raster("a.tif", np.ones((3, 100, 100), np.uint8), transform=transform, crs="EPSG:4326")
    grid, _, _ = look(path, extent=extent, extent_crs=extent_crs)
    corners = grid.to_ground_points(np.array([[0, 0], [grid.width, grid.height]]))
    assert corners == pytest.approx(np.array([[180.02, 0.02], [180.03, 0.01]]), abs=0.0011)


def test_an_extent_across_the_antimeridian_keeps_its_side(make_raster):
    transform = Affine(0.001, 0, 179, 0, -0.001, 0.1)
    path = make_raster("a.tif", np.ones((3, 100, 2000), np.uint8), transform=transform, crs="EPSG:4326")
    to_utm = pyproj.Transformer.from_crs(4326, 32660, always_xy=True)
    (west, south), (east, north) = to_utm.transform(179.9, 0.02), to_utm.transform(180.1, 0.08)
    grid, _, _ = look(path, extent=(west, south, east, north), extent_crs="EPSG:32660")
    assert grid.width == pytest.approx(200, abs=3)
    assert grid.to_ground.c == pytest.approx(179.9, abs=0.002)


@pytest.mark.parametrize(
    ("extent", "extent_crs"),
    [((-180, -90, 180, 90), "EPSG:4326"), ((-2e7, -2e7, 2e7, 2e7), "EPSG:3857"), ((0, 40, 30, 60), "EPSG:4326")],
)
def test_an_extent_far_beyond_the_raster_takes_all_of_it(make_raster, extent, extent_crs):
    grid, _, _ = look(make_raster("a.tif", PIXELS), extent=extent, extent_crs=extent_crs)
    assert (grid.width, grid.height) == (60, 40)


def test_an_extent_elsewhere_is_refused(make_raster):
    message = refusal(make_raster("a.tif", PIXELS), extent=(0, 0, 10, 10))
    assert "0,0,10,10 in EPSG:32633 does not touch" in message
    assert "400000,5799980,400030,5800000" in message


@pytest.mark.parametrize("crs", ["EPSG:999999", "nonsense"])
def test_an_extent_in_an_unknown_reference_system_is_refused(make_raster, crs):
    assert crs in refusal(make_raster("a.tif", PIXELS), extent=(0, 0, 10, 10), extent_crs=crs)


def test_an_extent_in_a_rotated_raster_holds_the_ground_asked_for(make_raster):
    transform = Affine.translation(400_000, 5_800_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
    centre = np.array(transform @ (30, 20))
    grid, _, pixels = look(make_raster("a.tif", PIXELS, transform=transform), extent=(*(centre - 2), *(centre + 2)))
    corners = np.array([[-2, -2], [2, -2], [2, 2], [-2, 2]]) + centre
    columns, rows = (~grid.to_ground) @ (corners[:, 0], corners[:, 1])
    assert (columns.min(), rows.min()) >= (0, 0)
    assert (columns.max(), rows.max()) <= (grid.width, grid.height)
    column, row = np.rint((~transform) @ tuple(grid.to_ground_points(np.array([[0, 0]]))[0])).astype(int)
    np.testing.assert_array_equal(pixels, PIXELS[:, row : row + grid.height, column : column + grid.width])
    assert grid.width < 20


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0.5, 0, 400_000, 0, 0.5, 5_800_000),
        Affine(-0.5, 0, 400_000, 0, -0.5, 5_800_000),
        Affine(0.3, 0.4, 400_000, 0.4, -0.3, 5_800_000),
        Affine(0.5, 0.1, 400_000, 0, -0.5, 5_800_000),
    ],
    ids=["south up", "east left", "rotated", "sheared"],
)
def test_every_pixel_keeps_its_place_whatever_the_map(make_raster, transform):
    path = make_raster("a.tif", PIXELS, transform=transform)
    x, y = transform @ (25.5, 15.5)
    grid, _, pixels = look(path, extent=(x - 2, y - 2, x + 2, y + 2))
    column, row = (int(each) for each in (~grid.to_ground) @ (x, y))
    assert pixels[:, row, column].tolist() == PIXELS[:, 15, 25].tolist()
    assert grid.metres_per_pixel == pytest.approx(look(path)[0].metres_per_pixel, rel=1e-4)


def test_without_a_reference_system_the_ground_is_as_qgis_shows_it(make_raster):
    grid, warnings, _ = look(make_raster("a.tif", PIXELS, transform=Affine.identity(), crs=None))
    assert grid.to_ground == Affine(1, 0, 0, 0, -1, 0)
    assert grid.crs is None
    assert len(warnings) == 1
    assert "has no coordinate reference system; coordinates are pixels" in warnings[0]


def test_an_extent_without_a_reference_system_counts_in_what_qgis_shows(make_raster):
    path = make_raster("a.tif", PIXELS, transform=Affine.identity(), crs=None)
    grid, _, pixels = look(path, extent=(10, -20, 30, -5), extent_crs="EPSG:3857")
    assert grid.to_ground_points(np.array([[0, 0]])).tolist() == [[10, -5]]
    np.testing.assert_array_equal(pixels, PIXELS[:, 5:20, 10:30])


def test_a_world_file_without_reference_system_keeps_its_coordinates(make_raster):
    transform = Affine(2, 0, 1000, 0, -2, 500)
    grid, warnings, _ = look(make_raster("a.tif", PIXELS, transform=transform, crs=None))
    assert grid.to_ground == transform
    assert grid.metres_per_pixel is None
    assert "coordinates have no unit" in warnings[0]


def test_a_resolution_needs_a_reference_system(make_raster):
    path = make_raster("a.tif", PIXELS, transform=Affine.identity(), crs=None)
    assert "cannot be brought to 0.3 metres" in refusal(path, resolution=0.3)


def test_a_resolution_out_of_reach_is_refused(make_raster):
    assert "0.01 metres per pixel is far finer" in refusal(make_raster("a.tif", PIXELS), resolution=0.01)


def test_a_resolution_as_coarse_as_the_raster_leaves_one_pixel(make_raster):
    grid, _, pixels = look(make_raster("a.tif", PIXELS), resolution=100)
    assert (grid.width, grid.height) == (1, 1)
    np.testing.assert_allclose(pixels[:, 0, 0], PIXELS.mean(axis=(1, 2)), rtol=1e-3)


def test_no_pixel_is_larger_than_the_raster(make_raster):
    grid, _, _ = look(make_raster("a.tif", PIXELS), resolution=1e12)
    assert grid.bounds == (400_000, 5_799_980, 400_030, 5_800_000)


def write_with_points(path, pixels_and_ground):
    points = [GroundControlPoint(row, col, x, y) for (col, row), (x, y) in pixels_and_ground]
    with rasterio.open(
        path, "w", driver="GTiff", count=3, width=60, height=40, dtype="uint8", gcps=points, crs="EPSG:32633"
    ) as dataset:
        dataset.write(PIXELS)
    return str(path)


def test_ground_control_points_place_a_raster(tmp_path):
    truth = Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)
    corners = ((0, 0), (60, 0), (60, 40), (0, 40))
    path = write_with_points(tmp_path / "points.tif", [(corner, truth @ corner) for corner in corners])
    grid, warnings, _ = look(path)
    assert grid.to_ground.almost_equals(truth, 1e-6)
    assert grid.crs.to_epsg() == 32633
    assert len(warnings) == 1
    assert "4 ground control points" in warnings[0]


@pytest.mark.parametrize("ground", [[(0, 0), (5, 5), (9, 9)], [(0, 0), (5, 0), (5, 0)], [(0, 0), (5, 0)]])
def test_ground_control_points_in_a_line_place_nothing(tmp_path, ground):
    pixels = [(0, 0), (60, 0), (60, 40)]
    grid, warnings, _ = look(write_with_points(tmp_path / "points.tif", zip(pixels, ground, strict=False)))
    assert grid.crs is None
    assert "no coordinate reference system" in warnings[0]


def test_polynomial_coefficients_are_told_as_not_used(tmp_path):
    first, second = [0.0, 1.0] + [0.0] * 18, [1.0] + [0.0] * 19
    rpcs = RPC(0, 100, 0.0, 1.0, first, second, 20, 20, 10.0, 1.0, first, second, 30, 30)
    with rasterio.open(
        tmp_path / "scene.tif", "w", driver="GTiff", count=3, width=60, height=40, dtype="uint8", rpcs=rpcs
    ) as dataset:
        dataset.write(PIXELS)
    grid, warnings, _ = look(str(tmp_path / "scene.tif"))
    assert grid.to_ground == Affine(1, 0, 0, 0, -1, 0)
    assert "coordinates are pixels" in warnings[0]
    assert "coefficients (RPC), which are not used; warp it by them first (gdalwarp -rpc)" in warnings[1]


@pytest.mark.parametrize(
    ("transform", "crs", "words"),
    [
        (Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000), "EPSG:4326", "its middle lies at a latitude of 5799990"),
        (Affine(1e-6, 0, 10, 0, -1e-6, 90.00002), "EPSG:4326", "its middle lies at a latitude of 90"),
        (Affine(0, 0, 400_000, 0, 0, 5_800_000), "EPSG:32633", "its pixels have no area"),
        (Affine(1, 0, 400_000, 0, -1, 5_800_000), "EPSG:4978", "measures from the middle of the Earth"),
        (Affine(1, 1, 400_000, 1, 1, 5_800_000), "EPSG:32633", "its pixels have no area"),
    ],
)
def test_a_georeference_that_cannot_be_is_refused(make_raster, transform, crs, words):
    text = refusal(make_raster("a.tif", PIXELS, transform=transform, crs=crs))
    assert words in text
    assert text.endswith("assign the right one.")
