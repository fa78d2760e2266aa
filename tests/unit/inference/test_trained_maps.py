# SPDX-License-Identifier: GPL-2.0-or-later
"""A trained model on a real raster: what it says must not depend on how the raster is cut."""

from itertools import combinations

import numpy as np
import pytest
import torch

from model_runner.contract.task_requests import RasterSource, Tiling
from model_runner.inference.computing import Computer
from model_runner.inference.opening import open_for_model
from model_runner.inference.placing import WorkingPixels
from model_runner.inference.segmenting import find_classes, likeliest_classes
from model_runner.model_store.loaded import loaded_model
from model_runner.report import Report
from tests.conftest import DATA

CPU = Computer(torch.device("cpu"), torch.float32, 2)
TILE_SIZES = (256, 384, 512)
TOLERATED_SHARE = 0.005  # of the pixels


@pytest.fixture(scope="module")
def water():
    """The class number of each pixel (h, w), by tile size."""
    card, network = loaded_model("water-naip-l0", "segment", CPU.device)
    maps = {}
    for tile_size in TILE_SIZES:
        with open_for_model(RasterSource(str(DATA / "naip" / "naip_20090818.tif")), card, Report()) as source:
            found = maps[tile_size] = np.zeros((source.grid.height, source.grid.width), np.uint8)

            def take(x, y, probabilities, valid, found=found):
                height, width = valid.shape
                found[y : y + height, x : x + width] = likeliest_classes(probabilities)[0]

            pixels = WorkingPixels(take)
            tiling = Tiling(tile_size)
            find_classes(source, network, card, CPU, tiling, False, pixels.take, pixels.margin, Report())
    return maps


@pytest.mark.parametrize(("one", "other"), [*combinations(TILE_SIZES, 2)])
def test_other_tiles_change_hardly_a_pixel(water, one, other):
    assert 0.05 < water[one].mean() < 0.5
    assert (water[one] != water[other]).mean() <= TOLERATED_SHARE
