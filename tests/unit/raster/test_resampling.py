# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.raster import source as source_module
from model_runner.raster.resampling import AxisScale
from model_runner.raster.source import open_source
from model_runner.raster.tiling import plan_tiles

TRUE_METRE = Affine(0.9996, 0, 5e5 - 50, 0, -0.9996, 5.8e6)  # a metre on the ground, on the central meridian


def noise(height, width, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (3, height, width)).astype(dtype)


def read_whole(path, **options):
    with open_source(path, band_count=3, **options) as source:
        side = max(source.grid.width, source.grid.height)
        found = source.read(plan_tiles(source.grid.width, source.grid.height, side, 0)[0])
        return source.grid, found.pixels[:, : source.grid.height, : source.grid.width], found.valid


@settings(max_examples=60)
@given(st.floats(0.05, 40), st.floats(0, 50), st.integers(0, 30), st.integers(1, 30))
def test_weights_sum_to_one_and_do_not_depend_on_the_tile(scale, offset, start, count):
    axis = AxisScale(offset, scale, length=int(offset + 60 * scale) + 2)
    weights, whole = axis.weigh(start, count), axis.weigh(0, 60)
    np.testing.assert_allclose(weights.weights.sum(axis=1), 1, rtol=1e-5)
    assert (weights.weights >= -1e-6).all()
    np.testing.assert_array_equal(weights.indices, whole.indices[start : start + count])
    np.testing.assert_array_equal(weights.weights, whole.weights[start : start + count])
    centre = offset + (np.arange(start, start + count) + 0.5) * scale
    inside = (centre > max(1, scale)) & (centre < axis.length - max(1, scale))  # at the borders pixels are missing
    np.testing.assert_allclose(
        (weights.weights * (weights.indices + 0.5)).sum(axis=1)[inside], centre[inside], atol=0.51 * max(1, scale) / 2
    )


def test_coarser_pixels_are_the_mean_of_their_area(make_raster):
    pixels = noise(60, 90)
    grid, found, valid = read_whole(make_raster("a.tif", pixels, transform=TRUE_METRE), resolution=3)
    assert (grid.width, grid.height) == (30, 20)
    assert grid.metres_per_pixel == pytest.approx(3, rel=1e-4)
    expected = pixels.reshape(3, 20, 3, 30, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(found[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=0.5)
    assert valid[:20].all()


def test_a_slope_stays_in_place_at_every_resolution(make_raster):
    slope = np.broadcast_to(np.arange(100, dtype=np.uint8) * 2, (3, 100, 100))
    path = make_raster("a.tif", slope, transform=TRUE_METRE)
    for resolution in (0.3, 0.7, 1.3, 2.0, 4.7):
        grid, found, _ = read_whole(path, resolution=resolution)
        columns = (np.arange(grid.width) + 0.5) * grid.to_ground.a / TRUE_METRE.a - 0.5
        inside = (columns > resolution) & (columns < 99 - resolution)
        np.testing.assert_allclose(found[0, 5, inside], columns[inside] * 2, atol=0.26)  # an eighth of a pixel


@settings(max_examples=12)
@given(resolution=st.floats(0.3, 6), tile_size=st.integers(20, 70), overlap=st.integers(1, 19))
def test_tiles_agree_on_their_common_pixels_to_the_last_bit(shared_raster, resolution, tile_size, overlap):
    with open_source(shared_raster, band_count=3, resolution=resolution) as source:
        width, height = source.grid.width, source.grid.height
        side = max(width, height)
        whole = source.read(plan_tiles(width, height, side, 0)[0])
        for tile in plan_tiles(width, height, tile_size, overlap)[:40]:
            found = source.read(tile)
            rows = slice(tile.y, min(tile.y + tile_size, height))
            columns = slice(tile.x, min(tile.x + tile_size, width))
            inside = (slice(rows.stop - rows.start), slice(columns.stop - columns.start))
            np.testing.assert_array_equal(found.pixels[(slice(None), *inside)], whole.pixels[:, rows, columns])
            np.testing.assert_array_equal(found.valid[inside], whole.valid[rows, columns])


@pytest.fixture(scope="module")
def shared_raster(tmp_path_factory):
    """A rotated 16 bit raster of true metres with a hole and overviews."""
    import rasterio

    path = str(tmp_path_factory.mktemp("shared") / "rotated.tif")
    pixels = noise(150, 170, np.uint16) * 30 + 1
    pixels[:, 50:90, 60:75] = 0
    transform = Affine.translation(5e5, 5.8e6) @ Affine.rotation(30) @ Affine.scale(0.9996, -0.9996)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, width=170, height=150, dtype="uint16", crs="EPSG:32633",
        transform=transform, nodata=0,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        dataset.build_overviews([2], rasterio.enums.Resampling.average)
    return path


def test_the_memory_bound_changes_nothing(shared_raster, monkeypatch):
    _, at_once, _ = read_whole(shared_raster, resolution=2.3)
    monkeypatch.setattr(source_module, "SOURCE_PIXELS_AT_ONCE", 900)
    _, in_strips, _ = read_whole(shared_raster, resolution=2.3)
    np.testing.assert_array_equal(at_once, in_strips)


def test_what_has_no_data_does_not_darken_its_neighbours(make_raster):
    pixels = np.full((3, 60, 60), 200, np.uint8)
    pixels[:, :, :25] = 0
    _, found, valid = read_whole(make_raster("a.tif", pixels, transform=TRUE_METRE, nodata=0), resolution=3)
    np.testing.assert_allclose(found[:, valid], 200, atol=0.01)
    assert not valid[:, :8].any()
    assert valid[:, 9:].all()
    assert not found[:, ~valid].any()


def test_pixels_become_square_on_the_ground(make_raster):
    degrees = Affine(1e-5, 0, 10, 0, -1e-5, 60)
    grid, _, _ = read_whole(make_raster("a.tif", noise(40, 80), transform=degrees, crs="EPSG:4326"), resolution=2)
    assert grid.metres_along_axes_at(grid.width / 2, grid.height / 2) == pytest.approx((2, 2), rel=1e-4)
    assert grid.width == round(80 * 0.558 / 2)
    assert grid.height == round(40 * 1.114 / 2)


def test_a_resolution_that_the_raster_has_leaves_its_pixels_alone(make_raster):
    pixels = noise(40, 80)
    grid, found, _ = read_whole(make_raster("a.tif", pixels), resolution=0.5)
    assert grid.to_ground.a == 0.5
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("hidden_by", ["alpha", "mask", "nodata"])
def test_overviews_are_used_and_agree_with_the_full_raster(make_raster, hidden_by):
    pixels = np.kron(noise(20, 20) // 2 + 100, np.ones((1, 16, 16))).astype(np.uint8)
    hidden = np.full((320, 320), 255, np.uint8)
    hidden[:, 160:] = 0
    options = {"nodata": 0} if hidden_by == "nodata" else {hidden_by: hidden}
    if hidden_by == "nodata":
        pixels[:, :, 160:] = 0
    plain = make_raster("plain.tif", pixels, transform=TRUE_METRE, **options)
    with_overviews = make_raster("overviews.tif", pixels, transform=TRUE_METRE, overviews=[2, 4, 8], **options)
    with open_source(with_overviews, band_count=3, resolution=9) as source:
        assert source._placement.overview == 1
    _, expected, expected_valid = read_whole(plain, resolution=9)
    _, found, valid = read_whole(with_overviews, resolution=9)
    np.testing.assert_array_equal(valid, expected_valid)
    np.testing.assert_allclose(found, expected, atol=1.5)
