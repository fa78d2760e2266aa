# SPDX-License-Identifier: GPL-2.0-or-later
"""Images on another canvas: scaled, turned, mirrored and cropped in one affine map, sampled once.

Points follow the convention of ``rotated_boxes``: a pixel's centre is at integer + 0.5.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model_runner.raster.tiling import network_side

MEAN_COLOUR = (124, 116, 104)  # of ImageNet, and of the borders of DOTA's published tiles
MEAN_VALUE = 114  # of bands that are no colours

Flip = Literal["horizontal", "vertical", "diagonal"]
MIRRORS: dict[Flip, tuple[int, int]] = {"horizontal": (-1, 1), "vertical": (1, -1), "diagonal": (-1, -1)}


def mean_colour(bands: int) -> tuple[int, ...]:
    """What is put where there is no image."""
    return MEAN_COLOUR if bands == len(MEAN_COLOUR) else (MEAN_VALUE,) * bands


def turning(degrees: float) -> np.ndarray:
    """The matrix (2, 2) of a turn, counter-clockwise on the screen; y points down."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, sine], [-sine, cosine]])


def draw_linear(
    scale: tuple[float, float], rotation_probability: float, flip_probability: float, generator: np.random.Generator
) -> np.ndarray:
    """Scale, turn and flip by chance, as a matrix (2, 2).

    Args:
        scale: the smallest and the largest factor.
        rotation_probability: of a turn by any angle.
        flip_probability: of each of the three flips.
        generator: decides.
    """
    low, high = scale
    factor = math.exp(generator.uniform(math.log(low), math.log(high)))  # as often to a half as to the double
    degrees = generator.uniform(-180, 180) if generator.random() < rotation_probability else 0.0
    mirrors = [*MIRRORS.values(), (1, 1)]
    chances = [flip_probability] * 3 + [1 - 3 * flip_probability]
    return factor * turning(degrees) @ np.diag(mirrors[generator.choice(4, p=chances)])


def draw_focus(
    anchor: np.ndarray, size: np.ndarray, linear: np.ndarray, canvas: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The point (2,) of an image that comes to the centre of the canvas, so that the canvas shows the anchor.

    As far as the anchor is not lost by it, the canvas lies within a larger image and covers a smaller one.

    Args:
        anchor: (2,), x and y of a point of the image.
        size: (2,), width and height of the image.
        linear: (2, 2), what the image is mapped by.
        canvas: (2,), its width and height.
        generator: decides.
    """
    half = canvas / 2
    inverse = np.linalg.inv(linear)
    wanted = anchor + inverse @ generator.uniform(-half, half)
    half_here = np.full(2, half.max() / math.sqrt(abs(np.linalg.det(linear))))
    borders = np.sort([half_here, size - half_here], axis=0)
    offset = linear @ (np.clip(wanted, *borders) - anchor)
    return anchor + inverse @ np.clip(offset, 1 - half, half - 1)


def resample(
    image: Tensor,
    linear: np.ndarray,
    focus: np.ndarray,
    height: int,
    width: int,
    fill: tuple[int, ...],
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """A canvas uint8 (c, height, width), to which a point p goes as ``linear`` (p - focus) + the canvas's centre.

    Args:
        image: uint8 (c, h, w).
        linear: (2, 2).
        focus: (2,), x and y of the point that comes to the canvas's centre.
        height: of the canvas in pixels.
        width: of the canvas in pixels.
        fill: values (c,) beyond the image.
        mode: how the image is interpolated; numbers of classes are taken from the nearest pixel.
    """
    inverse = np.linalg.inv(linear)
    reach = np.abs(inverse) @ (width / 2, height / 2) + 1  # from the focus, and a pixel for the interpolation
    limits = np.array([image.shape[2], image.shape[1]])
    left, top = np.clip(np.floor(focus - reach), 0, limits - 1).astype(int)
    right, bottom = np.clip(np.ceil(focus + reach), (left + 1, top + 1), limits).astype(int)
    size = np.array([right - left, bottom - top])
    # affine_grid counts from -1 to 1 between the edges of the canvas and of the part
    theta = np.column_stack((inverse * (width, height) / size[:, None], (2 * (focus - (left, top)) - size) / size))
    grid = F.affine_grid(torch.from_numpy(theta).float()[None], [1, len(fill), height, width], align_corners=False)
    background = torch.tensor(fill, dtype=torch.float32).view(-1, 1, 1)
    part = image[:, top:bottom, left:right] - background  # what grid_sample finds outside is 0
    sampled = F.grid_sample(part[None], grid, mode=mode, padding_mode="zeros", align_corners=False)[0]
    return (sampled + background).round_().clamp_(0, 255).byte()


def place_on_canvas(image: Tensor, height: int, width: int, fill: tuple[int, ...] = MEAN_COLOUR) -> Tensor:
    """An image (c, h, w) in the top-left corner of a canvas (c, height, width) that is at least as large."""
    canvas = torch.tensor(fill, dtype=image.dtype).view(-1, 1, 1).repeat(1, height, width)
    canvas[:, : image.shape[1], : image.shape[2]] = image
    return canvas


def place_on_common_canvas(images: Sequence[Tensor], fill: tuple[int, ...] | None = None) -> Tensor:
    """Images (c, h, w) on canvases of one size that networks take: (n, c, H, W); ``fill`` is else the mean colour."""
    fill = fill or mean_colour(len(images[0]))
    height, width = (network_side(max(image.shape[axis] for image in images)) for axis in (1, 2))
    return torch.stack([place_on_canvas(image, height, width, fill) for image in images])
