# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixels, their validity and their scale."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine

from model_runner.errors import UnreadableRaster
from model_runner.raster.source import open_source
from model_runner.raster.tiling import plan_tiles


def noise(bands, height, width, dtype=np.uint8, high=255, seed=0):
    return np.random.default_rng(seed).integers(1, high, (bands, height, width)).astype(dtype)


def read_whole(path, **options):
    """The whole raster as one tile of 64 pixels or, if it is larger, of its own size."""
    with open_source(path, **{"band_count": 3, **options}) as source:
        side = max(64, source.grid.width, source.grid.height)
        (tile,) = plan_tiles(source.grid.width, source.grid.height, side, 0)
        found = source.read(tile)
        assert source.has_data(tile) or not found.valid.any()
    return found


def test_8_bit_pixels_come_as_they_are(make_raster):
    pixels = noise(3, 64, 64)
    found = read_whole(make_raster("a.tif", pixels))
    assert found.pixels.dtype == np.uint8
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.valid.all()


def test_tiles_are_windows_of_the_raster_padded_to_their_size(make_raster):
    pixels = noise(3, 70, 45)
    with open_source(make_raster("a.tif", pixels), band_count=3) as source:
        for tile in plan_tiles(45, 70, 50, 10):
            found = source.read(tile)
            assert found.pixels.shape == (3, 50, 50)
            np.testing.assert_array_equal(found.pixels[:, :, :45], pixels[:, tile.y : tile.y + 50])
            assert found.valid[:, :45].all()
            assert not found.valid[:, 45:].any()
            assert not found.pixels[:, :, 45:].any()


def test_bands_of_several_types_are_read_together(make_raster, tmp_path):
    pixels = noise(3, 64, 64)
    make_raster("a.tif", pixels)
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{number}"><SimpleSource><SourceFilename relativeToVRT="1">a.tif'
        f"</SourceFilename><SourceBand>{number}</SourceBand></SimpleSource></VRTRasterBand>"
        for number, kind in enumerate(("Byte", "UInt16", "Float32"), start=1)
    )
    (tmp_path / "a.vrt").write_text(f'<VRTDataset rasterXSize="64" rasterYSize="64">{bands}</VRTDataset>')
    found = read_whole(str(tmp_path / "a.vrt"), limits=((0, 255), (0, 255), (0, 510)))
    np.testing.assert_allclose(found.pixels, pixels * [[[1]], [[1]], [[0.5]]], atol=1e-4)


def test_nodata_hides_a_pixel_only_where_all_bands_have_it(make_raster):
    pixels = noise(3, 64, 64)
    pixels[:, :8, :8] = 0
    pixels[1, 40, 40] = 0
    valid = read_whole(make_raster("a.tif", pixels, nodata=0)).valid
    assert not valid[:8, :8].any()
    assert valid.sum() == 64 * 64 - 64


def test_a_nodata_value_that_nothing_measures_hides_a_pixel_in_any_band(make_raster):
    pixels = noise(3, 64, 64, np.int16, 3000)
    pixels[2, :, :6] = -9999
    path = make_raster("a.tif", pixels, nodata=-9999)
    valid = read_whole(path).valid
    assert (valid[:, :6].sum(), valid[:, 6:].all()) == (0, True)
    with open_source(path, band_count=3) as source:
        assert min(source.record()["stretch"]["low"]) >= 1
    assert read_whole(path, bands=(1, 2, 1)).valid.all()


def test_an_overview_without_the_mask_of_the_raster_is_not_read(make_raster):
    mask = np.full((512, 512), 255, np.uint8)
    mask[:, :256] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = make_raster("a.tif", noise(3, 512, 512), mask=mask)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    valid = read_whole(path, resolution=4).valid
    np.testing.assert_array_equal(valid, mask[::8, ::8] > 0)


def test_an_alpha_band_hides_pixels_and_is_no_colour(make_raster):
    pixels, alpha = noise(3, 64, 64), np.full((64, 64), 255)
    alpha[:5] = 0
    found = read_whole(make_raster("a.tif", pixels, alpha=alpha))
    assert not found.valid[:5].any()
    assert found.valid[5:].all()
    np.testing.assert_array_equal(found.pixels[:, 5:], pixels[:, 5:])
    assert not found.pixels[:, :5].any()


