# SPDX-License-Identifier: GPL-2.0-or-later
"""Maps of working pixels on the raster's own pixels."""

import numpy as np
import pytest
import torch

from model_runner.inference import blending, placing
from model_runner.inference.blending import BlendingCollector, plan_strips
from model_runner.inference.placing import OwnPixels
from model_runner.raster.source import open_source
from tests.unit.inference.tiles_of_arrays import tiles_within

HEIGHT, WIDTH = 110, 150


def slope(x, y):
    """A probability that rises evenly over the raster, of points in its own pixels."""
    return 0.1 + 0.003 * x + 0.002 * y


def brought_back(path, resolution, predict, tile_size=48):
    """What comes out on the raster's own pixels, each written once: probabilities and valid."""
    with open_source(path, band_count=1) as own, open_source(path, band_count=1, resolution=resolution) as working:
        found = np.full((2, HEIGHT, WIDTH), np.nan)
        valid = np.zeros((HEIGHT, WIDTH), bool)

        def take(x, y, probabilities, is_valid):
            place = slice(y, y + is_valid.shape[0]), slice(x, x + is_valid.shape[1])
            assert np.isnan(found[(slice(None), *place)]).all()
            found[(slice(None), *place)], valid[place] = probabilities, is_valid

        pixels = OwnPixels(working.grid, own, take)
        grid = working.grid
        tiles = tiles_within(grid.width, grid.height, tile_size, 16)
        collector = BlendingCollector(plan_strips(tiles, grid.width, 2, pixels.margin), grid.height, 2, pixels.take)
        to_own = ~own.grid.to_ground @ grid.to_ground
        for tile in collector.tiles:
            read = working.read(tile)
            if read.valid.any():
                columns, rows = np.arange(tile.width) + tile.x + 0.5, np.arange(tile.height) + tile.y + 0.5
                maps = predict(to_own.a * columns[None], to_own.e * rows[:, None], read.valid)
                collector.add(tile, read, torch.from_numpy(np.stack([maps, 1 - maps]).astype(np.float32)))
        collector.finish()
    assert not np.isnan(found).any()
    return found, valid


@pytest.mark.parametrize("resolution", [0.13, 0.35, 0.7, 1.0, 1.37, 4.1])
def test_an_even_slope_stays_one_whatever_the_resolution(make_raster, resolution):
    path = make_raster("a.tif", np.ones((1, HEIGHT, WIDTH), np.uint8))
    found, valid = brought_back(path, resolution, lambda x, y, _: slope(x, y))
    assert valid.all()
    row, column = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    margin = 2 + int(resolution / 0.5)  # beyond the outermost centres nothing can be known
    inner = slice(margin, -margin)
    tolerance = 1e-5 if resolution > 0.5 else 1e-3  # a mean of some whole pixels is not quite that of the area
    np.testing.assert_allclose(found[0, inner, inner], slope(column, row)[inner, inner], atol=tolerance)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("resolution", [0.35, 1.37])
def test_strips_and_bands_do_not_change_the_result(make_raster, monkeypatch, resolution):
    path = make_raster("a.tif", np.random.default_rng(0).integers(0, 2, (1, HEIGHT, WIDTH)).astype(np.uint8), nodata=0)

    def ragged(x, y, _):
        return 0.5 + 0.4 * np.sin(x * 1.7) * np.cos(y * 2.3)

    one = brought_back(path, resolution, ragged)
    monkeypatch.setattr(blending, "MOST_BYTES", 1)
    monkeypatch.setattr(blending, "BAND_BYTES", 1)
    monkeypatch.setattr(placing, "BAND_BYTES", 7 * 8 * WIDTH)
    several = brought_back(path, resolution, ragged)
    np.testing.assert_array_equal(several[0], one[0])
    np.testing.assert_array_equal(several[1], one[1])


def test_there_is_data_exactly_where_the_raster_has_some(make_raster):
    pixels = np.ones((1, HEIGHT, WIDTH), np.uint8)
    pixels[0, 20:61, 33:90] = 0
    pixels[0, 40, 60] = 1  # a lonely pixel
    found, valid = brought_back(make_raster("a.tif", pixels, nodata=0), 1.37, lambda x, y, _: slope(x, y) + 0 * x)
    np.testing.assert_array_equal(valid, pixels[0] > 0)
    assert found.max() <= 1


def test_what_a_network_says_where_there_is_no_data_does_not_spread(make_raster):
    pixels = np.ones((1, HEIGHT, WIDTH), np.uint8)
    pixels[0, :, 60:] = 0
    path = make_raster("a.tif", pixels, nodata=0)
    found, valid = brought_back(path, 1.5, lambda x, y, valid: np.where(valid, 0.9, 0.0))
    assert valid[:, :60].all()
    assert found[0][valid].min() > 0.89
