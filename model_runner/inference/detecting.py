# SPDX-License-Identifier: GPL-2.0-or-later
"""Detection in an open raster, as the tasks detect and evaluate share it."""

from dataclasses import replace
from typing import NamedTuple

import torch

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import Compute, Tiling
from model_runner.device import resolve_batch_size, resolve_device, resolve_precision
from model_runner.inference.detections import DetectionCollector, Detections, detector
from model_runner.inference.engine import Throughput, run_over_tiles
from model_runner.raster.source import RasterSource
from model_runner.raster.tiling import plan_tiles
from model_runner.report import Report


class Computer(NamedTuple):
    """On what, and how, a network runs."""

    device: torch.device
    precision: torch.dtype
    batch_size: int

    def __str__(self) -> str:
        return f"{self.device}, {str(self.precision).removeprefix('torch.')}"


def choose_computer(request: Compute, report: Report) -> Computer:
    """The device, precision and batch size for a request, told to the user.

    Raises:
        InputError: the wished device is not there.
    """
    device, reason = resolve_device(request.device)
    precision = resolve_precision(request.precision, device)
    report.log("info", f"Computing on {reason}, {str(precision).removeprefix('torch.')}.")
    return Computer(device, precision, resolve_batch_size(request.batch_size, device))


def find_objects(
    source: RasterSource,
    network: torch.nn.Module,
    card: ModelCard,
    computer: Computer,
    tiling: Tiling,
    collector: DetectionCollector,
    report: Report,
) -> tuple[Detections, Throughput]:
    """The detections of the whole raster, in working pixels, and what the run did.

    Raises:
        InputError: the overlap does not fit the tile size.
        OutOfMemory: not even one tile fits.
        Cancelled: the user asked to stop.
    """
    grid = source.grid
    tile_size = tiling.tile_size or card.tile_size
    overlap = min(card.overlap, tile_size // 2) if tiling.overlap is None else tiling.overlap
    tiles = [
        replace(tile, width=min(tile_size, grid.width), height=min(tile_size, grid.height))  # what is beyond is empty
        for tile in plan_tiles(grid.width, grid.height, tile_size, overlap)
    ]
    predict = detector(network, card, computer.device, computer.precision, collector.threshold, collector.nms_iou)
    throughput = run_over_tiles(source, tiles, predict, collector, computer.batch_size, report)
    return collector.finish(), throughput
