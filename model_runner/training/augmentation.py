# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples altered by chance, so that a network sees more than was photographed.

Scale, rotation, flip and crop are one affine map, and the image is sampled once. Points follow the convention of
``rotated_boxes``: a pixel's centre is at integer + 0.5.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
import torch
from torch import Tensor
from torch.nn import functional as F

from model_runner.rotated_boxes.geometry import axes, corners, long_side_first, wrap_angle
from model_runner.training.datasets import Sample

MEAN_COLOUR = (124, 116, 104)  # of ImageNet, and of the borders of DOTA's published tiles
MINIMUM_SIDE = 5.0  # pixels; smaller boxes are no longer labels

Flip = Literal["horizontal", "vertical", "diagonal"]
MIRRORS: dict[Flip, tuple[int, int]] = {"horizontal": (-1, 1), "vertical": (1, -1), "diagonal": (-1, -1)}
LUMINANCE = (0.299, 0.587, 0.114)  # weights of red, green and blue, ITU-R BT.601


def flip(sample: Sample, direction: Flip) -> Sample:
    """The sample mirrored as in the published pipeline, which counts integers as the centres of pixels.

    A centre x becomes W - 1 - x: against pixel centres at integer + 0.5 boxes move by one pixel to the left, or up.
    ``RandomAugmentation`` mirrors without that.
    """
    across, down = MIRRORS[direction]
    height, width = sample.image.shape[1:]
    linear = np.diag([across, down])
    origin = np.array([width - 1 if across < 0 else 0, height - 1 if down < 0 else 0])
    axes = [axis for axis, sign in ((2, across), (1, down)) if sign < 0]
    return sample._replace(image=sample.image.flip(axes), boxes=_map_boxes(sample.boxes, linear, origin))


def rotate(sample: Sample, degrees: float, fill: tuple[int, int, int] = MEAN_COLOUR) -> Sample:
    """The sample turned about its centre on a canvas of the same size, counter-clockwise on the screen."""
    height, width = sample.image.shape[1:]
    return transform(sample, turning(degrees), np.array([width / 2, height / 2]), height, width, fill)


def turning(degrees: float) -> np.ndarray:
    """The matrix (2, 2) of a turn, counter-clockwise on the screen; y points down."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, sine], [-sine, cosine]])


def transform(
    sample: Sample,
    linear: np.ndarray,
    focus: np.ndarray,
    height: int,
    width: int,
    fill: tuple[int, int, int] = MEAN_COLOUR,
) -> Sample:
    """The sample on another canvas: a point p goes to ``linear`` (p - focus) + the centre of the canvas.

    Objects are dropped whose centre leaves the canvas or that have a side of ``MINIMUM_SIDE`` or less.

    Args:
        sample: what is mapped; the image is sampled bilinearly.
        linear: (2, 2), a turn with or without mirroring, times a scale.
        focus: (2,), x and y of the point that comes to the canvas's centre.
        height: of the canvas in pixels.
        width: of the canvas in pixels.
        fill: red, green, blue beyond the image.
    """
    centre = np.array([width / 2, height / 2])
    boxes = _map_boxes(sample.boxes, linear, centre - linear @ focus)
    image = _resample(sample.image, np.linalg.inv(linear), focus, height, width, fill)
    x, y = boxes[:, 0], boxes[:, 1]
    inside = (x > 0) & (x < width) & (y > 0) & (y < height) & (boxes[:, 2:4] > MINIMUM_SIDE).all(1)
    return sample._replace(image=image, boxes=boxes).where(inside)


def visible_parts(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes (n, 5) whose centres lie on a canvas, each shrunk, without a turn, to what the canvas shows of it."""
    shrunk = boxes.clone()
    vertices = corners(boxes.double())
    beyond = ((vertices < 0) | (vertices > vertices.new_tensor([width, height]))).flatten(1).any(1)
    canvas = shapely.box(0, 0, width, height)
    for index in beyond.nonzero()[:, 0].tolist():
        part = shapely.intersection(shapely.Polygon(vertices[index].numpy()), canvas)
        outline = torch.from_numpy(shapely.get_coordinates(part))
        frame = torch.cat(axes(boxes[index, 4:].double()))  # rows: along the w and along the h side
        low, high = (outline @ frame.T).aminmax(dim=0)
        shrunk[index, :2] = (low + high) / 2 @ frame
        shrunk[index, 2:4] = high - low
    return long_side_first(shrunk)


def _map_boxes(boxes: Tensor, linear: np.ndarray, origin: np.ndarray) -> Tensor:
    """Boxes (n, 5) under p -> linear p + origin, where ``linear`` keeps shapes: the same rectangles, exactly."""
    matrix = torch.from_numpy(np.asarray(linear, dtype=np.float64))
    mapped = boxes.double()
    direction = torch.stack((mapped[:, 4].cos(), mapped[:, 4].sin()), 1) @ matrix.T
    scale = math.sqrt(abs(np.linalg.det(linear)))
    return torch.cat(
        (
            mapped[:, :2] @ matrix.T + torch.from_numpy(origin),
            mapped[:, 2:4] * scale,
            wrap_angle(torch.atan2(direction[:, 1], direction[:, 0]))[:, None],
        ),
        1,
    ).to(boxes)


