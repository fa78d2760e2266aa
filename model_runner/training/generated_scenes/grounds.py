# SPDX-License-Identifier: GPL-2.0-or-later
"""Grounds on which things stand: surfaces, patches of other soil, joints, stains and painted lines."""

import numpy as np
from PIL import Image

from model_runner.training.generated_scenes.canvas import (
    Colour,
    Layer,
    Light,
    circle,
    directions,
    jitter,
    mottle,
    pick,
    rectangle,
    shaded,
)

CONCRETE = (
    (4, (168, 152, 136)), (3, (158, 172, 166)), (3, (142, 140, 134)), (3, (118, 112, 92)), (2, (198, 198, 190)),
    (2, (66, 72, 68)), (2, (136, 118, 104)), (1, (44, 48, 52)), (1, (120, 128, 92)),
)  # fmt: skip
ASPHALT = (
    (4, (78, 78, 80)),
    (3, (104, 102, 98)),
    (3, (128, 120, 110)),
    (2, (56, 58, 64)),
    (2, (176, 168, 152)),
    (1, (92, 92, 70)),
)
GRAVEL = (
    (3, (150, 142, 132)),
    (3, (112, 112, 110)),
    (3, (172, 156, 140)),
    (2, (92, 98, 96)),
    (2, (120, 128, 96)),
    (2, (196, 192, 184)),
)
WATER = (
    (4, (22, 66, 66)),
    (3, (28, 34, 46)),
    (3, (58, 72, 82)),
    (2, (10, 14, 20)),
    (2, (66, 78, 72)),
    (1, (104, 96, 74)),
    (1, (20, 84, 88)),
)
SOILS = ((4, (96, 116, 72)), (3, (132, 128, 92)), (3, (172, 148, 120)), (1, (70, 92, 60)), (1, (196, 190, 178)))


def ground(
    rng: np.random.Generator,
    image: np.ndarray,
    light: Light,
    colours: tuple,
    coverage: float = 1.0,
    patchiness: float = 0.0,
) -> tuple[np.ndarray, Colour]:
    """Cover the image, or the part of it on one side of a line, with a surface.

    Args:
        rng: source of chance.
        image: float32 (H, W, 3).
        light: light of the scene.
        colours: (weight, colour) pairs.
        coverage: 1 covers everything; below, a strip of the image stays visible.
        patchiness: how often other surfaces show through.

    Returns:
        The new image, and the colour of the ground.
    """
    size = image.shape[0]
    colour = jitter(rng, pick(rng, colours), 12)
    texture = mottle(rng, size, rng.uniform(0.01, 0.07), rng.uniform(0.005, 0.05))
    layer = Layer(size, light)
    reach = 2.0 * size
    if coverage >= 1:
        layer.polygon(rectangle(-1, -1, size + 1, size + 1), colour)
    else:
        angle = rng.uniform(0, 2 * np.pi)
        along, across = directions(angle)
        start = size / 2 + across * (0.5 - coverage) * size
        corners = np.array([start - along * reach, start + along * reach])
        layer.polygon(np.concatenate([corners, corners[::-1] + across * reach]), colour)
        if rng.random() < 0.5:
            layer.line(corners + across * rng.uniform(2, 6), shaded(colour, rng.uniform(0.6, 1.5)), rng.uniform(0.7, 3))
    image = layer.onto(image, 1.0, texture)
    return (_overgrown(rng, image) if rng.random() < patchiness else image), colour


def _overgrown(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Patches of another surface (grass, sand, dirt) with ragged edges."""
    size = image.shape[0]
    cells = int(rng.integers(3, 9))
    smooth = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    where = np.asarray(smooth.resize((size, size), Image.Resampling.BICUBIC)) + mottle(rng, size, 0.25, 0.08) - 1
    weight = np.clip((where - rng.uniform(0.0, 1.0)) * rng.uniform(0.8, 5), 0, 1)[..., None] * rng.uniform(0.4, 1)
    surface = np.float32(jitter(rng, pick(rng, SOILS), 14)) * mottle(rng, size, 0.1, rng.uniform(0.03, 0.15))[..., None]
    return image * (1 - weight) + surface * weight


def pavement_marks(
    rng: np.random.Generator, image: np.ndarray, light: Light, colour: Colour, angle: float, pixels_per_metre: float
) -> np.ndarray:
    """Joints between slabs, patches, stains and painted lines of an apron."""
    size, layer, faint = image.shape[0], Layer(image.shape[0], light), Layer(image.shape[0], light)
    along, across = directions(angle)
    for _ in range(rng.integers(0, 6)):
        middle, extent = rng.uniform(0, size, 2), rng.uniform(8, 60, 2)
        corners = (
            middle
            + (along * extent[0]) * np.array([[-1], [1], [1], [-1]])
            + (across * extent[1]) * np.array([[-1], [-1], [1], [1]])
        )
        faint.polygon(corners, shaded(colour, rng.uniform(0.65, 1.25)))
    if rng.random() < 0.75:
        step = pixels_per_metre * rng.uniform(4.5, 8)
        dark = shaded(colour, rng.uniform(0.35, 0.85))
        for direction, other in ((along, across), (across, along)):
            for offset in np.arange(-size, size, step):
                middle = size / 2 + other * (offset + rng.normal(0, 0.3))
                faint.line(
                    np.array([middle - direction * size, middle + direction * size]), dark, rng.uniform(0.25, 0.8)
                )
    image = faint.onto(image, rng.uniform(0.2, 0.75))
    for _ in range(rng.integers(0, 26)):
        x, y = rng.uniform(0, size, 2)
        blot = circle(rng.uniform(0.7, 8), corners=9) * rng.uniform(0.4, 1.3, (9, 1)) * (rng.uniform(0.6, 2.5), 1) + (
            x,
            y,
        )
        layer.polygon(blot, shaded(colour, rng.uniform(0.3, 0.75)))
    image = layer.onto(image, rng.uniform(0.1, 0.6))
    lines = Layer(size, light)
    for _ in range(rng.integers(0, 5)):
        paint = jitter(rng, pick(rng, ((4, (196, 164, 72)), (2, (226, 226, 220)), (1, (52, 50, 48)))), 12)
        lines.line(_curve(rng, size, angle), paint, rng.uniform(0.3, 1.0))
    return lines.onto(image, rng.uniform(0.3, 0.95))


def _curve(rng: np.random.Generator, size: int, angle: float) -> np.ndarray:
    """A painted line: straight along one of the two main directions, then perhaps a bend."""
    heading = angle + rng.integers(4) * np.pi / 2
    turn = rng.choice([0.0, 0.0, 1.0, -1.0]) * rng.uniform(0.5, 1.6)
    steps = 26
    bend = np.clip((np.arange(steps) - rng.integers(6, 14)) / 8, 0, 1) * turn + heading
    stride = size / 13
    path = np.cumsum(np.stack([np.cos(bend), np.sin(bend)], axis=1) * stride, axis=0)
    return path - path[rng.integers(6, 18)] + rng.uniform(0.1, 0.9, 2) * size
