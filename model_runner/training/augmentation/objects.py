# SPDX-License-Identifier: GPL-2.0-or-later
"""Oriented objects altered by chance, with the image that shows them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
import torch
from torch import Tensor

from model_runner.rotated_boxes.geometry import axes, corners, long_side_first, wrap_angle
from model_runner.training.augmentation.affine import (
    MEAN_COLOUR,
    MIRRORS,
    Flip,
    draw_focus,
    draw_linear,
    resample,
    turning,
)
from model_runner.training.augmentation.colours import jitter_colours
from model_runner.training.datasets.objects import MINIMUM_SIDE, ObjectDataset, Sample


def flip(sample: Sample, direction: Flip) -> Sample:
    """The sample mirrored as in the published pipeline, which counts integers as the centres of pixels.

    A centre x becomes W - 1 - x: against pixel centres at integer + 0.5 boxes move by one pixel to the left, or up.
    ``ObjectAugmentation`` mirrors without that.
    """
    across, down = MIRRORS[direction]
    height, width = sample.image.shape[1:]
    linear = np.diag([across, down])
    origin = np.array([width - 1 if across < 0 else 0, height - 1 if down < 0 else 0])
    axes = [axis for axis, sign in ((2, across), (1, down)) if sign < 0]
    return sample._replace(image=sample.image.flip(axes), boxes=_map_boxes(sample.boxes, linear, origin))


def rotate(sample: Sample, degrees: float, fill: tuple[int, ...] = MEAN_COLOUR) -> Sample:
    """The sample turned about its centre on a canvas of the same size, counter-clockwise on the screen."""
    height, width = sample.image.shape[1:]
    return transform(sample, turning(degrees), np.array([width / 2, height / 2]), height, width, fill)


def transform(
    sample: Sample,
    linear: np.ndarray,
    focus: np.ndarray,
    height: int,
    width: int,
    fill: tuple[int, ...] = MEAN_COLOUR,
) -> Sample:
    """The sample on another canvas: a point p goes to ``linear`` (p - focus) + the centre of the canvas.

    Objects are dropped whose centre leaves the canvas or that have a side below ``MINIMUM_SIDE``.

    Args:
        sample: what is mapped; the image is sampled bilinearly.
        linear: (2, 2), a turn with or without mirroring, times a scale.
        focus: (2,), x and y of the point that comes to the canvas's centre.
        height: of the canvas in pixels.
        width: of the canvas in pixels.
        fill: value of each band beyond the image.
    """
    centre = np.array([width / 2, height / 2])
    boxes = _map_boxes(sample.boxes, linear, centre - linear @ focus)
    image = resample(sample.image, linear, focus, height, width, fill)
    x, y = boxes[:, 0], boxes[:, 1]
    inside = (x > 0) & (x < width) & (y > 0) & (y < height) & (boxes[:, 2:4] >= MINIMUM_SIDE).all(1)
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


@dataclass(frozen=True)
class ObjectAugmentation:
    """Makes square training samples: scaled, turned, mirrored, cropped around an object or padded, in other light.

    A sample that has objects keeps one at least, unless all become too small.

    Attributes:
        side: of the samples in pixels.
        scale: the smallest and the largest factor.
        rotation_probability: of a turn by any angle.
        flip_probability: of each of the three flips.
        jitter: range of brightness, contrast and saturation, see ``jitter_colours``.
        fill: value of each band beyond the image.
    """

    side: int
    scale: tuple[float, float] = (0.75, 1.33)
    rotation_probability: float = 0.5
    flip_probability: float = 0.25
    jitter: float = 0.2
    fill: tuple[int, ...] = MEAN_COLOUR

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """A new sample by chance, in which only the generator decides."""
        return self.cut(sample, self.side, self.side, generator)

    def cut(self, sample: Sample, height: int, width: int, generator: np.random.Generator) -> Sample:
        """The same as a call, on a canvas of another size; boxes that reach beyond it end at its border."""
        linear = draw_linear(self.scale, self.rotation_probability, self.flip_probability, generator)
        size = np.array([sample.image.shape[2], sample.image.shape[1]], dtype=np.float64)
        anchor = generator.uniform(0, size)
        if len(sample.boxes):
            anchor = sample.boxes[generator.integers(len(sample.boxes)), :2].double().numpy()
        focus = draw_focus(anchor, size, linear, np.array([width, height]), generator)
        altered = transform(sample, linear, focus, height, width, self.fill)
        light = jitter_colours(altered.image, generator, self.jitter, self.jitter, self.jitter)
        return altered._replace(image=light, boxes=visible_parts(altered.boxes, height, width))


def join_mosaic(samples: Sequence[Sample], augment: ObjectAugmentation, generator: np.random.Generator) -> Sample:
    """Four samples, each altered by chance, around a random crossing on one canvas: a larger scene of small images.

    The crossing lies in the middle half of the canvas; ``samples`` go to the top-left, top-right, bottom-left and
    bottom-right part. The name is the first one's.
    """
    x, y = (round(augment.side * share) for share in generator.uniform(0.25, 0.75, 2))
    image = torch.empty(len(augment.fill), augment.side, augment.side, dtype=torch.uint8)
    parts = []
    for sample, (top, left) in zip(samples, ((0, 0), (0, x), (y, 0), (y, x)), strict=True):
        height, width = (augment.side - y if top else y), (augment.side - x if left else x)
        part = augment.cut(sample, height, width, generator)
        image[:, top : top + height, left : left + width] = part.image
        parts.append(part._replace(boxes=part.boxes + torch.tensor([left, top, 0.0, 0.0, 0.0])))
    boxes, labels, difficult = (torch.cat(each) for each in zip(*(part[1:4] for part in parts), strict=True))
    return Sample(image, boxes, labels, difficult, samples[0].name)


def alter_objects(
    augment: ObjectAugmentation, mosaic: float, samples: ObjectDataset, index: int, generator: np.random.Generator
) -> Sample:
    """A sample altered by chance; ``mosaic`` is the share of those that are joined with three others."""
    if generator.random() >= mosaic:
        return augment(samples[index], generator)
    chosen = [index, *generator.integers(len(samples), size=3).tolist()]
    return join_mosaic([samples[each] for each in chosen], augment, generator)
