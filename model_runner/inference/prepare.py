# SPDX-License-Identifier: GPL-2.0-or-later
"""From the pixels of tiles to what a network takes."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model_runner.contract.model_card import ModelCard
from model_runner.raster.source import TileInput

STRIDE = 32
SMALLEST_SIDE = 96


def prepare(tiles: Sequence[TileInput], card: ModelCard, device: torch.device) -> Tensor:
    """Normalised images for the network, by the card's mean and standard deviation.

    Pixels without data and the padding to a multiple of 32 are 0, which is the mean colour.

    Args:
        tiles: tiles of one size, pixels on the scale 0 to 255.
        card: the model's card.
        device: where the network is.

    Returns:
        (N, C, H, W) float32 on the device, channels last in memory.
    """
    pixels = torch.from_numpy(np.stack([tile.pixels for tile in tiles])).to(device).float()
    valid = torch.from_numpy(np.stack([tile.valid for tile in tiles])).to(device)
    mean = torch.tensor(card.mean, device=device).view(1, -1, 1, 1)
    std = torch.tensor(card.std, device=device).view(1, -1, 1, 1)
    images = (pixels - mean).div_(std).mul_(valid.unsqueeze(1))
    return pad_to_stride(images).contiguous(memory_format=torch.channels_last)


def pad_to_stride(images: Tensor) -> Tensor:
    """Images (N, C, H, W) with zeros added on the right and at the bottom, to a multiple of 32 from 96 on."""
    height, width = (max(SMALLEST_SIDE, -(-side // STRIDE) * STRIDE) for side in images.shape[-2:])
    return functional.pad(images, (0, width - images.shape[-1], 0, height - images.shape[-2]))
