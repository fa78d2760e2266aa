# SPDX-License-Identifier: GPL-2.0-or-later
"""Images with a label for each pixel, altered by chance: both go through the same affine map."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_runner.training.augmentation.affine import draw_focus, draw_linear, mean_colour, resample
from model_runner.training.augmentation.colours import jitter_colours, tint
from model_runner.training.datasets.maps import IGNORED, LabelledMap, MapDataset

DRAWS = 10  # until a sample is taken although one class covers most of it


@dataclass(frozen=True)
class MapAugmentation:
    """Makes square training samples: scaled, turned, mirrored, cropped or padded, each date in a light of its own.

    Attributes:
        side: of the samples in pixels.
        scale: the smallest and the largest factor.
        beyond: label of the pixels beyond the image.
        rotation_probability: of a turn by any angle.
        flip_probability: of each of the three flips.
        swap_probability: of the dates' exchange.
        jitter: range of brightness, contrast and saturation, see ``jitter_colours``.
        hues: range of the bands' factors, see ``tint``.
        largest_share: of a class in a sample, as far as a few draws can find such.
    """

    side: int
    scale: tuple[float, float]
    beyond: int = IGNORED
    rotation_probability: float = 0.5
    flip_probability: float = 0.25
    swap_probability: float = 0.0
    jitter: float = 0.2
    hues: float = 0.0
    largest_share: float = 1.0

    def __call__(self, sample: LabelledMap, generator: np.random.Generator) -> LabelledMap:
        """A new sample by chance, in which only the generator decides."""
        linear, focus, labels = self._draw_place(sample.labels, generator)
        dates, bands = sample.images.shape[:2]
        fill = mean_colour(bands) * dates
        images = resample(sample.images.flatten(0, 1), linear, focus, self.side, self.side, fill).unflatten(
            0, (dates, bands)
        )
        if generator.random() < self.swap_probability:
            images = images.flip(0)
        light = [tint(self._jittered(image, generator), generator, self.hues) for image in images]
        return sample._replace(images=torch.stack(light), labels=labels)

    def _draw_place(self, labels: Tensor, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Tensor]:
        """How the sample is mapped, and its labels (side, side)."""
        size = np.array([labels.shape[1], labels.shape[0]], dtype=np.float64)
        canvas = np.array([self.side, self.side])
        for _ in range(DRAWS):
            linear = draw_linear(self.scale, self.rotation_probability, self.flip_probability, generator)
            focus = draw_focus(generator.uniform(0, size), size, linear, canvas, generator)
            shown = resample(labels[None], linear, focus, self.side, self.side, (self.beyond,), "nearest")[0]
            if _largest_share(shown) <= self.largest_share:
                break
        return linear, focus, shown

    def _jittered(self, image: Tensor, generator: np.random.Generator) -> Tensor:
        return jitter_colours(image, generator, self.jitter, self.jitter, self.jitter)


def _largest_share(labels: Tensor) -> float:
    """Of the labelled pixels, that of the most frequent class."""
    counts = torch.bincount(labels.flatten().int(), minlength=IGNORED + 1)[:IGNORED]
    return float(counts.max() / counts.sum().clamp(min=1))


def alter_map(augment: MapAugmentation, samples: MapDataset, index: int, generator: np.random.Generator) -> LabelledMap:
    """A sample altered by chance."""
    return augment(samples[index], generator)
