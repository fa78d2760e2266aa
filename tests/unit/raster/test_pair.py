# SPDX-License-Identifier: GPL-2.0-or-later
"""Two rasters on the grid of the first."""

from contextlib import contextmanager
from dataclasses import replace
from math import ceil

import numpy as np
import pyproj
import pytest
from affine import Affine

from model_runner.errors import InputError
from model_runner.raster.colour_matching import ColourMatch
from model_runner.raster.pair import pair_on_first_grid
from model_runner.raster.source import RasterSource, open_source
from model_runner.raster.tiling import plan_tiles

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
WIDTH, HEIGHT = 120, 100
GROUND = Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)
TENTH_OF_A_PIXEL = 1.6  # by which the pattern changes at most, on a tenth of the earlier raster's pixels


def pattern(x, y):
    """Bands (3, …) of waves, twenty metres long, at metres in UTM zone 33."""
    phase = 2 * np.pi / 20
    return 128 + 100 * np.stack([np.sin(phase * x), np.cos(phase * y), np.sin(phase * (x + y) / 2)])


def seen(transform, width=WIDTH, height=HEIGHT, crs="EPSG:32633"):
    """The pattern in pixels (3, height, width) of any raster."""
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = transform @ (columns, rows)
    return np.round(pattern(*pyproj.Transformer.from_crs(crs, "EPSG:32633", always_xy=True).transform(x, y)))


def covering(crs, pixel):
    """A grid of square pixels in a reference system, and its size, around the earlier raster and a bit more."""
    bounds = (GROUND.c - 7, GROUND.f - 57, GROUND.c + 67, GROUND.f + 7)
    to_crs = pyproj.Transformer.from_crs("EPSG:32633", crs, always_xy=True)
    left, bottom, right, top = to_crs.transform_bounds(*bounds)
    transform = Affine(pixel, 0, left, 0, -pixel, top)
    return transform, ceil((right - left) / pixel), ceil((top - bottom) / pixel)


TURNED = Affine.translation(400_030, 5_800_020) @ Affine.rotation(-40)  # its corner lies north of the earlier raster


@contextmanager
def opened(before, after, **options):
    with (
        open_source(after, band_count=3) as later,
        open_source(before, band_count=3, within=later.native, **options) as earlier,
    ):
        yield pair_on_first_grid(earlier, later)


def read_whole(pair):
    side = max(pair.grid.width, pair.grid.height)
    found = pair.read(plan_tiles(pair.grid.width, pair.grid.height, side, 0)[0])
    window = slice(0, pair.grid.height), slice(0, pair.grid.width)
    return found.before.pixels[(..., *window)], found.after.pixels[(..., *window)], found.valid[window]


@pytest.fixture
def before(make_raster):
    return make_raster("before.tif", seen(GROUND).astype(np.uint8), transform=GROUND)


@pytest.fixture
def make_after(make_raster):
    def make(transform, width, height, crs="EPSG:32633", **options):
        pixels = seen(transform, width, height, crs).astype(np.uint8)
        return make_raster("after.tif", pixels, transform=transform, crs=crs, **options)

    return make


@pytest.mark.parametrize(
    ("crs", "pixel"),
    [
        ("EPSG:32633", 0.5),
        ("EPSG:32633", 0.7),
        ("EPSG:32633", 0.13),
        ("EPSG:32634", 0.5),
        ("EPSG:3857", 0.8),
        ("EPSG:3857", 0.3),
        ("EPSG:4326", 5e-6),
        ("EPSG:4326", 1.5e-6),
    ],
)
def test_the_later_raster_lies_where_it_belongs(before, make_after, crs, pixel):
    with opened(before, make_after(*covering(crs, pixel), crs)) as pair:
        earlier, later, valid = read_whole(pair)
    assert valid.shape == (HEIGHT, WIDTH)
    assert valid.all()
    np.testing.assert_allclose(later, earlier, atol=TENTH_OF_A_PIXEL)


