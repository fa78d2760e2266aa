# SPDX-License-Identifier: GPL-2.0-or-later
"""What must hold of a map of classes, whatever the network says."""

import numpy as np
import pytest
import torch
from torch import nn

from model_runner.contract.model_card import ModelCard, ModelClass
from model_runner.contract.task_requests import Tiling
from model_runner.inference.computing import Computer
from model_runner.inference.segmenting import find_classes, segmenter
from model_runner.networks import build_network
from model_runner.raster.source import TileInput, open_source
from model_runner.report import Report

CARD = ModelCard(
    id="ground-l0",
    title="Ground",
    task="segment",
    network="unetformer_l0",
    classes=(ModelClass("a"), ModelClass("b"), ModelClass("c")),
    tile_size=128,
    overlap=32,
)
CPU = Computer(torch.device("cpu"), torch.float32, 2)
HEIGHT, WIDTH = 300, 410
INNER = np.s_[:, 5:-5, 5:-5]  # what a filter of 9 pixels makes of the raster alone


def filter_of(size):
    """A network that sees ``size`` x ``size`` pixels around each."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, size, padding=size // 2)
    nn.init.normal_(network.weight, std=4 / size)
    return network.eval()


@pytest.fixture
def probabilities_of(make_raster):
    """Runs a network over smooth noise and gives the map (classes, h, w)."""
    coarse = torch.from_numpy(np.random.default_rng(0).random((1, 3, 30, 41), np.float32) * 255)
    pixels = nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic").clip(0, 255).byte()[0].numpy()
    path = make_raster("a.tif", pixels)

    def run(network, *, window=None, tiling=None, flips=False, computer=CPU):
        extent = None
        if window:
            left, top, right, bottom = (0.5 * side for side in window)
            extent = (400_000 + left, 5_800_000 - bottom, 400_000 + right, 5_800_000 - top)
        with open_source(path, band_count=3, extent=extent) as source:
            found = np.full((3, source.grid.height, source.grid.width), np.nan, np.float32)

            def take(band):
                found[:, band.y : band.y + band.probabilities.shape[1]] = band.probabilities

            find_classes(source, network, CARD, computer, tiling or Tiling(), flips, take, 0, Report())
        return found

    return run


def test_a_network_that_looks_at_single_pixels_does_not_notice_tiles_batches_and_extents(probabilities_of):
    network = filter_of(1)
    one = probabilities_of(network, tiling=Tiling(512, 0))
    np.testing.assert_allclose(one.sum(0), 1, atol=1e-5)
    for tiling, batch_size in ((Tiling(96, 0), 1), (Tiling(96, 70), 16), (Tiling(160, 50), 3)):
        other = probabilities_of(network, tiling=tiling, computer=CPU._replace(batch_size=batch_size))
        np.testing.assert_allclose(other, one, atol=1e-5)
    part = probabilities_of(network, window=(37, 21, 251, 290), flips=True)
    np.testing.assert_allclose(part, one[:, 21:290, 37:251], atol=1e-5)


def test_away_from_borders_a_part_is_like_the_whole_and_other_tiles_change_next_to_nothing(probabilities_of):
    network = filter_of(9)
    one = probabilities_of(network, tiling=Tiling(512, 0))
    part = probabilities_of(network, window=(37, 21, 371, 290))[INNER]
    other = probabilities_of(network, tiling=Tiling(96, 32))[INNER]
    for found, expected in ((part, one[:, 26:285, 42:366]), (other, one[INNER])):
        assert np.abs(found - expected).max() < 0.06
        assert (found.argmax(0) != expected.argmax(0)).mean() < 0.001


def test_blended_tiles_are_nearer_to_the_whole_than_tiles_side_by_side(probabilities_of):
    network = filter_of(9)
    one, blended, side_by_side = (
        probabilities_of(network, tiling=tiling)[INNER] for tiling in (Tiling(512, 0), Tiling(96, 32), Tiling(96, 0))
    )
    assert np.abs(blended - one).mean() < 0.05 * np.abs(side_by_side - one).mean()


def test_mirrored_views_make_the_answer_mirror_with_the_image():
    torch.manual_seed(0)
    predict = segmenter(build_network("unetformer_l0", num_classes=3).eval(), CARD, CPU, flips=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 96, 96)).astype(np.uint8)
    valid = np.ones((96, 96), bool)
    (plain,) = predict([TileInput(pixels, valid)])
    (mirrored,) = predict([TileInput(np.ascontiguousarray(pixels[:, :, ::-1]), valid)])
    assert plain.shape == (3, 96, 96)
    torch.testing.assert_close(mirrored.flip(-1), plain, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(plain.sum(0), torch.ones(96, 96))