def _resample(
    image: Tensor, inverse: np.ndarray, focus: np.ndarray, height: int, width: int, fill: tuple[int, int, int]
) -> Tensor:
    """The canvas uint8 (3, height, width), whose point c shows the image's inverse (c - its centre) + focus."""
    reach = np.abs(inverse) @ (width / 2, height / 2) + 1  # from the focus, and a pixel for the interpolation
    limits = np.array([image.shape[2], image.shape[1]])
    left, top = np.clip(np.floor(focus - reach), 0, limits - 1).astype(int)
    right, bottom = np.clip(np.ceil(focus + reach), (left + 1, top + 1), limits).astype(int)
    size = np.array([right - left, bottom - top])
    # affine_grid counts from -1 to 1 between the edges of the canvas and of the part
    theta = np.column_stack((inverse * (width, height) / size[:, None], (2 * (focus - (left, top)) - size) / size))
    grid = F.affine_grid(torch.from_numpy(theta).float()[None], [1, 3, height, width], align_corners=False)
    background = torch.tensor(fill, dtype=torch.float32).view(3, 1, 1)
    part = image[:, top:bottom, left:right] - background  # what grid_sample finds outside is 0
    sampled = F.grid_sample(part[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    return (sampled + background).round_().clamp_(0, 255).byte()


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


def place_on_canvas(image: Tensor, height: int, width: int, fill: tuple[int, int, int] = MEAN_COLOUR) -> Tensor:
    """An image (3, h, w) in the top-left corner of a canvas (3, height, width) that is at least as large."""
    canvas = torch.tensor(fill, dtype=image.dtype).view(3, 1, 1).repeat(1, height, width)
    canvas[:, : image.shape[1], : image.shape[2]] = image
    return canvas


@dataclass(frozen=True)
class RandomAugmentation:
    """Makes square training samples: scaled, turned, mirrored, cropped around an object or padded, in other light.

    A sample that has objects keeps one at least, unless all become too small.

    Attributes:
        side: of the samples in pixels.
        scale: the smallest and the largest factor.
        rotation_probability: of a turn by any angle.
        flip_probability: of each of the three flips.
        jitter: range of brightness, contrast and saturation, see ``jitter_colours``.
        fill: red, green, blue beyond the image.
    """

    side: int
    scale: tuple[float, float] = (0.75, 1.33)
    rotation_probability: float = 0.5
    flip_probability: float = 0.25
    jitter: float = 0.2
    fill: tuple[int, int, int] = MEAN_COLOUR

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """A new sample by chance, in which only the generator decides."""
        return self.cut(sample, self.side, self.side, generator)

    def cut(self, sample: Sample, height: int, width: int, generator: np.random.Generator) -> Sample:
        """The same as a call, on a canvas of another size; boxes that reach beyond it end at its border."""
        linear = self._draw_linear(generator)
        focus = self._draw_focus(sample, linear, np.array([width, height]), generator)
        altered = transform(sample, linear, focus, height, width, self.fill)
        light = jitter_colours(altered.image, generator, self.jitter, self.jitter, self.jitter)
        return altered._replace(image=light, boxes=visible_parts(altered.boxes, height, width))

    def _draw_linear(self, generator: np.random.Generator) -> np.ndarray:
        """Scale, turn and flip as a matrix (2, 2)."""
        low, high = self.scale
        scale = math.exp(generator.uniform(math.log(low), math.log(high)))  # as often to a half as to the double
        degrees = generator.uniform(-180, 180) if generator.random() < self.rotation_probability else 0.0
        mirrors = [*MIRRORS.values(), (1, 1)]
        chances = [self.flip_probability] * 3 + [1 - 3 * self.flip_probability]
        return scale * turning(degrees) @ np.diag(mirrors[generator.choice(4, p=chances)])

    def _draw_focus(
        self, sample: Sample, linear: np.ndarray, canvas: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """The point (2,) of the image that comes to the centre of the canvas (width, height): near an object if any.

        As far as no object is lost by it, the canvas lies within a larger image and covers a smaller one.
        """
        size = np.array([sample.image.shape[2], sample.image.shape[1]], dtype=np.float64)
        anchor = generator.uniform(0, size)
        if len(sample.boxes):
            anchor = sample.boxes[generator.integers(len(sample.boxes)), :2].double().numpy()
        half = canvas / 2
        inverse = np.linalg.inv(linear)
        wanted = anchor + inverse @ generator.uniform(-half, half)
        half_here = np.full(2, half.max() / math.sqrt(abs(np.linalg.det(linear))))
        borders = np.sort([half_here, size - half_here], axis=0)
        offset = linear @ (np.clip(wanted, *borders) - anchor)
        return anchor + inverse @ np.clip(offset, 1 - half, half - 1)


def join_mosaic(samples: Sequence[Sample], augment: RandomAugmentation, generator: np.random.Generator) -> Sample:
    """Four samples, each altered by chance, around a random crossing on one canvas: a larger scene of small images.

    The crossing lies in the middle half of the canvas; ``samples`` go to the top-left, top-right, bottom-left and
    bottom-right part. The name is the first one's.
    """
    x, y = (round(augment.side * share) for share in generator.uniform(0.25, 0.75, 2))
    image = torch.empty(3, augment.side, augment.side, dtype=torch.uint8)
    parts = []
    for sample, (top, left) in zip(samples, ((0, 0), (0, x), (y, 0), (y, x)), strict=True):
        height, width = (augment.side - y if top else y), (augment.side - x if left else x)
        part = augment.cut(sample, height, width, generator)
        image[:, top : top + height, left : left + width] = part.image
        parts.append(part._replace(boxes=part.boxes + torch.tensor([left, top, 0.0, 0.0, 0.0])))
    boxes, labels, difficult = (torch.cat(each) for each in zip(*(part[1:4] for part in parts), strict=True))
    return Sample(image, boxes, labels, difficult, samples[0].name)
