# SPDX-License-Identifier: GPL-2.0-or-later
"""Change between two open rasters: its probability, pixel by pixel."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from model_runner.contract.model_card import ModelCard
from model_runner.inference.computing import Computer
from model_runner.inference.prepare import prepare
from model_runner.inference.views import mean_of_mirrored_views
from model_runner.raster.pair import PairInput


def change_finder(
    network: torch.nn.Module, card: ModelCard, computer: Computer, flips: bool
) -> Callable[[list[PairInput]], list[Tensor]]:
    """The function that predicts a batch of tiles: probabilities of change (1, h, w) each, float32 on the CPU.

    Args:
        network: from normalised images of both dates to logits (n, 1, h, w) of change, or (n, 2, h, w) of none and of
            change.
        card: of the model.
        computer: computes.
        flips: whether four mirrored views are averaged.
    """
    return partial(_predict, network, card, computer, flips)


@torch.inference_mode()
def _predict(
    network: torch.nn.Module, card: ModelCard, computer: Computer, flips: bool, tiles: list[PairInput]
) -> list[Tensor]:
    def probabilities(before: Tensor, after: Tensor) -> Tensor:
        with computer.autocast():
            logits = network(before, after).float()
        return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)[:, 1:]

    dates = [prepare(images, card, computer.device) for images in zip(*tiles, strict=True)]
    maps = mean_of_mirrored_views(probabilities, *dates) if flips else probabilities(*dates)
    height, width = tiles[0].valid.shape
    return list(maps[:, :, :height, :width].cpu())
