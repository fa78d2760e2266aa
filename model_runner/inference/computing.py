# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tasks share before the first tile: on what to compute, and how the raster is cut."""

from dataclasses import replace
from typing import NamedTuple

import torch

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import Compute, Tiling
from model_runner.device import resolve_batch_size, resolve_device, resolve_precision
from model_runner.raster.tiling import Tile, plan_tiles
from model_runner.raster.working_grid import WorkingGrid
from model_runner.report import Report


class Computer(NamedTuple):
    """On what, and how, a network runs."""

    device: torch.device
    precision: torch.dtype
    batch_size: int

    def __str__(self) -> str:
        return f"{self.device}, {str(self.precision).removeprefix('torch.')}"

    def autocast(self) -> torch.autocast:
        """The context in which networks compute in the chosen precision."""
        return torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32)


def choose_computer(request: Compute, report: Report) -> Computer:
    """The device, precision and batch size for a request, told to the user.

    Raises:
        InputError: the wished device is not there.
    """
    device, reason = resolve_device(request.device)
    precision = resolve_precision(request.precision, device)
    report.log("info", f"Computing on {reason}, {str(precision).removeprefix('torch.')}.")
    return Computer(device, precision, resolve_batch_size(request.batch_size, device))


def tiles_for_model(grid: WorkingGrid, card: ModelCard, tiling: Tiling) -> list[Tile]:
    """The tiles of a working grid, row by row, by the user's wishes or the model's card; none reaches beyond the grid.

    Raises:
        InputError: the overlap does not fit the tile size.
    """
    tile_size = tiling.tile_size or card.tile_size
    overlap = min(card.overlap, tile_size // 2) if tiling.overlap is None else tiling.overlap
    return [
        replace(tile, width=min(tile_size, grid.width), height=min(tile_size, grid.height))
        for tile in plan_tiles(grid.width, grid.height, tile_size, overlap)
    ]
