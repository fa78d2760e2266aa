# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes of several grounds whose classes are known to the pixel."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from model_runner.training.composed_scenes.grounds import CLASSES, Grounds

REGIONS = (2, 5)  # fewest and most grounds in a scene
STRIP_PROBABILITY = 0.35  # of a river or a road across the scene
WATER, PAVEMENT = CLASSES.index("water"), CLASSES.index("pavement")


class Scene(NamedTuple):
    """An image uint8 (side, side, 3) and the class of each pixel, uint8 (side, side)."""

    image: np.ndarray
    labels: np.ndarray


def compose_scene(grounds: Grounds, side: int, generator: np.random.Generator) -> Scene:
    """A scene of a few grounds, in which only the generator decides."""
    kinds = generator.permutation(len(CLASSES))[: generator.integers(REGIONS[0], REGIONS[1] + 1)]
    regions = draw_regions(len(kinds), side, generator)
    image = grounds.texture(kinds[0], side, generator).astype(np.float32)
    labels = np.full((side, side), kinds[0], np.uint8)
    for number, kind in enumerate(kinds[1:], 1):
        image = cover(image, grounds.texture(kind, side, generator), regions == number)
        labels[regions == number] = kind
    if generator.random() < STRIP_PROBABILITY:
        kind = generator.choice([WATER, PAVEMENT])
        strip = draw_strip(side, generator)
        image = cover(image, grounds.texture(kind, side, generator), strip)
        labels[strip] = kind
    return Scene(np.clip(image + 0.5, 0, 255).astype(np.uint8), labels)


def draw_regions(count: int, side: int, generator: np.random.Generator) -> np.ndarray:
    """Numbers (side, side) of the regions around random points, with ragged borders."""
    points = generator.uniform(0, side, (count, 2))
    rows, columns = np.mgrid[:side, :side]
    roughness = generator.uniform(0.05, 0.35) * side
    distances = [
        np.hypot(rows - row, columns - column) + roughness * smooth_noise(side, generator) for row, column in points
    ]
    return np.argmin(distances, axis=0)


def draw_strip(side: int, generator: np.random.Generator) -> np.ndarray:
    """A winding strip across the scene, bool (side, side)."""
    angle = generator.uniform(0, np.pi)
    rows, columns = np.mgrid[:side, :side] - side / 2
    across = rows * np.cos(angle) + columns * np.sin(angle) + generator.uniform(-0.3, 0.3) * side
    across = across + generator.uniform(0, 0.2) * side * smooth_noise(side, generator, coarsest=2)
    return np.abs(across) < generator.uniform(0.03, 0.1) * side


def draw_blob(side: int, share: float, generator: np.random.Generator) -> np.ndarray:
    """A ragged patch, bool (side, side), that covers about that share of the scene."""
    rows, columns = np.mgrid[:side, :side]
    row, column = generator.uniform(0.15, 0.85, 2) * side
    distance = np.hypot(rows - row, (columns - column) * np.exp(generator.uniform(-0.5, 0.5)))
    distance = distance + 0.2 * side * smooth_noise(side, generator)
    return distance < np.quantile(distance, share)


def smooth_noise(side: int, generator: np.random.Generator, coarsest: int = 3) -> np.ndarray:
    """Noise (side, side) between about -1 and 1, smooth at first sight and ragged at the second."""
    noise, strength, cells = np.zeros((side, side), np.float32), 1.0, coarsest
    while cells < side / 4:
        octave = Image.fromarray(generator.uniform(-1, 1, (cells + 2, cells + 2)).astype(np.float32))
        noise += strength * np.asarray(octave.resize((side, side), Image.Resampling.BICUBIC))
        strength, cells = strength / 2, cells * 2
    return noise


def cover(image: np.ndarray, ground: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The image with another ground where ``where`` says so; the border is as soft as a camera sees it."""
    padded = np.pad(where.astype(np.float32), 1, mode="edge")
    side = where.shape[0]
    share = sum(padded[row : row + side, column : column + side] for row in range(3) for column in range(3)) / 9
    return image + share[..., None] * (ground - image)
