# SPDX-License-Identifier: GPL-2.0-or-later
"""One place at two dates: some of it has changed, and much else only looks different."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from model_runner.training.composed_scenes.grounds import CLASSES, Grounds
from model_runner.training.composed_scenes.scenes import PAVEMENT, WATER, compose_scene, cover, draw_blob

UNCHANGED_PROBABILITY = 0.25
VEGETATION = tuple(CLASSES.index(name) for name in ("field", "forest", "shrubs"))
LARGEST_SHIFT = 2.0  # pixels between the dates
SHADOW = 0.45  # of the light
ROOFS = ((168, 88, 70), (120, 118, 116), (208, 204, 198), (88, 82, 80), (156, 136, 112), (92, 104, 120))


class Pair(NamedTuple):
    """Two images uint8 (side, side, 3) and where the ground has changed, bool (side, side)."""

    before: np.ndarray
    after: np.ndarray
    changed: np.ndarray


def compose_pair(grounds: Grounds, side: int, generator: np.random.Generator) -> Pair:
    """A pair in which only the generator decides; patches of ground and buildings come and go.

    Light, season, waves, wetness, noise and a shift of up to two pixels differ too and count as no change.
    """
    scene = compose_scene(grounds, side, generator)
    before = scene.image.astype(np.float32)
    after = _with_other_waves(grounds, before, scene.labels, generator)
    changed = np.zeros((side, side), bool)
    light = generator.uniform(-1, 1, 2) * (4, 4)
    standing = [_Building.drawn(side, light, generator) for _ in range(generator.integers(0, 4))]
    if generator.random() >= UNCHANGED_PROBABILITY:
        for _ in range(generator.integers(0, 3)):
            blob = draw_blob(side, generator.uniform(0.01, 0.12), generator)
            kind = generator.integers(len(CLASSES))
            where = blob & (scene.labels != kind)
            after = cover(after, grounds.texture(kind, side, generator), where)
            changed |= where
        for _ in range(generator.integers(1, 6)):
            building = _Building.drawn(side, light, generator)
            if generator.random() < 0.6:
                after = building.on(after)
            else:
                before = building.on(before)
            changed |= building.roof
    for building in standing:  # at both dates, and over what may have changed there
        before, after = building.on(before), building.on(after)
        changed &= ~building.roof
    if generator.random() < 0.5:
        before, after = after, before
    after = _shift(after, generator.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 2))
    return Pair(_photograph(before, scene.labels, generator), _photograph(after, scene.labels, generator), changed)


def _with_other_waves(
    grounds: Grounds, image: np.ndarray, labels: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The image with other water where there is water, half of the times."""
    if generator.random() < 0.5:
        return image
    return cover(image, grounds.texture(WATER, labels.shape[0], generator), labels == WATER)


class _Building(NamedTuple):
    """A roof, bool (side, side), its colours (side, side, 3), and where its shadow falls."""

    roof: np.ndarray
    colours: np.ndarray
    shadow: np.ndarray

    @classmethod
    def drawn(cls, side: int, light: np.ndarray, generator: np.random.Generator) -> "_Building":
        """A gabled or flat roof, rectangular or of two wings, at any angle."""
        angle = generator.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        length, width = generator.uniform(14, 60), generator.uniform(10, 28)
        centre = generator.uniform(0, side, 2)
        wings = [(centre, length, width)]
        if generator.random() < 0.35:
            wings.append((centre + along * length / 3 + across * width / 2, width, length * 0.6))
        roof, shadow = _filled(side, wings, along, across, 0), _filled(side, wings, along, across, light)
        colour = np.array(ROOFS[generator.integers(len(ROOFS))]) * generator.uniform(0.8, 1.2)
        rows, columns = np.mgrid[:side, :side]
        beyond_ridge = (columns - centre[0]) * across[0] + (rows - centre[1]) * across[1] > 0
        slope = np.where(beyond_ridge & (generator.random() < 0.7), generator.uniform(0.65, 0.9), 1.0)
        grain = generator.normal(0, 5, (side, side, 1))
        return cls(roof, colour * slope[..., None] + grain, shadow & ~roof)

    def on(self, image: np.ndarray) -> np.ndarray:
        """The image with the building."""
        image = cover(image, image * SHADOW, self.shadow)
        return cover(image, self.colours, self.roof)


def _filled(side: int, wings: list, along: np.ndarray, across: np.ndarray, offset: np.ndarray | int) -> np.ndarray:
    mask = Image.new("1", (side, side))
    pen = ImageDraw.Draw(mask)
    for centre, length, width in wings:
        half_length, half_width = along * length / 2, across * width / 2
        corners = (
            centre - half_length - half_width,
            centre + half_length - half_width,
            centre + half_length + half_width,
            centre - half_length + half_width,
        )
        pen.polygon([tuple(corner + offset) for corner in corners], fill=1)
    return np.asarray(mask)


def _shift(image: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The image moved by x and y pixels."""
    moved = Image.fromarray(np.clip(image + 0.5, 0, 255).astype(np.uint8)).transform(
        image.shape[1::-1], Image.Transform.AFFINE, (1, 0, -offset[0], 0, 1, -offset[1]), Image.Resampling.BICUBIC
    )
    covered = np.asarray(moved).astype(np.float32)
    border = int(np.ceil(LARGEST_SHIFT))
    covered[:border], covered[-border:] = image[:border], image[-border:]
    covered[:, :border], covered[:, -border:] = image[:, :border], image[:, -border:]
    return covered


def _photograph(image: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The ground in some light and season, with the noise of a camera."""
    seen = image / 255
    season = generator.uniform(-0.2, 0.25)
    turned = seen * (1 + season * np.array([1.0, 0.3, -0.6]))
    seen = np.where(np.isin(labels, VEGETATION)[..., None], turned, seen)
    seen = np.where((labels == PAVEMENT)[..., None], seen * generator.uniform(0.9, 1.1), seen)  # wet or dry
    gains = generator.uniform(0.75, 1.25) * generator.uniform(0.92, 1.08, 3)
    haze = generator.uniform(0, 0.12)
    seen = np.clip(seen * gains * (1 - haze) + haze, 0, 1) ** generator.uniform(0.85, 1.2)
    noise = generator.normal(0, generator.uniform(0, 0.02), image.shape)
    return np.clip((seen + noise) * 255 + 0.5, 0, 255).astype(np.uint8)
