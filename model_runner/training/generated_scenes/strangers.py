# SPDX-License-Identifier: GPL-2.0-or-later
"""Things that a detector must not mistake for the objects: buildings, trees, circles, crosses, equipment."""

import numpy as np

from model_runner.training.generated_scenes.canvas import (
    Body,
    Layer,
    Light,
    circle,
    jitter,
    mottle,
    pick,
    rectangle,
    shaded,
)

ROOFS = (
    (6, (226, 226, 224)),
    (4, (176, 172, 166)),
    (3, (120, 116, 112)),
    (3, (150, 98, 82)),
    (2, (92, 98, 108)),
    (1, (70, 110, 140)),
    (2, (196, 176, 150)),
)


def building(rng: np.random.Generator, length: float, width: float, height: float) -> Body:
    """A block with a flat or pitched roof, with or without skylights and machines on it."""
    body, roof = Body(), jitter(rng, pick(rng, ROOFS), 10)
    a, b = length / 2, width / 2
    body.add(rectangle(-a, -b, a, b), shaded(roof, 0.75), 0.0, height)
    if rng.random() < 0.45:
        slope = rng.uniform(0.04, 0.22)
        body.add(rectangle(-a, -b, a, 0), shaded(roof, 1 - slope))
        body.add(rectangle(-a, 0, a, b), shaded(roof, 1 + slope * 0.5))
    else:
        edge = rng.uniform(0.5, 2)
        body.add(rectangle(-a + edge, -b + edge, a - edge, b - edge), roof)
    for _ in range(rng.integers(0, 14) if rng.random() < 0.6 else 0):
        x, y = rng.uniform(-0.8, 0.8, 2) * (a, b)
        extent = rng.uniform(0.8, 3.5, 2) * (1 if rng.random() < 0.8 else 3)
        tone = shaded(roof, rng.uniform(0.5, 1.4))
        body.add(rectangle(x - extent[0], y - extent[1], x + extent[0], y + extent[1]), tone)
        if rng.random() < 0.2:
            body.add(circle(rng.uniform(1, 2.5), x, y, 12), shaded(roof, rng.uniform(0.5, 1.2)))
    return body


def tree(rng: np.random.Generator, radius: float) -> Body:
    """A round crown of many leaves' clumps."""
    body = Body()
    leaf = jitter(rng, pick(rng, ((3, (58, 82, 52)), (2, (84, 98, 62)), (1, (44, 60, 44)), (1, (112, 100, 80)))), 10)
    crown = circle(radius, corners=14) * rng.uniform(0.8, 1.1, (14, 1))
    body.add(crown, shaded(leaf, 0.8), 0.0, radius * 1.2)
    for _ in range(int(6 + radius * 2)):
        x, y = rng.normal(0, 0.38, 2) * radius
        body.add(circle(radius * rng.uniform(0.1, 0.3), x, y, 7), shaded(leaf, rng.uniform(0.65, 1.4)))
    return body


def round_stranger(rng: np.random.Generator, radius: float) -> Body:
    """A flat round thing that is no tank: pool, lawn, sand, roundabout, painted circle."""
    body = Body(square=True)
    kind = pick(rng, ((2, "pool"), (3, "patch"), (2, "ring"), (1, "roundabout")))
    wobble = rng.uniform(0.02, 0.16)
    outline = (
        circle(radius, corners=28)
        * (1 + wobble * np.sin(np.linspace(0, 2 * np.pi, 28) * rng.integers(2, 4) + rng.uniform(0, 6)))[:, None]
    )
    if kind == "pool":
        body.add(outline * 1.15, jitter(rng, (206, 200, 190), 12))
        body.add(outline, jitter(rng, (84, 170, 196), 16))
    elif kind == "patch":
        body.add(
            outline,
            jitter(
                rng, pick(rng, ((2, (92, 118, 66)), (2, (196, 176, 146)), (1, (70, 72, 70)), (1, (186, 130, 82)))), 14
            ),
        )
    elif kind == "ring":
        body.add(outline, jitter(rng, (200, 200, 196), 15))
        body.add(outline * rng.uniform(0.85, 0.95), jitter(rng, (110, 106, 100), 15))
    else:
        body.add(outline * 1.7, jitter(rng, (96, 96, 98), 10))
        body.add(outline, jitter(rng, (90, 116, 70), 12))
    return body


