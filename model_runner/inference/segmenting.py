# SPDX-License-Identifier: GPL-2.0-or-later
"""Segmentation in an open raster: probabilities of classes, pixel by pixel."""

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
from model_runner.raster.source import RasterSource, TileInput
from model_runner.report import Report


def find_classes(
    source: RasterSource,
    network: torch.nn.Module,
    card: ModelCard,
    computer: Computer,
    tiling: Tiling,
    flips: bool,
    give_out: Callable[[Band], None],
    margin: int,
    report: Report,
) -> Throughput:
    """Give out the probabilities of the classes for the whole raster, in working pixels, and tell what the run did.

    Args:
        source: the raster.
        network: from normalised images to logits (n, classes, h, w).
        card: of the model.
        computer: computes.
        tiling: the user's wishes.
        flips: whether four mirrored views are averaged.
        give_out: takes the bands, see ``blending``.
        margin: columns that neighbouring strips are to share.
        report: is told of each batch.

    Raises:
        InputError: the overlap does not fit the tile size.
        OutOfMemory: not even one tile fits.
        Cancelled: the user asked to stop.
    """
    predict = segmenter(network, card, computer, flips)
    classes = len(card.classes)
    return map_probabilities(source, source.grid, classes, predict, card, computer, tiling, give_out, margin, report)


def likeliest_classes(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class of each pixel and its probability (h, w), from probabilities (classes, h, w)."""
    highest, numbers = torch.from_numpy(probabilities).max(0)
    return numbers.numpy(), highest.numpy()


def segmenter(
    network: torch.nn.Module, card: ModelCard, computer: Computer, flips: bool
) -> Callable[[list[TileInput]], list[Tensor]]:
    """The function that predicts a batch of tiles: probabilities (classes, h, w) each, float32 on the CPU."""
    return partial(_predict, network, card, computer, flips)


def _predict(
    network: torch.nn.Module, card: ModelCard, computer: Computer, flips: bool, tiles: list[TileInput]
) -> list[Tensor]:
    def probabilities(images: Tensor) -> Tensor:
        with computer.autocast():
            logits = network(images)
        return logits.float().softmax(1)

    return predict_tiles(probabilities, [tiles], card, computer, flips)
