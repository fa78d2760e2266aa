# SPDX-License-Identifier: GPL-2.0-or-later
"""Detection in an open raster, as the tasks detect and evaluate share it."""

import torch

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import Tiling
from model_runner.inference.computing import Computer, tiles_for_model
from model_runner.inference.detections import DetectionCollector, Detections, detector
from model_runner.inference.engine import Throughput, run_over_tiles
from model_runner.raster.source import RasterSource
from model_runner.report import Report


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
    tiles = tiles_for_model(source.grid, card, tiling)
    predict = detector(network, card, computer.device, computer.precision, collector.threshold, collector.nms_iou)
    throughput = run_over_tiles(source, tiles, predict, collector, computer.batch_size, report)
    return collector.finish(), throughput
