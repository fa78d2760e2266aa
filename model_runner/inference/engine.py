# SPDX-License-Identifier: GPL-2.0-or-later
"""Tiles through a network: read ahead, compute in batches, survive a lack of memory, tell how far it is."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch

from model_runner.device import is_lack_of_memory
from model_runner.errors import OutOfMemory
from model_runner.raster.source import TileInput
from model_runner.raster.tiling import Tile
from model_runner.report import Report

READERS = 2


class TileSource(Protocol):
    """Where tiles come from: ``raster.source.RasterSource``, or ``raster.pair.RasterPair`` with ``PairInput``."""

    def has_data(self, tile: Tile) -> bool:
        """Whether the tile may hold a valid pixel; False is certain."""

    def read(self, tile: Tile) -> TileInput:
        """The tile's pixels; called from several threads."""


class Collector(Protocol):
    """Builds the result of the whole raster from tiles."""

    def add(self, tile: Tile, pixels: TileInput, prediction: Any) -> None:
        """Take what the network says of a tile."""


@dataclass
class Throughput:
    """What a run over tiles did.

    ``seconds`` is the whole time, ``network_seconds`` that inside of ``predict``; ``pixels`` counts those of computed
    tiles, overlaps included.
    """

    tiles: int = 0
    skipped: int = 0
    pixels: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0

    @property
    def tile_counts(self) -> dict[str, int]:
        """The numbers of computed and of skipped tiles, as results tell them."""
        return {"tiles": self.tiles, "tiles_skipped": self.skipped}


def run_over_tiles(
    source: TileSource,
    tiles: Sequence[Tile],
    predict: Callable[[list[TileInput]], list[Any]],
    collector: Collector,
    batch_size: int,
    report: Report,
) -> Throughput:
    """Predict every tile that has data and feed the collector, in the order of ``tiles``.

    Args:
        source: gives the pixels.
        tiles: the plan.
        predict: predictions for a batch of tiles, one each.
        collector: takes them.
        batch_size: tiles computed at once; halved, for good, when the device's memory does not suffice.
        report: is told after each batch, and asked whether to stop.

    Raises:
        OutOfMemory: not even one tile fits.
        Cancelled: the user asked to stop.
    """
    began = time.perf_counter()
    done = Throughput()
    waiting: list[tuple[Tile, TileInput]] = []
    report.progress("tiles", 0, len(tiles))

    def compute() -> None:
        nonlocal batch_size
        while waiting:
            batch = waiting[:batch_size]
            before = time.perf_counter()
            predictions = _predictions(predict, batch)
            if predictions is None:
                batch_size = _smaller(batch, report)
                continue
            done.network_seconds += time.perf_counter() - before
            for (tile, pixels), prediction in zip(batch, predictions, strict=True):
                collector.add(tile, pixels, prediction)
                done.pixels += pixels.valid.size
            done.tiles += len(batch)
            del waiting[: len(batch)]
            _tell(done, len(tiles), began, report)

    for tile, pixels in _read_ahead(source, tiles, ahead=batch_size + READERS):
        report.check_cancelled()
        if pixels is None:
            done.skipped += 1
        else:
            waiting.append((tile, pixels))
        if len(waiting) >= batch_size:
            compute()
    compute()
    report.progress("tiles", len(tiles), len(tiles))
    done.seconds = time.perf_counter() - began
    return done


def _read_ahead(source: TileSource, tiles: Sequence[Tile], ahead: int) -> Iterator[tuple[Tile, TileInput | None]]:
    """The tiles with their pixels in order, None where a tile has no data, some read ahead by threads."""

    def read(tile: Tile) -> TileInput | None:
        if not source.has_data(tile):
            return None
        pixels = source.read(tile)
        return pixels if pixels.valid.any() else None

    remaining = iter(tiles)
    with ThreadPoolExecutor(READERS, thread_name_prefix="tile-reader") as readers:
        pending = deque((tile, readers.submit(read, tile)) for tile in islice(remaining, ahead))
        try:
            while pending:
                tile, reading = pending.popleft()
                pixels = reading.result()
                following = next(remaining, None)
                if following is not None:
                    pending.append((following, readers.submit(read, following)))
                yield tile, pixels
        finally:
            for _, reading in pending:
                reading.cancel()


def _predictions(predict: Callable[[list[TileInput]], list[Any]], batch: list) -> list[Any] | None:
    """What is found on a batch; None, with all that was computed let go, if the memory does not suffice for it."""
    try:
        return predict([pixels for _, pixels in batch])
    except (RuntimeError, MemoryError) as error:
        if not is_lack_of_memory(error):
            raise
        if len(batch) == 1:
            raise OutOfMemory(
                "The device's memory does not suffice for a single tile; choose a smaller tile size or the device cpu."
            ) from error
    return None


def _smaller(batch: list, report: Report) -> int:
    """Half the batch that did not fit."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    halved = len(batch) // 2
    report.log("warning", f"The memory does not suffice for {len(batch)} tiles at once; going on with {halved}.")
    return halved


def _tell(done: Throughput, total: int, began: float, report: Report) -> None:
    seconds = time.perf_counter() - began
    finished = done.tiles + done.skipped
    report.progress(
        "tiles",
        finished,
        total,
        megapixels_per_second=done.pixels / 1e6 / seconds,
        seconds_left=seconds / done.tiles * (total - finished),
    )
