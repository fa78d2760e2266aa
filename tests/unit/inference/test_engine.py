# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from model_runner.errors import Cancelled, OutOfMemory
from model_runner.inference.engine import run_over_tiles
from model_runner.raster.source import TileInput
from model_runner.raster.tiling import plan_tiles
from model_runner.report import Report

TILES = plan_tiles(700, 300, 128, 32)


@dataclass
class FakeSource:
    """Pixels hold the tile's place; tiles in the first row have no data, those of the first column no valid pixel."""

    def has_data(self, tile):
        return tile.y > 0

    def read(self, tile):
        pixels = np.full((1, tile.height, tile.width), tile.x % 251, np.uint8)
        return TileInput(pixels, np.full((tile.height, tile.width), tile.x > 0))


@dataclass
class Listing:
    seen: list = field(default_factory=list)

    def add(self, tile, pixels, prediction):
        self.seen.append((tile, int(pixels.pixels[0, 0, 0]), prediction))


class Listener(Report):
    def __init__(self, cancel_after=None):
        self.progresses, self.lines, self.cancel_after = [], [], cancel_after

    def progress(self, stage, done, total, megapixels_per_second=None, seconds_left=None):
        self.progresses.append((stage, done, total))

    def log(self, level, text):
        self.lines.append((level, text))

    def check_cancelled(self):
        if self.cancel_after is not None and self.progresses[-1][1] >= self.cancel_after:
            raise Cancelled


def column_of(tiles):
    return [int(tile.pixels[0, 0, 0]) for tile in tiles]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_every_tile_with_data_is_predicted_once_and_in_order(batch_size):
    collector = Listing()
    done = run_over_tiles(FakeSource(), TILES, column_of, collector, batch_size, Report())
    expected = [tile for tile in TILES if tile.y > 0 and tile.x > 0]
    assert [tile for tile, _, _ in collector.seen] == expected
    assert all(pixel == prediction == tile.x % 251 for tile, pixel, prediction in collector.seen)
    assert done.tiles == len(expected)
    assert done.tiles + done.skipped == len(TILES)


@pytest.mark.parametrize(
    "lack",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_a_lack_of_memory_halves_the_batch_and_loses_nothing(lack):
    sizes = []

    def predict(tiles):
        sizes.append(len(tiles))
        if len(tiles) > 2:
            raise lack
        return column_of(tiles)

    collector, listener = Listing(), Listener()
    run_over_tiles(FakeSource(), TILES, predict, collector, 8, listener)
    assert [tile for tile, _, _ in collector.seen] == [tile for tile in TILES if tile.y > 0 and tile.x > 0]
    assert sizes[:3] == [8, 4, 2]
    assert max(sizes[2:]) == 2
    assert [level for level, _ in listener.lines] == ["warning", "warning"]


def test_a_tile_that_does_not_fit_alone_ends_the_run_with_a_remedy():
    def predict(tiles):
        raise MemoryError

    with pytest.raises(OutOfMemory, match="smaller tile size"):
        run_over_tiles(FakeSource(), TILES, predict, Listing(), 2, Report())


def test_other_errors_of_the_network_end_the_run():
    def predict(tiles):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        run_over_tiles(FakeSource(), TILES, predict, Listing(), 2, Report())


def test_cancelling_stops_between_batches():
    collector = Listing()
    with pytest.raises(Cancelled):
        run_over_tiles(FakeSource(), TILES, column_of, collector, 1, Listener(cancel_after=12))
    assert 0 < len(collector.seen) < sum(tile.y > 0 and tile.x > 0 for tile in TILES)


def test_progress_rises_and_ends_at_the_number_of_tiles():
    listener = Listener()
    run_over_tiles(FakeSource(), TILES, column_of, Listing(), 2, listener)
    done = [each[1] for each in listener.progresses]
    assert done == sorted(done)
    assert listener.progresses[-1] == ("tiles", len(TILES), len(TILES))


def test_an_error_while_reading_ends_the_run():
    class Broken(FakeSource):
        def read(self, tile):
            raise OSError("block 7 is damaged")

    with pytest.raises(OSError, match="block 7"):
        run_over_tiles(Broken(), TILES, column_of, Listing(), 2, Report())
