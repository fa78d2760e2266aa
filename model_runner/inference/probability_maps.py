# SPDX-License-Identifier: GPL-2.0-or-later
"""Probabilities of every pixel of a raster, or of a pair of them, from those of overlapping tiles."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import Tiling
from model_runner.inference.blending import Band, BlendingCollector, plan_strips
from model_runner.inference.computing import Computer, tiles_for_model
from model_runner.inference.engine import Throughput, TileSource, run_over_tiles
from model_runner.inference.prepare import prepare_mirrored
from model_runner.inference.views import mean_of_mirrored_views
from model_runner.raster.source import TileInput
from model_runner.raster.working_grid import WorkingGrid
from model_runner.report import Report


def map_probabilities(
    source: TileSource,
    grid: WorkingGrid,
    channels: int,
    predict: Callable[[list[Any]], list[Tensor]],
    card: ModelCard,
    computer: Computer,
    tiling: Tiling,
    give_out: Callable[[Band], None],
    margin: int,
    report: Report,
) -> Throughput:
    """Give out blended probabilities for the whole grid, in working pixels, and tell what the run did.

    Args:
        source: gives the tiles.
        grid: the working grid.
        channels: probabilities of a pixel.
        predict: from a batch of tiles to probabilities (channels, h, w) each, float32 on the CPU.
        card: of the model.
        computer: computes.
        tiling: the user's wishes.
        give_out: takes the bands, see ``blending``.
        margin: columns that neighbouring strips are to share.
        report: is told of each batch.

    Raises:
        InputError: the overlap does not fit the tile size.
        OutOfMemory: not even one tile fits.
        Cancelled: the user asked to stop.
    """
    strips = plan_strips(tiles_for_model(grid, card, tiling), grid.width, channels, margin)
    collector = BlendingCollector(strips, grid.height, channels, give_out)
    throughput = run_over_tiles(source, collector.tiles, predict, collector, computer.batch_size, report)
    collector.finish()
    return throughput


@torch.inference_mode()
def predict_tiles(
    probabilities: Callable[..., Tensor],
    dates: Sequence[Sequence[TileInput]],
    card: ModelCard,
    computer: Computer,
    flips: bool,
) -> list[Tensor]:
    """The probabilities (C, h, w) of a batch of tiles, float32 on the CPU.

    Args:
        probabilities: from normalised images (n, bands, h, w) of each date to (n, C, h, w).
        dates: the tiles of each date.
        card: of the model.
        computer: computes.
        flips: whether four mirrored views are averaged.
    """
    images = [prepare_mirrored(tiles, card, computer.device) for tiles in dates]
    maps = mean_of_mirrored_views(probabilities, *images) if flips else probabilities(*images)
    height, width = dates[0][0].valid.shape
    return list(maps[:, :, :height, :width].cpu())