@pytest.mark.parametrize("pixel", [0.5, 0.15])
def test_a_turned_raster_lies_where_it_belongs(before, make_after, pixel):
    with opened(before, make_after(TURNED @ Affine.scale(pixel, -pixel), int(60 / pixel), int(60 / pixel))) as pair:
        earlier, later, valid = read_whole(pair)
    assert 0.3 < valid.mean() < 0.99
    assert not later[:, ~valid].any()
    inside = valid.copy()
    for axis in (0, 1):
        inside &= np.roll(valid, 1, axis) & np.roll(valid, -1, axis)  # on the border there is less to interpolate
    assert np.abs(later - earlier.astype(float))[:, inside].max() < TENTH_OF_A_PIXEL


def test_tiles_agree_with_the_whole(before, make_after):
    with opened(before, make_after(*covering("EPSG:3857", 0.3), "EPSG:3857")) as pair:
        whole = read_whole(pair)
        for tile in plan_tiles(WIDTH, HEIGHT, 50, 7):
            found = pair.read(tile)
            window = slice(tile.y, tile.y + 50), slice(tile.x, tile.x + 50)
            np.testing.assert_allclose(found.after.pixels, whole[1][(..., *window)], atol=1e-3)
            np.testing.assert_array_equal(found.valid, whole[2][window])
            assert pair.has_data(tile)


def test_a_raster_on_the_same_grid_is_read_as_it_is(before, make_after):
    after = make_after(GROUND @ Affine.translation(-30, 20), WIDTH + 50, HEIGHT)
    with opened(before, after) as pair:
        assert (pair.grid.width, pair.grid.height) == (WIDTH, HEIGHT - 20)
        assert pair.grid.to_ground == GROUND @ Affine.translation(0, 20)
        earlier, later, _ = read_whole(pair)
    assert later.dtype == np.uint8
    np.testing.assert_array_equal(later, earlier)


def test_only_what_both_have_is_looked_at(before, make_after):
    transform = Affine(1e-5, 0, 0, 0, -1e-5, 0)
    to_degrees = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    transform = Affine.translation(*to_degrees.transform(400_040, 5_799_980)) @ transform
    with opened(before, make_after(transform, 300, 300, "EPSG:4326")) as pair:
        left, _, right, top = pair.grid.bounds
        assert (left, right, top) == pytest.approx((400_040, 400_060, 5_799_980), abs=1.5)
        _, _, valid = read_whole(pair)
    assert valid.mean() > 0.9


def test_a_pair_on_coarser_pixels_knows_its_own_ones(before, make_after, monkeypatch):
    monkeypatch.setattr("model_runner.raster.pair.PIXELS_AT_ONCE", 300)  # two rows or three
    after = make_after(TURNED @ Affine.scale(0.3, -0.3), 200, 200, nodata=128)
    extent = (400_004, 5_799_960, 400_055, 5_799_998)
    with opened(before, after, extent=extent) as native, opened(before, after, extent=extent, resolution=1.3) as pair:
        own = pair.on_own_pixels()
        assert own.grid == native.grid
        assert own.on_own_pixels() is own
        _, _, expected = read_whole(native)
        assert 0.1 < expected.mean() < 0.99
        np.testing.assert_array_equal(own.read_valid(0, 0, own.grid.width, own.grid.height), expected)
        np.testing.assert_array_equal(own.read_valid(30, 11, 20, 9), expected[11:20, 30:50])


def test_nodata_of_either_date_hides_a_pixel(make_raster):
    pixels = seen(GROUND).astype(np.uint8).clip(1)
    first, second = pixels.copy(), pixels.copy()
    first[:, :10], second[:, :, :20] = 0, 0
    before, after = make_raster("b.tif", first, nodata=0), make_raster("a.tif", second, nodata=0)
    with opened(before, after) as pair:
        earlier, later, valid = read_whole(pair)
    assert not valid[:10].any()
    assert not valid[:, :20].any()
    assert valid[10:, 20:].all()
    assert not earlier[:, ~valid].any()
    assert not later[:, ~valid].any()


@pytest.mark.parametrize(("crs", "pixel"), [("EPSG:32633", 0.7), ("EPSG:3857", 0.3)])
def test_a_part_is_the_crop_of_the_whole(before, make_after, crs, pixel):
    after = make_after(*covering(crs, pixel), crs)
    with opened(before, after) as pair:
        whole = read_whole(pair)
    left, top = GROUND @ (20, 30)
    with opened(before, after, extent=(left, top - 20, left + 25, top)) as pair:
        part = read_whole(pair)
    for each, crop in zip(part, whole, strict=True):
        np.testing.assert_allclose(each, crop[..., 30:70, 20:70], atol=1e-2)


