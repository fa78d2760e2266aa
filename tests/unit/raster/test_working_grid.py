# SPDX-License-Identifier: GPL-2.0-or-later
from math import cos, pi, radians, sin, sqrt

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from model_runner.raster.working_grid import WorkingGrid

EQUATOR, FLATTENING = 6378137.0, 1 / 298.257223563


def metres_per_degree(latitude):
    """Textbook lengths of a degree of longitude and latitude on WGS 84."""
    e2 = FLATTENING * (2 - FLATTENING)
    w = sqrt(1 - e2 * sin(radians(latitude)) ** 2)
    return pi / 180 * EQUATOR * cos(radians(latitude)) / w, pi / 180 * EQUATOR * (1 - e2) / w**3


def grid(epsg, transform, width=100, height=100):
    return WorkingGrid(width, height, transform, CRS.from_epsg(epsg))


@settings(max_examples=30)
@given(st.floats(-85, 85), st.floats(-179, 179), st.sampled_from([1e-6, 1e-5, 1e-3]))
def test_degrees_become_true_metres(latitude, longitude, degrees):
    centred = Affine(degrees, 0, longitude - 50 * degrees, 0, -degrees, latitude + 50 * degrees)
    along_longitude, along_latitude = metres_per_degree(latitude)
    across, down = grid(4326, centred).metres_along_axes_at(50, 50)
    assert across == pytest.approx(degrees * along_longitude, rel=1e-5)
    assert down == pytest.approx(degrees * along_latitude, rel=1e-5)
    assert grid(4326, centred).metres_per_pixel == pytest.approx(sqrt(across * down))


@settings(max_examples=30)
@given(st.floats(-80, 80))
def test_web_mercator_is_corrected_for_latitude(latitude):
    northing = EQUATOR * np.arctanh(sin(radians(latitude)))
    along_longitude, _ = metres_per_degree(latitude)
    across, _ = grid(3857, Affine(1, 0, 0, 0, -1, northing + 50)).metres_along_axes_at(50, 50)
    assert across == pytest.approx(along_longitude / (pi / 180 * EQUATOR), rel=1e-5)


def test_utm_is_stretched_back_on_its_central_meridian():
    assert grid(32633, Affine(0.5, 0, 5e5 - 25, 0, -0.5, 5.8e6)).metres_per_pixel == pytest.approx(0.5 / 0.9996, 1e-6)


def test_feet_are_no_metres():
    new_york = grid(2263, Affine(1, 0, 980_000, 0, -1, 200_000))
    assert new_york.metres_per_pixel == pytest.approx(0.3048, rel=1e-4)


def test_grads_are_no_degrees():
    paris = grid(27572, Affine(1, 0, 600_000, 0, -1, 2_200_000))
    assert paris.metres_per_pixel == pytest.approx(1, rel=2e-3)


@settings(max_examples=30)
@given(st.floats(0, 2 * pi), st.floats(0.1, 3), st.floats(0.1, 3), st.floats(-0.5, 0.5))
def test_rotation_and_shear_are_measured_along_the_axes(angle, across, down, shear):
    turned = (
        Affine.translation(5e5, 5.8e6)
        @ Affine.rotation(np.degrees(angle))
        @ Affine(1, shear, 0, 0, 1, 0)
        @ Affine.scale(across, -down)
    )
    measured = grid(32633, turned).metres_along_axes_at(0, 0)
    assert measured == pytest.approx((across / 0.9996, down * sqrt(1 + shear**2) / 0.9996), rel=1e-5)


def test_a_rotated_pole_is_not_true_north():
    rotated = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +R=6371229"
    europe = WorkingGrid(100, 100, Affine(0.01, 0, 20, 0, -0.01, 0), CRS.from_string(rotated))
    lengths, directions = europe.measure_lines([[50, 50]], [[50, 40]])
    assert lengths[0] == pytest.approx(0.1 * pi / 180 * 6371229, rel=1e-5)
    assert 10 < abs(directions[0]) < 40


def test_resolution_depends_on_the_place():
    world = grid(4326, Affine(0.1, 0, 0, 0, -0.1, 10))
    assert world.metres_per_pixel_at(50, 100) > world.metres_per_pixel_at(50, 0)


