# SPDX-License-Identifier: GPL-2.0-or-later
"""Change between two open rasters: its probability, pixel by pixel."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import Tiling
from model_runner.inference.blending import Band
from model_runner.inference.computing import Computer
from model_runner.inference.engine import Throughput
from model_runner.inference.probability_maps import map_probabilities, predict_tiles
from model_runner.raster.pair import PairInput, RasterPair
from model_runner.report import Report


def find_changes(
    pair: RasterPair,
    network: torch.nn.Module,
    card: ModelCard,
    computer: Computer,
    tiling: Tiling,
    flips: bool,
    give_out: Callable[[Band], None],
    margin: int,
    report: Report,
) -> Throughput:
    """Give out the probability of change for the whole pair, in working pixels, and tell what the run did.

    Args:
        pair: the rasters.
        network: from normalised images of both dates to logits (n, 1, h, w) of change, or (n, 2, h, w) of none and of
            change.
        card: of the model.
        computer: computes.
        tiling: the user's wishes.
        flips: whether four mirrored views are averaged.
        give_out: takes the bands, see ``blending``; they have one probability a pixel.
        margin: columns that neighbouring strips are to share.
        report: is told of each batch.

    Raises:
        InputError: the overlap does not fit the tile size.
        OutOfMemory: not even one tile fits.
        Cancelled: the user asked to stop.
    """
    predict = change_finder(network, card, computer, flips)
    return map_probabilities(pair, pair.grid, 1, predict, card, computer, tiling, give_out, margin, report)


def likely_changes(threshold: float, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each pixel (h, w) has changed, by the smallest probability that counts, from probabilities (1, h, w).

    Returns:
        0 or 1, and the probability of change.
    """
    (probability,) = probabilities
    return (probability >= threshold).astype(np.uint8), probability


def change_finder(
    network: torch.nn.Module, card: ModelCard, computer: Computer, flips: bool
) -> Callable[[list[PairInput]], list[Tensor]]:
    """The function that predicts a batch of tiles: probabilities of change (1, h, w) each, float32 on the CPU."""
    return partial(_predict, network, card, computer, flips)


def _predict(
    network: torch.nn.Module, card: ModelCard, computer: Computer, flips: bool, tiles: list[PairInput]
) -> list[Tensor]:
    def probabilities(before: Tensor, after: Tensor) -> Tensor:
        with computer.autocast():
            logits = network(before, after).float()
        return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)[:, 1:]

    return predict_tiles(probabilities, list(zip(*tiles, strict=True)), card, computer, flips)
