# SPDX-License-Identifier: GPL-2.0-or-later
"""What networks are shown where a tile has no ground."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from model_runner.contract.model_card import ModelCard, ModelClass
from model_runner.inference.prepare import prepare, prepare_mirrored
from model_runner.raster.source import TileInput

CPU = torch.device("cpu")
CARD = ModelCard(
    id="ground-l0",
    title="Ground",
    task="segment",
    network="unetformer_l0",
    classes=(ModelClass("a"), ModelClass("b")),
    mean=(0, 100, 200),
    std=(1, 10, 100),
)
BANDS = (slice(None), None, None)


def normalised(tile):
    """Pixels by the card's numbers, 0 without data."""
    return (tile.pixels - np.array(CARD.mean)[BANDS]) / np.array(CARD.std)[BANDS] * tile.valid


def noise(height, width, seed):
    generator = np.random.default_rng(seed)
    return TileInput(generator.integers(0, 256, (3, height, width), np.uint8), generator.random((height, width)) < 0.9)


@st.composite
def spans(draw, length):
    """From where to where an axis shows ground."""
    first = draw(st.integers(0, length - 1))
    return first, draw(st.integers(first + 1, length))


@given(st.data(), st.integers(1, 130), st.integers(1, 130))
def test_each_tile_of_a_batch_is_mirrored_at_the_ends_of_its_own_ground(data, height, width):
    tiles, expected = [], []
    sides = [max(96, -(-side // 32) * 32) for side in (height, width)]
    for number in range(data.draw(st.integers(1, 3))):
        top, bottom = data.draw(spans(height))
        left, right = data.draw(spans(width))
        tile = noise(height, width, number)
        tile.valid[top, left:right] = tile.valid[bottom - 1, left:right] = True
        tile.valid[top:bottom, left] = tile.valid[top:bottom, right - 1] = True
        around = np.ones_like(tile.valid)
        around[top:bottom, left:right] = False
        tile.valid[around] = False
        ground = normalised(tile)[:, top:bottom, left:right]
        beyond = ((0, 0), (top, sides[0] - bottom), (left, sides[1] - right))
        tiles.append(tile)
        expected.append(np.pad(ground, beyond, mode="symmetric"))
    images = prepare_mirrored(tiles, CARD, CPU)
    np.testing.assert_allclose(images, np.stack(expected), rtol=1e-5, atol=1e-5)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_tile_that_networks_take_as_it_is_stays_so():
    tiles = [noise(96, 128, number) for number in range(2)]
    assert torch.equal(prepare_mirrored(tiles, CARD, CPU), prepare(tiles, CARD, CPU))


def test_detectors_see_no_mirrored_objects():
    tile = noise(70, 100, 0)
    tile.valid[:, 90:] = False
    expected = np.zeros((1, 3, 96, 128))
    expected[0, :, :70, :100] = normalised(tile)
    np.testing.assert_allclose(prepare([tile], CARD, CPU), expected, rtol=1e-5, atol=1e-5)
