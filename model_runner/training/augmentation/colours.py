# SPDX-License-Identifier: GPL-2.0-or-later
"""Images in other light."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)  # weights of red, green and blue, ITU-R BT.601
STRENGTH = 0.6  # the largest amount of a change


def jitter_colours(
    image: Tensor,
    generator: np.random.Generator,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
) -> Tensor:
    """An image uint8 (bands, H, W) with other light: each of the three factors is drawn from 1 - value to 1 + value.

    Saturation mixes with the pixel's own grey, contrast with the mean grey of the image. All three are linear in the
    bands, so that each pixel is multiplied by one matrix. Grey is the luminance of colours, else the bands' mean.
    """
    bright, contrasted, saturated = (1 + generator.uniform(-1, 1, 3) * (brightness, contrast, saturation)).tolist()
    bands = len(image)
    to_grey = torch.tensor(LUMINANCE if bands == 3 else [1 / bands] * bands).expand(bands, bands)
    pixels = image.flatten(1).float()
    mean_grey = to_grey[0] @ pixels.mean(1)
    matrix = bright * contrasted * (saturated * torch.eye(bands) + (1 - saturated) * to_grey)
    shift = (bright * (1 - contrasted) * mean_grey).expand(bands, 1)
    return torch.addmm(shift, matrix, pixels).round_().clamp_(0, 255).byte().view_as(image)


def tint(image: Tensor, generator: np.random.Generator, amount: float) -> Tensor:
    """An image uint8 (bands, H, W) of another hue, as of another season: each band by a factor of its own.

    Factors are drawn from 1 - ``amount`` to 1 + ``amount``.
    """
    factors = torch.from_numpy(1 + generator.uniform(-amount, amount, len(image))).float().view(-1, 1, 1)
    return (image * factors).round_().clamp_(0, 255).byte()


def change_colours(image: Tensor, generator: np.random.Generator, count: int) -> Tensor:
    """An image uint8 (bands, H, W) after ``count`` changes drawn from ``CHANGES``, each of a random strength.

    These are the changes of colour of RandAugment (Cubuk et al., 2020). Bands that are no colours come in other light.
    """
    if len(image) != 3:
        return jitter_colours(image, generator, *(STRENGTH * count / 4,) * 3)
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    for number in generator.integers(len(CHANGES), size=count):
        picture = CHANGES[number](picture, generator.uniform(-STRENGTH, STRENGTH))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def _enhance(kind: type, picture: Image.Image, amount: float) -> Image.Image:
    return kind(picture).enhance(1 + amount)


# of a picture, by an amount from -1 to 1; the first one is none
CHANGES: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda picture, amount: picture,
    lambda picture, amount: ImageOps.autocontrast(picture),
    lambda picture, amount: ImageOps.equalize(picture),
    lambda picture, amount: ImageOps.posterize(picture, 8 - round(4 * abs(amount))),
    lambda picture, amount: ImageOps.solarize(picture, 256 - round(128 * abs(amount))),
    partial(_enhance, ImageEnhance.Color),
    partial(_enhance, ImageEnhance.Contrast),
    partial(_enhance, ImageEnhance.Brightness),
    partial(_enhance, ImageEnhance.Sharpness),
)
