# SPDX-License-Identifier: GPL-2.0-or-later
"""Images in other light."""

import numpy as np
import torch
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)  # weights of red, green and blue, ITU-R BT.601


def jitter_colours(
    image: Tensor,
    generator: np.random.Generator,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
) -> Tensor:
    """An image uint8 (3, H, W) with other light: each of the three factors is drawn from 1 - value to 1 + value.

    Saturation mixes with the pixel's own grey, contrast with the mean grey of the image. All three are linear in red,
    green and blue, so that each pixel is multiplied by one matrix.
    """
    bright, contrasted, saturated = (1 + generator.uniform(-1, 1, 3) * (brightness, contrast, saturation)).tolist()
    to_grey = torch.tensor(LUMINANCE).expand(3, 3)
    pixels = image.flatten(1).float()
    mean_grey = to_grey[0] @ pixels.mean(1)
    matrix = bright * contrasted * (saturated * torch.eye(3) + (1 - saturated) * to_grey)
    shift = (bright * (1 - contrasted) * mean_grey).expand(3, 1)
    return torch.addmm(shift, matrix, pixels).round_().clamp_(0, 255).byte().view_as(image)
