# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import numpy as np
import pytest

from model_runner.training.pixel_statistics import pixel_facts


def image(make_raster, name, bands, dtype, descriptions=()):
    import rasterio

    pixels = np.random.default_rng(0).integers(1, 200, (bands, 32, 32)).astype(dtype)
    path = make_raster(name, pixels, photometric="MINISBLACK")
    with rasterio.open(path, "r+") as raster:
        for number, text in enumerate(descriptions, 1):
            raster.set_band_description(number, text)
    return Path(path)


@pytest.mark.parametrize(
    ("bands", "names"),
    [(1, ("gray",)), (2, ("gray", "band 2")), (3, ("red", "green", "blue")), (4, ("red", "green", "blue", "band 4"))],
)
def test_bands_that_nothing_is_told_of_are_colours_only_if_there_are_three(make_raster, bands, names):
    path = image(make_raster, "a.tif", bands, np.uint16)
    assert pixel_facts([path], tuple(range(1, bands + 1)), None)["bands"] == names


def test_chosen_bands_of_8_bits_are_called_what_they_are(make_raster):
    path = image(make_raster, "a.tif", 4, np.uint8, ("blue", "green", "red", "nir"))
    assert pixel_facts([path], (4, 3, 2), None)["bands"] == ("nir", "red", "green")
    assert pixel_facts([path], (), None)["bands"] == ("blue", "green", "red")
    assert "bands" not in pixel_facts([image(make_raster, "b.tif", 4, np.uint8)], (), None)