def test_coarser_working_pixels_are_averages_at_both_dates(before, make_after):
    with opened(before, make_after(*covering("EPSG:3857", 0.3), "EPSG:3857"), resolution=2) as pair:
        earlier, later, valid = read_whole(pair)
    assert valid.all()
    assert valid.shape == (25, 30)
    np.testing.assert_allclose(later, earlier, atol=4 * TENTH_OF_A_PIXEL)


def test_finer_working_pixels_may_reach_beyond_the_later_raster(before, make_after):
    with open_source(before, band_count=3) as source:
        half = source.grid.metres_per_pixel / 2
    with opened(before, make_after(GROUND @ Affine.scale(0.5), 201, 200), resolution=half) as pair:
        earlier, later, valid = read_whole(pair)
    assert valid.shape == (200, 202)
    assert valid[:, :201].all()
    assert not valid[:, 201].any()
    np.testing.assert_allclose(later[:, :, 1:200], earlier[:, :, 1:200], atol=2 * TENTH_OF_A_PIXEL)


def test_longitudes_may_be_counted_from_other_meridians(make_raster):
    pixels = seen(GROUND).astype(np.uint8)
    rasters = [
        make_raster(f"{west}.tif", pixels, crs="EPSG:4326", transform=Affine(1e-5, 0, west, 0, -1e-5, 50))
        for west in (-10, 350)
    ]
    with opened(*rasters) as pair:
        earlier, later, _ = read_whole(pair)
    assert earlier.shape == pixels.shape
    np.testing.assert_allclose(later, earlier, atol=0.1)


def test_rasters_without_reference_system_are_laid_on_each_other_pixel_by_pixel(make_raster):
    pixels = seen(GROUND).astype(np.uint8)
    before = make_raster("b.tif", pixels, crs=None, transform=Affine.identity())
    after = make_raster("a.tif", 255 - pixels, crs=None, transform=GROUND)
    with opened(before, after, extent=(10, -50, 40, -20)) as pair:
        earlier, later, valid = read_whole(pair)
    assert valid.shape == (30, 30)
    np.testing.assert_array_equal(earlier, 255 - later)


def refusal(before, after, **options):
    with pytest.raises(InputError) as error, opened(before, after, **options):
        pass
    assert "\n" not in str(error.value)
    return str(error.value)


def test_rasters_of_different_places_are_refused_with_both_extents(before, make_after):
    message = refusal(before, make_after(Affine(1e-5, 0, 8, 0, -1e-5, 47), 50, 50, "EPSG:4326"))
    assert "400000,5799950,400060,5800000 in EPSG:32633" in message
    assert "8,46.9995,8.0005,47 in EPSG:4326" in message


def test_an_extent_that_the_other_raster_does_not_have_is_refused(before, make_after):
    after = make_after(GROUND, 40, HEIGHT)
    assert "no ground in common" in refusal(before, after, extent=(400_030, 5_799_960, 400_060, 5_800_000))


def test_one_raster_without_reference_system_is_refused(before, make_raster):
    other = make_raster("a.tif", seen(GROUND).astype(np.uint8), crs=None)
    for pair, culprit in (((before, other), other), ((other, before), other)):
        assert refusal(*pair).startswith(f"{culprit} has no coordinate reference system")


def test_a_raster_of_a_system_without_place_on_earth_is_refused(before, make_raster):
    local = 'LOCAL_CS["site",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    after = make_raster("a.tif", seen(GROUND).astype(np.uint8), crs=local)
    assert "no way from EPSG:32633 to site" in refusal(before, after)


def test_rasters_without_reference_system_of_different_sizes_are_refused(make_raster):
    first, second = (make_raster(f"{n}.tif", np.ones((3, n, 40), np.uint8), crs=None) for n in (30, 40))
    assert "40 x 30 and 40 x 40 pixels" in refusal(first, second)


def test_colours_are_matched_while_reading(before, make_after):
    with opened(before, make_after(GROUND, WIDTH, HEIGHT)) as pair:
        assert isinstance(pair.after, RasterSource)
        earlier, later, _ = read_whole(replace(pair, match=ColourMatch((0.5,) * 3, (10.0,) * 3)))
    np.testing.assert_allclose(later, earlier / 2 + 10)