def angular_stranger(rng: np.random.Generator, length: float) -> Body:
    """A thing with arms or stripes that is no plane: painted cross or arrow, jet bridge, containers, lattice."""
    body, white = Body(), jitter(rng, (232, 230, 226), 12)
    kind = pick(rng, ((2, "cross"), (2, "arrow"), (3, "boxes"), (2, "bars"), (2, "bridge")))
    half = length / 2
    thick = length * rng.uniform(0.04, 0.1)
    if kind == "cross":
        body.add(rectangle(-half, -thick, half, thick), white)
        reach = half * rng.uniform(0.6, 1)
        body.add(rectangle(-thick, -reach, thick, reach), white)
    elif kind == "arrow":
        body.add(rectangle(-half, -thick * 0.6, half * 0.4, thick * 0.6), white)
        body.add([(half, 0), (half * 0.3, half * 0.35), (half * 0.3, -half * 0.35)], white)
    elif kind == "boxes":
        y = 0.0
        for _ in range(rng.integers(1, 7)):
            paint = white if rng.random() < 0.6 else jitter(rng, pick(rng, ROOFS), 15)
            body.add(rectangle(-half, y, half * rng.uniform(0.7, 1), y + length * 0.22), paint, 0.0, length * 0.2)
            y += length * rng.uniform(0.24, 0.36)
    elif kind == "bars":
        for index in range(rng.integers(2, 9)):
            body.add(rectangle(-half, index * thick * 3, half, index * thick * 3 + thick * 1.5), white)
    else:
        tunnel = jitter(rng, (196, 192, 186), 18)
        body.add(rectangle(-half, -thick, half, thick), tunnel, thick * 2, thick * 4)
        body.add(
            rectangle(half - thick * 2, -thick * 1.7, half + thick * 2, thick * 1.7), shaded(tunnel, 0.9), thick * 4
        )
    return body


def equipment(
    rng: np.random.Generator, layer: Layer, middle: np.ndarray, spread: float, count: int, scale: float
) -> None:
    """Draw boxes and carts about a place; spread is a standard deviation in pixels, scale in pixels per metre."""
    for _ in range(count):
        body, (x, y) = Body(), middle + rng.normal(0, spread, 2)
        long, wide = rng.uniform(0.3, 1.6) * scale, rng.uniform(0.3, 0.9) * scale
        paint = jitter(
            rng, pick(rng, ((4, (226, 226, 222)), (3, (64, 64, 66)), (2, (150, 148, 142)), (1, (190, 160, 70)))), 15
        )
        body.add(rectangle(-long, -wide, long, wide), paint, 0.0, rng.uniform(0.3, 3) * scale)
        if rng.random() < 0.3:
            body.add(rectangle(-long * 0.6, -wide * 0.5, long * 0.2, wide * 0.6), shaded(paint, rng.uniform(0.5, 1.3)))
        layer.draw(body, x, y, rng.uniform(0, 2 * np.pi))


def scatter(rng: np.random.Generator, image: np.ndarray, light: Light, count: int, scale: float) -> np.ndarray:
    """Lay so many things that are none of the classes over the image; scale is in pixels per metre."""
    flat, layer = Layer(image.shape[0], light), Layer(image.shape[0], light)
    for _ in range(count):
        x, y, heading = *rng.uniform(0, image.shape[0], 2), rng.uniform(0, 2 * np.pi)
        kind = pick(rng, ((5, "building"), (3, "tree"), (2, "round"), (2, "angular")))
        if kind == "building":
            long = float(np.exp(rng.uniform(np.log(4), np.log(57)))) * scale
            body = building(rng, long, long * rng.uniform(0.3, 0.95), rng.uniform(2, 8) * scale)
        elif kind == "tree":
            body = tree(rng, rng.uniform(1.5, 5.5) * scale)
        elif kind == "round":
            flat.draw(round_stranger(rng, rng.uniform(1.5, 8.5) * scale), x, y, heading)
            continue
        else:
            body = angular_stranger(rng, rng.uniform(5, 24) * scale)
        layer.draw(body, x, y, heading)
    # Half transparent, a round patch has the texture of the ground and cannot be taken for a roof.
    image = flat.onto(image, rng.uniform(0.35, 0.75), mottle(rng, image.shape[0], 0.1, 0.08))
    return layer.onto(image)