def test_ground_points_follow_the_affine_map_exactly():
    transform = Affine(0.3, 0.2, 400_000.5, -0.1, -0.4, 5_800_000.25)
    points = np.array([[0, 0], [10.5, 3.25], [-1, 7]])
    expected = [transform @ tuple(point) for point in points]
    np.testing.assert_allclose(grid(32633, transform).to_ground_points(points), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("unit", "metres"), [('"metre",1', 1.0), ('"foot",0.3048', 0.3048)])
def test_a_local_system_is_measured_in_the_plane(unit, metres):
    local = WorkingGrid(10, 10, Affine(2, 0, 0, 0, -2, 0), CRS.from_wkt(f'LOCAL_CS["site",UNIT[{unit}]]'))
    assert local.metres_per_pixel == pytest.approx(2 * metres)
    lengths, directions = local.measure_lines([[0, 0]], [[3, 0]])
    assert (lengths[0], directions[0]) == pytest.approx((6 * metres, 90))
    assert local.measure_areas([[[0, 0], [3, 0], [3, 2], [0, 2]]]) == pytest.approx(24 * metres**2)


def test_without_a_reference_system_everything_is_pixels():
    plain = WorkingGrid(10, 10, Affine(1, 0, 0, 0, -1, 0), None)
    assert plain.metres_per_pixel is None
    assert plain.metres_per_pixel_at(1, 1) is None
    assert plain.reference_system is None
    np.testing.assert_array_equal(plain.to_ground_points(np.array([[2, 3]])), [[2, -3]])
    lengths, directions = plain.measure_lines([[0, 0], [0, 0]], [[0, -4], [3, 0]])
    np.testing.assert_allclose(lengths, [4, 3])
    np.testing.assert_allclose(directions, [0, 90])


def test_pixels_of_a_world_file_without_reference_system_stay_pixels():
    lengths, _ = WorkingGrid(10, 10, Affine(5, 0, 0, 0, -5, 0), None).measure_lines([[0, 0]], [[3, 4]])
    assert lengths[0] == pytest.approx(5)


def test_beyond_the_edge_of_the_earth_the_plane_serves():
    disc = CRS.from_proj4("+proj=geos +h=35785831 +sweep=y")
    assert WorkingGrid(10, 10, Affine(1000, 0, -6e6, 0, -1000, 6e6), disc).metres_per_pixel == pytest.approx(1000)


def test_areas_across_the_date_line_and_around_the_equator_are_small():
    strip = grid(4326, Affine(1e-4, 0, 179.995, 0, -1e-4, 0.005))
    along_longitude, along_latitude = metres_per_degree(0)
    square = [[[40, 40], [60, 40], [60, 60], [40, 60]]]
    assert strip.measure_areas(square) == pytest.approx(4e-6 * along_longitude * along_latitude, rel=1e-5)


def test_what_lies_off_the_earth_leaves_the_other_measures_alone():
    disc = CRS.from_proj4("+proj=geos +h=35785831 +sweep=y")
    full = WorkingGrid(512, 512, Affine(21_000, 0, -5_376_000, 0, -21_000, 5_376_000), disc)
    starts = np.array([[256.0, 256], [100, 256], [2, 2]])
    ends = starts + np.array([10, 0])
    lengths, directions = full.measure_lines(starts, ends)
    for number in range(3):
        alone = full.measure_lines(starts[number, None], ends[number, None])
        np.testing.assert_allclose((lengths[number], directions[number]), np.concatenate(alone))
    assert lengths[2] == pytest.approx(210_000)  # in the plane
    assert lengths[1] > 1.2 * lengths[0]  # nearer to the limb a pixel covers more ground
    squares = np.array([[[x, y], [x + 9, y], [x + 9, y + 9], [x, y + 9]] for x, y in starts])
    areas = full.measure_areas(squares)
    np.testing.assert_allclose(areas, np.concatenate([full.measure_areas(each[None]) for each in squares]))
    np.testing.assert_allclose(areas, full.measure_polygons(shapely.polygons(squares)), rtol=1e-3)


@pytest.mark.parametrize(("latitude", "sides"), [(0, None), (60, (55.8, 111.4))])
def test_pixels_that_are_no_squares_on_the_ground_are_known(latitude, sides):
    found = grid(4326, Affine(1e-3, 0, 10, 0, -1e-3, latitude + 0.05)).oblong_sides
    assert found == (sides and pytest.approx(sides, rel=2e-3))
