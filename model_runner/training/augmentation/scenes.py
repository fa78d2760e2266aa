# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes altered by chance: cropped, turned, mirrored, in other light, and mixed two by two."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from model_runner.training.augmentation.affine import mean_colour, resample, turning
from model_runner.training.augmentation.colours import change_colours
from model_runner.training.datasets.scenes import LabelledScene, SceneDataset, resize_shorter_side

BLEND, PASTE = 0.8, 1.0  # parameters of the beta distributions of shares, as published with mixup and CutMix


@dataclass(frozen=True)
class SceneAugmentation:
    """Makes square training samples of scenes, which have no up and no down.

    Attributes:
        side: of the samples in pixels.
        scale: the smallest and the largest factor over the size at which the image fills the sample; the part of the
            image's area that is shown is drawn between the squares of their inverses.
        stretch: the largest factor by which one side is stretched over the other.
        rotation_probability: of a turn by any angle, on top of the quarter turns.
        changes: of colour, how many there are in a row.
    """

    side: int
    scale: tuple[float, float] = (1.0, 3.5)
    stretch: float = 4 / 3
    rotation_probability: float = 0.25
    changes: int = 2

    def __call__(self, image: Tensor, generator: np.random.Generator) -> Tensor:
        """A sample uint8 (bands, side, side) of an image uint8 (bands, H, W), in which only the generator decides."""
        image = self._without_what_is_too_fine(image)
        size = np.array([image.shape[2], image.shape[1]], dtype=np.float64)
        part = self._draw_part(size, generator)
        low, high = np.sort([part / 2, size - part / 2], axis=0)
        focus = generator.uniform(low, high)
        degrees = 90.0 * generator.integers(4)
        if generator.random() < self.rotation_probability:
            degrees += generator.uniform(-45, 45)
        mirror = np.diag([generator.choice((-1, 1)), 1])
        linear = turning(degrees) @ mirror @ np.diag(self.side / part)
        sample = resample(image, linear, focus, self.side, self.side, mean_colour(len(image)))
        return change_colours(sample, generator, self.changes)

    def _without_what_is_too_fine(self, image: Tensor) -> Tensor:
        """The image averaged to twice the sample's side if it is larger: sampling looks at single pixels."""
        return resize_shorter_side(image, min(2 * self.side, *image.shape[1:]))

    def _draw_part(self, size: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Width and height (2,) of the part of an image that is shown."""
        smallest, largest = (1 / factor**2 for factor in reversed(self.scale))
        side = math.sqrt(generator.uniform(smallest, largest)) * math.sqrt(size.prod())
        stretch = math.exp(generator.uniform(-1, 1) * math.log(self.stretch) / 2)
        return np.minimum([side * stretch, side / stretch], size * max(1.0, 1 / self.scale[0]))


def alter_scenes(
    augment: SceneAugmentation, mixing: float, samples: SceneDataset, index: int, generator: np.random.Generator
) -> LabelledScene:
    """A sample altered by chance; ``mixing`` is the share of those that are mixed with another."""
    first = _altered(augment, samples[index], generator)
    if generator.random() >= mixing:
        return first
    other = _altered(augment, samples[int(generator.integers(len(samples)))], generator)
    mix = blend if generator.random() < 0.5 else paste
    return mix(first, other, generator)


def _altered(augment: SceneAugmentation, scene: LabelledScene, generator: np.random.Generator) -> LabelledScene:
    return scene._replace(image=augment(scene.image, generator))


def blend(first: LabelledScene, other: LabelledScene, generator: np.random.Generator) -> LabelledScene:
    """Two scenes of one size seen through each other (mixup, Zhang et al., ICLR 2018)."""
    share = generator.beta(BLEND, BLEND)
    image = (share * first.image.float() + (1 - share) * other.image.float()).round_().byte()
    return first._replace(image=image, shares=share * first.shares + (1 - share) * other.shares)


def paste(first: LabelledScene, other: LabelledScene, generator: np.random.Generator) -> LabelledScene:
    """A rectangle of one scene pasted into another of its size (CutMix, Yun et al., ICCV 2019)."""
    height, width = first.image.shape[1:]
    side = math.sqrt(1 - generator.beta(PASTE, PASTE))
    middle = generator.uniform(0, (height, width))
    half = side * np.array([height, width]) / 2
    (top, left), (bottom, right) = np.clip(np.round([middle - half, middle + half]), 0, (height, width)).astype(int)
    image = first.image.clone()
    image[:, top:bottom, left:right] = other.image[:, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return first._replace(image=image, shares=share * first.shares + (1 - share) * other.shares)
