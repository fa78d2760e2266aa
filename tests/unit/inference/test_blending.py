# SPDX-License-Identifier: GPL-2.0-or-later
"""Maps of a raster from maps of its tiles."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.inference import blending
from model_runner.inference.blending import BlendingCollector, plan_strips, tile_weights
from model_runner.raster.source import TileInput
from model_runner.raster.tiling import plan_tiles
from tests.unit.inference.tiles_of_arrays import ArraySource, tiles_within

CHANNELS = 3


def whole(bands, height, width):
    """The map that bands make up, each pixel exactly once: probabilities, valid, seen."""
    maps = np.full((CHANNELS, height, width), np.nan, np.float32)
    valid, seen = np.zeros((2, height, width), bool)
    next_row = {}
    for strip, y, probabilities, *flags in bands:
        assert next_row.get(strip.left, 0) == y
        next_row[strip.left] = y + probabilities.shape[1]
        own = slice(strip.left - strip.first, strip.right - strip.first)
        place = slice(y, y + probabilities.shape[1]), slice(strip.left, strip.right)
        assert np.isnan(maps[(slice(None), *place)]).all()
        maps[(slice(None), *place)] = probabilities[:, :, own]
        valid[place], seen[place] = (each[:, own] for each in flags)
    assert set(next_row.values()) == {height}
    assert not np.isnan(maps).any()
    return maps, valid, seen


def blend(tiles, height, width, prediction, is_valid=None, margin=0):
    """What comes out of predictions (C, h, w) of tiles; those without a valid pixel are left out."""
    bands = []
    strips = plan_strips(tiles, width, CHANNELS, margin)
    collector = BlendingCollector(strips, height, CHANNELS, bands.append)
    source = ArraySource(np.zeros((1, height, width)), np.ones((height, width), bool) if is_valid is None else is_valid)
    for tile in collector.tiles:
        pixels = source.read(tile)
        if pixels.valid.any():
            collector.add(tile, pixels, prediction(tile))
    collector.finish()
    return whole(bands, height, width), strips


def crop(maps):
    return lambda tile: torch.from_numpy(maps[:, tile.y : tile.y + tile.height, tile.x : tile.x + tile.width].copy())


def noise(tile):
    """What a network that is of another mind in each tile would say."""
    generator = np.random.default_rng((tile.column, tile.row))
    return torch.from_numpy(generator.random((CHANNELS, tile.height, tile.width), np.float32))


@given(
    height=st.integers(1, 90), width=st.integers(1, 90), tile_size=st.integers(4, 40), share=st.floats(0, 0.9),
    hidden=st.floats(0, 1), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=40)
def test_tiles_that_agree_come_out_as_they_are_whatever_the_tiles_and_the_data(
    height, width, tile_size, share, hidden, seed
):
    generator = np.random.default_rng(seed)
    maps = generator.random((CHANNELS, height, width), np.float32)
    is_valid = np.kron(generator.random((10, 10)) >= hidden, np.ones((9, 9)))[:height, :width] > 0
    tiles = tiles_within(width, height, tile_size, int(tile_size * share))
    (found, valid, seen), _ = blend(tiles, height, width, crop(maps), is_valid)
    np.testing.assert_allclose(found[:, seen], maps[:, seen], rtol=1e-5)
    assert not found[:, ~seen].any()
    np.testing.assert_array_equal(valid, is_valid)
    assert seen[is_valid].all()


@pytest.mark.parametrize("margin", [0, 1, 5])
def test_strips_do_not_change_the_result(monkeypatch, margin):
    is_valid = np.zeros((150, 400), bool)
    is_valid[20:60, 30:200] = is_valid[100:, 250:] = True
    tiles = tiles_within(400, 150, 64, 20)
    (one, *flags), strips = blend(tiles, 150, 400, noise, is_valid, margin)
    assert len(strips) == 1
    for columns in (1, 70, 130, 250):
        monkeypatch.setattr(blending, "MOST_BYTES", columns * 64 * (4 * CHANNELS + 5))
        (several, *other_flags), strips = blend(tiles, 150, 400, noise, is_valid, margin)
        assert len(strips) > 1
        np.testing.assert_array_equal(several, one)
        np.testing.assert_array_equal(other_flags, flags)


def test_a_strip_brings_its_neighbours_columns_when_asked_to(monkeypatch):
    monkeypatch.setattr(blending, "MOST_BYTES", 1)
    tiles = tiles_within(300, 64, 64, 20)
    strips = plan_strips(tiles, 300, CHANNELS, margin=3)
    assert [strip.left for strip in strips[1:]] == [strip.right for strip in strips[:-1]]
    for strip in strips:
        assert (strip.first, strip.last) == (max(strip.left - 3, 0), min(strip.right + 3, 300))


def test_the_seam_of_two_tiles_is_a_smooth_passage():
    tiles = tiles_within(100, 64, 64, 28)

    def opinion(tile):
        return torch.full((CHANNELS, tile.height, tile.width), float(tile.column))

    (found, _, _), _ = blend(tiles, 64, 100, opinion)
    profile = found[0, 30]
    assert (profile[:36] == 0).all()
    assert (profile[64:] == 1).all()
    assert (np.diff(profile[36:64]) > 0).all()
    assert np.diff(profile).max() < 0.1
    assert profile[36] < 0.001  # at its edge a tile counts for next to nothing


def test_weights_fall_towards_the_edge_and_are_never_nothing():
    weights = tile_weights(96, 1024)
    assert weights.min() > 0
    assert weights[48, 512] == pytest.approx(1, abs=0.001)
    assert (weights[48, :512].diff() > 0).all()
    torch.testing.assert_close(weights, weights.flip(0, 1))


@pytest.mark.parametrize("channels", [2, 7, 25, 150])
def test_sums_are_bounded_for_a_raster_of_100_000_pixels_across(channels):
    tiles = plan_tiles(100_000, 3_000, 1024, 200)
    strips = plan_strips(tiles, 100_000, channels, margin=2)
    most = max(strip.last - strip.first for strip in strips) * 1024 * (4 * channels + 5)
    assert most <= 2**30
    computed_again = sum(len(strip.tiles) for strip in strips) / len(tiles)
    assert computed_again < {2: 1.01, 7: 1.05, 25: 1.2, 150: 2.1}[channels]


def test_bands_are_small_and_given_out_as_soon_as_no_tile_can_touch_them(monkeypatch):
    monkeypatch.setattr(blending, "BAND_BYTES", 10 * 100 * (4 * CHANNELS + 5))
    bands, tiles = [], tiles_within(100, 1000, 64, 20)
    collector = BlendingCollector(plan_strips(tiles, 100, CHANNELS), 1000, CHANNELS, bands.append)
    for tile in collector.tiles:
        collector.add(tile, TileInput(None, np.ones((64, 64), bool)), noise(tile))
        assert sum(band.probabilities.shape[1] for band in bands) == tile.y
    assert max(band.probabilities.shape[1] for band in bands) == 10
