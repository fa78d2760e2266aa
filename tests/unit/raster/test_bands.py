# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

from model_runner.errors import InputError
from model_runner.raster.source import open_source
from model_runner.raster.tiling import plan_tiles


def bands(count, dtype=np.uint8):
    """Bands whose number tells them apart."""
    return np.stack([np.full((16, 16), number * 10) for number in range(1, count + 1)]).astype(dtype)


def first_pixel(path, band_count=3, **options):
    with open_source(path, band_count=band_count, **options) as source:
        found = source.read(plan_tiles(source.grid.width, source.grid.height, 16, 0)[0])
        return found.pixels[:, 0, 0].tolist(), source.warnings


def refusal(path, band_count=3, **options):
    with pytest.raises(InputError) as error, open_source(path, band_count=band_count, **options):
        pass
    assert "\n" not in str(error.value)
    assert path in str(error.value) or "model wants" in str(error.value)
    return str(error.value)


def test_the_first_bands_are_the_default(make_raster):
    assert first_pixel(make_raster("a.tif", bands(5), photometric="minisblack")) == ([10, 20, 30], [])


def test_bands_come_in_the_order_chosen(make_raster):
    assert first_pixel(make_raster("a.tif", bands(4)), bands=(3, 1, 1)) == ([30, 10, 10], [])


def test_bands_that_the_raster_has_elsewhere_are_told(make_raster):
    path = make_raster("a.tif", bands(4), photometric="minisblack")
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("Blue", "Green", "Red", "NIR")
    pixel, (warning,) = first_pixel(path, band_names=("red", "green", "blue"))
    assert pixel == [10, 20, 30]
    assert "red, green, blue, the bands 3,2,1 of" in warning
    assert "1,2,3 are used" in warning
    assert first_pixel(path, band_names=("red", "green", "blue"), bands=(1, 2, 3))[1] == []  # the user knows
    assert first_pixel(path, band_names=("blue", "green", "red"))[1] == []
    assert first_pixel(path, band_names=("red", "green", "swir"))[1] == []  # its names are others


def test_alpha_in_the_middle_is_passed_over(make_raster):
    path = make_raster("a.tif", bands(4))
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.red, ColorInterp.alpha, ColorInterp.green, ColorInterp.blue]
    assert first_pixel(path)[0] == [10, 30, 40]


@pytest.mark.parametrize("alpha", [None, np.full((16, 16), 255)])
def test_one_band_serves_three_times_with_a_warning(make_raster, alpha):
    pixel, warnings = first_pixel(make_raster("a.tif", bands(1), alpha=alpha))
    assert pixel == [10, 10, 10]
    assert len(warnings) == 1
    assert "one band" in warnings[0]


def test_too_few_bands_are_refused_with_their_number(make_raster):
    message = refusal(make_raster("a.tif", bands(2)))
    assert "wants 3 bands" in message
    assert "has 2" in message


def test_one_band_is_not_enough_for_four(make_raster):
    assert "wants 4 bands" in refusal(make_raster("a.tif", bands(1)), band_count=4)


def test_alpha_is_not_counted(make_raster):
    assert "has 3" in refusal(make_raster("a.tif", bands(3), alpha=np.full((16, 16), 255)), band_count=4)


@pytest.mark.parametrize("number", [0, 4, -1])
def test_bands_beyond_the_raster_are_refused(make_raster, number):
    assert f"no band {number}" in refusal(make_raster("a.tif", bands(3)), bands=(1, 2, number))


def test_a_choice_of_the_wrong_number_is_refused(make_raster):
    assert "2 were chosen (1,2)" in refusal(make_raster("a.tif", bands(3)), bands=(1, 2))


def test_complex_numbers_are_refused(make_raster):
    assert "complex" in refusal(make_raster("a.tif", bands(3, np.complex64)))


COLOURS = {0: (1, 2, 3, 255), 7: (200, 100, 50, 255), 9: (9, 9, 9, 0)}


def test_a_palette_becomes_colours(make_raster):
    numbers = np.full((1, 16, 16), 7, np.uint8)
    numbers[0, 1, 1] = 0
    path = make_raster("a.tif", numbers, colormap=COLOURS)
    with open_source(path, band_count=3) as source:
        found = source.read(plan_tiles(16, 16, 16, 0)[0])
    assert found.pixels[:, 0, 0].tolist() == [200, 100, 50]
    assert found.pixels[:, 1, 1].tolist() == [1, 2, 3]
    assert found.pixels.dtype == np.uint8
    assert source.warnings == []


def test_colours_are_averaged_not_their_numbers(make_raster):
    numbers = np.full((1, 16, 16), 7, np.uint8)
    numbers[0, :, ::2] = 0
    with open_source(make_raster("a.tif", numbers, colormap=COLOURS), band_count=3, resolution=1.0004) as source:
        found = source.read(plan_tiles(source.grid.width, source.grid.height, 16, 0)[0])
    np.testing.assert_allclose(found.pixels[:, 0, 0], [100.5, 51, 26.5], atol=0.5)


def test_a_band_called_palette_that_has_none_holds_values(make_raster, tmp_path):
    make_raster("a.tif", np.full((1, 16, 16), 7, np.uint8))
    path = tmp_path / "a.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="16" rasterYSize="16"><VRTRasterBand dataType="Byte" band="1">'
        '<ColorInterp>Palette</ColorInterp><SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>",
        encoding="utf-8",
    )
    assert first_pixel(str(path), bands=(1, 1, 1))[0] == [7, 7, 7]
    assert first_pixel(str(path), band_count=1)[0] == [7]
    assert first_pixel(str(path))[0] == [7, 7, 7]


def test_the_numbers_of_a_palette_can_be_had_by_choosing_the_band(make_raster):
    path = make_raster("a.tif", np.full((1, 16, 16), 7, np.uint8), colormap=COLOURS)
    assert first_pixel(path, bands=(1, 1, 1))[0] == [7, 7, 7]
    assert first_pixel(path, band_count=1)[0] == [7]


def test_a_container_names_what_is_inside(tmp_path):
    path = str(tmp_path / "container.gpkg")
    for table in ("north", "south"):
        with rasterio.open(
            path, "w", driver="GPKG", count=3, width=16, height=16, dtype="uint8", RASTER_TABLE=table,
            APPEND_SUBDATASET="YES", crs="EPSG:32633", transform=Affine(1, 0, 400_000, 0, -1, 5_800_000),
        ) as dataset:  # fmt: skip
            dataset.write(bands(3))
    message = refusal(path)
    assert f"GPKG:{path}:north, GPKG:{path}:south" in message
    assert first_pixel(f"GPKG:{path}:south")[0] == pytest.approx([10, 20, 30], abs=3)
