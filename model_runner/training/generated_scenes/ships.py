# SPDX-License-Identifier: GPL-2.0-or-later
"""Boats seen from above: motor boats, cabin cruisers, sailing boats, open boats."""

import numpy as np

from model_runner.training.generated_scenes.canvas import (
    Body,
    Colour,
    Light,
    circle,
    jitter,
    mirrored,
    pick,
    rectangle,
    shaded,
)

HULLS = (
    (80, (242, 242, 240)), (12, (224, 218, 204)), (4, (190, 192, 192)), (3, (40, 52, 92)), (1, (132, 96, 66)),
    (1, (150, 40, 36)),
)  # fmt: skip
CANVAS = ((4, (40, 66, 150)), (2, (60, 64, 70)), (2, (190, 176, 150)), (1, (150, 44, 40)), (1, (40, 120, 120)))
GLASS = (48, 54, 62)


def boat(rng: np.random.Generator, light: Light, heading: float, length: float) -> Body:
    """A boat of that length in pixels as it looks with that heading (radians) in that light; the bow is at x > 0."""
    kind = pick(rng, ((50, "cruiser"), (25, "open"), (25, "sail")))
    width = length * (rng.uniform(0.26, 0.32) if kind == "sail" else rng.uniform(0.29, 0.41))
    hull = jitter(rng, pick(rng, HULLS), 7)
    body = Body()
    stern, fullness = rng.uniform(0.72, 0.97), rng.uniform(0.45, 0.75)
    if kind == "sail":
        stern = rng.uniform(0.5, 0.75)
    outline = _outline(stern, fullness)
    size, side = np.array([length, width]), light.side(heading)
    body.add(outline * size, shaded(hull, rng.uniform(0.7, 0.95)), 0.0, 0.07 * length)
    body.add(outline * size * (0.97, 0.86) + (0, 0.05 * width * side), shaded(hull, 1.02))
    {"cruiser": _cruiser, "open": _open_boat, "sail": _sailing_boat}[kind](rng, body, outline, hull, size)
    for _ in range(rng.integers(0, 8)):
        x, y = rng.uniform(-0.42, 0.3) * length, rng.uniform(-0.3, 0.3) * width
        long, wide = rng.uniform(0.01, 0.06) * length, rng.uniform(0.02, 0.09) * width
        tone = shaded(hull, rng.uniform(0.75, 1.1)) if rng.random() < 0.5 else jitter(rng, (95, 92, 88), 25)
        body.add(rectangle(x - long, y - wide, x + long, y + wide), tone)
    return body


def _outline(stern: float, fullness: float) -> np.ndarray:
    """A hull of length and width 1: flat stern, widest behind the middle, pointed bow."""
    along = np.linspace(0, 1, 9)
    bow = np.stack([0.02 + 0.48 * along, 0.5 * (1 - along**2) ** fullness], axis=1)
    half = np.concatenate([[(-0.5, 0.5 * stern), (-0.25, 0.49)], bow])
    return np.concatenate([half, mirrored(half)[::-1]])


def _cover(rng: np.random.Generator) -> Colour:
    return jitter(rng, pick(rng, CANVAS), 10)


def _block(x0: float, x1: float, half: float, taper: float = 0.8) -> np.ndarray:
    return np.array([(x0, half), (x1, half * taper), (x1, -half * taper), (x0, -half)])


def _cruiser(rng: np.random.Generator, body: Body, outline: np.ndarray, hull: Colour, size: np.ndarray) -> None:
    length = size[0]
    deck = shaded(hull, rng.uniform(0.8, 0.97))
    body.add((outline * (0.85, 0.7)) * size, deck)
    body.add((outline * (0.6, 0.52) + (0.13, 0)) * size, shaded(hull, 1.03))
    cockpit = _cover(rng) if rng.random() < 0.25 else jitter(rng, (168, 162, 150), 22)
    body.add(_block(-0.46, rng.uniform(-0.25, -0.12), 0.36, 1.0) * size, cockpit)
    front = rng.uniform(0.08, 0.24)
    body.add(_block(-0.2, front, 0.37) * size, shaded(hull, 1.04), 0.07 * length, 0.13 * length)
    body.add(_block(front - 0.06, front + 0.03, 0.32, 0.75) * size, GLASS)
    if rng.random() < 0.5:
        top = _cover(rng) if rng.random() < 0.3 else shaded(hull, rng.uniform(0.85, 1.05))
        body.add(_block(-0.22, front - 0.12, 0.27, 0.9) * size, top, 0.13 * length, 0.19 * length)


def _open_boat(rng: np.random.Generator, body: Body, outline: np.ndarray, hull: Colour, size: np.ndarray) -> None:
    if rng.random() < 0.3:
        body.add((outline * (0.9, 0.82)) * size, _cover(rng))
        return
    body.add((outline * (0.82, 0.66)) * size, jitter(rng, (165, 160, 148), 20))
    body.add(_block(-0.05, 0.08, 0.22) * size, shaded(hull, 1.0), 0.05 * size[0])
    body.add(_block(0.08, 0.12, 0.2) * size, GLASS)
    body.add(_block(-0.4, -0.3, 0.3, 1.0) * size, jitter(rng, (210, 205, 198), 15))
    if rng.random() < 0.7:
        body.add(_block(-0.54, -0.47, 0.08, 1.0) * size, (52, 52, 56))


def _sailing_boat(rng: np.random.Generator, body: Body, outline: np.ndarray, hull: Colour, size: np.ndarray) -> None:
    length = size[0]
    body.add((outline * (0.88, 0.74)) * size, shaded(hull, rng.uniform(0.82, 0.96)))
    body.add(_block(-0.14, 0.2, 0.26, 0.6) * size, shaded(hull, 1.05), 0.08 * length)
    body.add(_block(-0.4, -0.16, 0.24, 1.0) * size, jitter(rng, (140, 132, 118), 16))
    for y in (-0.2, 0.2):
        body.add(np.array([(-0.1, y), (0.12, y * 0.75), (0.12, y * 0.6), (-0.1, y * 0.85)]) * size, GLASS)
    boom = _cover(rng) if rng.random() < 0.6 else (225, 225, 220)
    body.add(np.array([(0.12, 0.03), (-0.34, 0.05), (-0.34, -0.05), (0.12, -0.03)]) * size, boom, 0.12 * length)
    body.add(circle(0.014 * length, 0.12 * length, corners=6), (235, 235, 235), 0.1 * length, 0.9 * length)


def wake(rng: np.random.Generator, length: float) -> Body:
    """The foam behind and beside a boat of that length, in the boat's frame; to be laid below it, half transparent."""
    foam, body = jitter(rng, (216, 222, 222), 8), Body()
    reach, width, steps = rng.uniform(1.0, 4.0) * length, 0.3 * length, 12
    along = np.linspace(0.3, -reach / length, steps) * length
    spread = np.linspace(0.4, rng.uniform(0.8, 2.0), steps) * width
    for mirror in (np.asarray, mirrored):
        thick = rng.uniform(0.05, 0.16, steps) * width * np.linspace(1, 0.1, steps)
        edge = np.stack([along, spread], axis=1)
        body.add(mirror(np.concatenate([edge + (0, 1) * thick[:, None], (edge - (0, 1) * thick[:, None])[::-1]])), foam)
    for _ in range(14):
        x = -length * 0.4 - rng.random() ** 1.5 * reach
        body.add(circle(rng.uniform(0.05, 0.3) * width, x, rng.normal(0, 0.16) * width, corners=8), foam)
    return body