@pytest.mark.parametrize(
    ("count", "dtype", "nodata"),
    [(3, np.uint8, 0), (3, np.uint8, 255), (4, np.uint8, None), (5, np.uint16, None), (3, np.float32, None),
     (3, np.int16, -999)],
)  # fmt: skip
def test_an_alpha_band_that_gdal_leaves_out_of_its_masks_hides_pixels(make_raster, count, dtype, nodata):
    pixels, alpha = noise(count, 512, 512, dtype), np.full((512, 512), 200)
    pixels[pixels == nodata] += 1
    alpha[:, :192] = 0
    pixels[:, :, :192] = 7
    path = make_raster("a.tif", pixels, alpha=alpha, nodata=nodata, overviews=(2, 4))
    for resolution, step in ((None, 1), (4, 8)):
        found = read_whole(path, resolution=resolution)
        np.testing.assert_array_equal(found.valid, alpha[::step, ::step] > 0)
        assert not found.pixels[:, ~found.valid].any()
    with open_source(path, band_count=3) as source:
        left, right = plan_tiles(512, 512, 96, 0)[0], plan_tiles(512, 512, 512, 0)[0]
        assert (source.has_data(left), source.has_data(right)) == (False, True)


def test_an_opacity_that_is_chosen_as_a_band_hides_nothing(make_raster):
    alpha = np.full((64, 64), 200)
    alpha[:5] = 0
    assert read_whole(make_raster("a.tif", noise(3, 64, 64, np.uint16), alpha=alpha), bands=(4, 2, 3)).valid.all()


def test_the_mask_of_a_dataset_hides_pixels(make_raster):
    mask = np.full((64, 64), 255, np.uint8)
    mask[10:20] = 0
    valid = read_whole(make_raster("a.tif", noise(3, 64, 64), mask=mask)).valid
    np.testing.assert_array_equal(valid, mask > 0)


def test_what_is_no_number_in_any_band_is_hidden(make_raster):
    pixels = noise(3, 64, 64, np.float32)
    pixels[0, 3, 4], pixels[1, 5, 6], pixels[2, 7, 8] = np.nan, np.inf, -np.inf
    found = read_whole(make_raster("a.tif", pixels))
    assert sorted(np.argwhere(~found.valid).tolist()) == [[3, 4], [5, 6], [7, 8]]
    assert np.isfinite(found.pixels).all()


def test_16_bit_is_stretched_from_percentiles_alike_in_all_tiles(make_raster):
    pixels = noise(3, 300, 300, np.uint16, 5000)
    pixels[:, :, 150:] += 20_000
    path = make_raster("a.tif", pixels)
    low, high = np.percentile(pixels.reshape(3, -1), (2, 98), axis=1)
    expected = np.clip((pixels - low[:, None, None]) / (high - low)[:, None, None] * 255, 0, 255)
    with open_source(path, band_count=3) as source:
        for tile in plan_tiles(300, 300, 100, 0):
            found = source.read(tile)
            window = expected[:, tile.y : tile.y + 100, tile.x : tile.x + 100]
            np.testing.assert_allclose(found.pixels, window, atol=0.01)
            assert found.pixels.dtype == np.float32
        assert source.record()["stretch"] == {"low": low.tolist(), "high": high.tolist()}


def test_an_extent_is_stretched_like_the_whole(make_raster):
    pixels = np.arange(3 * 64 * 64, dtype=np.uint16).reshape(3, 64, 64)
    path = make_raster("a.tif", pixels, transform=Affine(1, 0, 400_000, 0, -1, 5_800_000))
    part = read_whole(path, extent=(400_000, 5_800_000 - 16, 400_016, 5_800_000))
    np.testing.assert_array_equal(part.pixels[:, :16, :16], read_whole(path).pixels[:, :16, :16])


def test_the_percentiles_are_those_asked_for_and_leave_out_what_has_no_data(make_raster):
    pixels = noise(1, 64, 64, np.int32, 1000)
    pixels[0, :30] = -2_000_000_000
    with open_source(make_raster("a.tif", pixels, nodata=-2_000_000_000), band_count=1, percentiles=(0, 100)) as source:
        assert source.record()["stretch"] == {"low": [pixels[0, 30:].min()], "high": [pixels[0, 30:].max()]}


def test_constant_bands_survive(make_raster):
    found = read_whole(make_raster("a.tif", np.full((3, 64, 64), 7.5, np.float32)))
    assert found.valid.all()
    assert np.isfinite(found.pixels).all()


def test_a_band_that_is_nearly_constant_keeps_its_few_differences(make_raster):
    pixels = np.full((3, 64, 64), 100, np.uint16)
    pixels[:, 10, 10] = 200
    found = read_whole(make_raster("a.tif", pixels))
    assert (found.pixels[:, 10, 10] == 255).all()
    assert found.pixels.sum() == 3 * 255


