# SPDX-License-Identifier: GPL-2.0-or-later
"""From the pixels of tiles to what a network takes.

Networks take sides that are multiples of 32, from 96 on, so what is smaller must be filled up. For maps and scenes the
ground goes on there as its mirror image: beside a plain colour, networks find what is not there. Detectors see the mean
colour, as the published ones: an object that the border cuts, joined with its mirror image, would get too long a box.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model_runner.contract.model_card import ModelCard
from model_runner.raster.source import TileInput
from model_runner.raster.tiling import network_side


def prepare(tiles: Sequence[TileInput], card: ModelCard, device: torch.device) -> Tensor:
    """Normalised images for the network, by the card's mean and standard deviation.

    Pixels without data, and those that are added on the right and at the bottom, are 0, which is the mean colour.

    Args:
        tiles: tiles of one size, pixels on the scale 0 to 255.
        card: the model's card.
        device: where the network is.

    Returns:
        (N, C, H, W) float32 on the device, channels last in memory.
    """
    images, _ = _normalise(tiles, card, device)
    count, bands, height, width = images.shape
    shape = (count, bands, network_side(height), network_side(width))
    canvas = torch.empty(shape, device=device, memory_format=torch.channels_last).zero_()
    canvas[:, :, :height, :width] = images
    return canvas


def prepare_mirrored(tiles: Sequence[TileInput], card: ModelCard, device: torch.device) -> Tensor:
    """As ``prepare``, but each image goes on as its mirror image, again and again if need be, where its data end.

    Data end with the first and the last of an image's rows and columns that have any; pixels without data between
    these are 0.
    """
    if not any(map(_has_ends, tiles)):
        return prepare(tiles, card, device)
    images, valid = _normalise(tiles, card, device)
    rows = _mirrored(valid.any(2), network_side(images.shape[-2]))
    columns = _mirrored(valid.any(1), network_side(images.shape[-1]))
    places = rows[:, :, None] * images.shape[-1] + columns[:, None]
    places += torch.arange(len(images), device=device).view(-1, 1, 1) * valid[0].numel()
    pixels = images.permute(0, 2, 3, 1).flatten(0, 2)  # a row each, which makes picking them fast
    return pixels.index_select(0, places.flatten()).unflatten(0, places.shape).permute(0, 3, 1, 2)


def _normalise(tiles: Sequence[TileInput], card: ModelCard, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images (N, C, h, w), 0 where they have no data, and where they have data (N, h, w)."""
    pixels = torch.from_numpy(np.stack([tile.pixels for tile in tiles])).to(device).float()
    valid = torch.from_numpy(np.stack([tile.valid for tile in tiles])).to(device)
    mean = torch.tensor(card.mean, device=device).view(1, -1, 1, 1)
    std = torch.tensor(card.std, device=device).view(1, -1, 1, 1)
    return pixels.sub_(mean).div_(std).mul_(valid.unsqueeze(1)), valid


def _has_ends(tile: TileInput) -> bool:
    """Whether the data of a tile end before what the network sees does."""
    edges = (tile.valid[0], tile.valid[-1], tile.valid[:, 0], tile.valid[:, -1])
    return any(side != network_side(side) for side in tile.valid.shape) or not all(edge.any() for edge in edges)


def _mirrored(has_data: Tensor, length: int) -> Tensor:
    """Which places (N, length) along axes are shown, if what has data (N, L) is mirrored at both ends of it."""
    first = has_data.int().argmax(1, keepdim=True)
    count = has_data.shape[1] - has_data.flip(1).int().argmax(1, keepdim=True) - first
    steps = (torch.arange(length, device=has_data.device) - first) % (2 * count)
    return first + torch.minimum(steps, 2 * count - 1 - steps)