def test_the_stretch_finds_a_small_island_of_data_in_a_large_raster(make_raster):
    pixels = np.zeros((1, 2600, 2600), np.uint16)
    pixels[0, 140:150, 140:150] = noise(1, 10, 10, np.uint16, 900)[0] + 100
    path = make_raster("a.tif", pixels, nodata=0, compress="deflate")
    with open_source(path, band_count=1, percentiles=(0, 100)) as source:
        stretch = source.record()["stretch"]
    island = pixels[pixels > 0]
    assert stretch == {"low": [island.min()], "high": [island.max()]}


def test_an_empty_raster_has_no_data_anywhere(make_raster):
    with open_source(make_raster("a.tif", np.zeros((3, 64, 64), np.uint16), nodata=0), band_count=3) as source:
        tiles = plan_tiles(64, 64, 32, 0)
        assert [source.has_data(tile) for tile in tiles] == [False] * 4
        assert not any(source.read(tile).valid.any() for tile in tiles)
        json.dumps(source.record())


@pytest.mark.parametrize("resolution", [None, 1.7])
def test_a_single_valid_pixel_is_data(make_raster, resolution):
    pixels = np.zeros((3, 1200, 1200), np.uint8)
    pixels[2, 801, 703] = 9
    path = make_raster("a.tif", pixels, nodata=0)
    with open_source(path, band_count=3, resolution=resolution) as source:
        tiles = plan_tiles(source.grid.width, source.grid.height, 200, 0)
        with_data = [tile for tile in tiles if source.has_data(tile)]
        x, y = (~source.grid.to_ground) @ (400_000 + 703.5 * 0.5, 5_800_000 - 801.5 * 0.5)
    assert len(with_data) == 1
    assert 0 <= x - with_data[0].x < 200
    assert 0 <= y - with_data[0].y < 200


def test_threads_read_the_same_and_all_files_are_closed(make_raster):
    pixels = noise(3, 400, 400, np.uint16, 5000)
    path = make_raster("a.tif", pixels, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    with open_source(path, band_count=3, resolution=0.8) as source:
        tiles = plan_tiles(source.grid.width, source.grid.height, 60, 20)
        alone = [source.read(tile).pixels for tile in tiles]
        together = threading.Barrier(4)
        with ThreadPoolExecutor(4, initializer=together.wait) as readers:
            for one, other in zip(alone, readers.map(lambda tile: source.read(tile).pixels, tiles * 4), strict=False):
                np.testing.assert_array_equal(one, other)
        opened = list(source._handles._opened.values())
    assert len(opened) == 1
    assert all(dataset.closed for dataset in opened)


def test_the_record_is_json_and_says_what_was_done(make_raster):
    with open_source(make_raster("a.tif", noise(4, 64, 64)), band_count=3, bands=(4, 1, 2)) as source:
        record = json.loads(json.dumps(source.record()))
    assert record["bands"] == [4, 1, 2]
    assert record["stretch"] is None
    assert record["crs"] == "EPSG:32633"
    assert record["extent"] == [400_000, 5_800_000 - 32, 400_032, 5_800_000]
    assert record["metres_per_pixel"] == pytest.approx(0.5, rel=1e-3)
    assert record["path"].endswith("a.tif")


def test_a_big_tiff_is_a_tiff(make_raster):
    pixels = noise(3, 64, 64)
    np.testing.assert_array_equal(read_whole(make_raster("a.tif", pixels, BIGTIFF="YES")).pixels, pixels)


def test_missing_and_foreign_files_are_errors_of_one_line(tmp_path):
    (tmp_path / "notes.tif").write_text("not a raster\n" * 20)
    for name in ("missing.tif", "notes.tif", "."):
        with pytest.raises(UnreadableRaster) as refusal, open_source(str(tmp_path / name), band_count=3):
            pass
        assert str(tmp_path) in str(refusal.value)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_damaged_block_is_an_error_of_one_line(make_raster, dtype):
    path = make_raster(
        "a.tif", noise(3, 256, 256, dtype), tiled=True, blockxsize=128, blockysize=128, compress="deflate"
    )
    os.truncate(path, os.path.getsize(path) - 20_000)
    with open_source(path, band_count=3) as source, pytest.raises(UnreadableRaster) as refusal:
        source.read(plan_tiles(256, 256, 256, 0)[0])
    assert path in str(refusal.value)
    assert "\n" not in str(refusal.value)
