# SPDX-License-Identifier: GPL-2.0-or-later
"""Planes on the ground of an airport, and what surrounds them there."""

import numpy as np

from model_runner.training.generated_scenes.canvas import Body, Layer, directions, jitter, pick, rectangle, shaded
from model_runner.training.generated_scenes.composition import Composition
from model_runner.training.generated_scenes.grounds import CONCRETE, ground, pavement_marks
from model_runner.training.generated_scenes.planes import plane
from model_runner.training.generated_scenes.strangers import building, equipment
from model_runner.training.generated_scenes.vehicles import SERVICE_PAINTS, vehicle

# Types of planes that stand together: (weight, types).
COMPANY = (
    (3, ("airliner",)),
    (1, ("heavy", "airliner")),
    (2, ("rear",)),
    (3, ("business",)),
    (2, ("business", "twin", "single")),
)


def airport(rng: np.random.Generator, scene: Composition) -> None:
    """Planes on an apron or a runway: alone, in rows, at gates or parked densely."""
    kind = pick(rng, ((26, "loose"), (20, "gates"), (24, "rows"), (12, "dense"), (13, "background")))
    angle = rng.uniform(0, 2 * np.pi)
    if kind != "background":
        coverage = 1.0 if rng.random() < 0.55 else rng.uniform(0.6, 0.95)
        scene.image, colour = ground(rng, scene.image, scene.light, CONCRETE, coverage, 0.25)
        scene.image = pavement_marks(rng, scene.image, scene.light, colour, angle, scene.scale)
    layer, below = scene.layer(), scene.layer()
    for _ in range(rng.integers(0, 5)):
        middle, spread = rng.uniform(0, scene.size, 2), rng.uniform(4, 12) * scene.scale
        equipment(rng, below, middle, spread, int(rng.integers(1, 12)), scene.scale)
    if kind == "gates":
        _gates(rng, scene, layer, below, angle)
    elif kind == "rows":
        _plane_rows(rng, scene, layer, angle)
    else:
        types = pick(rng, COMPANY)
        attempts = {"loose": 7, "dense": 40, "background": 3}[kind]
        for _ in range(int(rng.integers(1, attempts + 1) * (scene.size / 256) ** 2)):
            heading = rng.uniform(0, 2 * np.pi)
            if rng.random() < 0.4:
                heading = angle + rng.normal(0, 0.15) + rng.integers(4) * np.pi / 2
            body = plane(rng, scene.light, heading, str(rng.choice(types)), scene.scale)
            x, y = rng.uniform(-0.08, 1.08, 2) * scene.size
            scene.place(layer, "plane", body, x, y, heading, 0.82 if kind == "dense" else 1.1)
    if rng.random() < 0.5:
        _ground_traffic(rng, scene, layer, int(rng.integers(1, 14)))
    scene.image = layer.onto(below.onto(scene.image))


def _gates(rng: np.random.Generator, scene: Composition, layer: Layer, below: Layer, angle: float) -> None:
    """A terminal along one side, planes with the nose towards it, bridges between them."""
    size = scene.size
    inward, along = directions(angle)
    wall = size / 2 - inward * size * rng.uniform(0.28, 0.5)
    depth = rng.uniform(20, 80)
    terminal = building(rng, 3 * size, 2 * depth, rng.uniform(6, 14) * scene.scale)
    layer.draw(terminal, *(wall - inward * depth), angle + np.pi / 2)
    tunnel = jitter(rng, pick(rng, ((3, (228, 226, 220)), (2, (186, 182, 176)), (1, (120, 116, 112)))), 10)
    kind = str(rng.choice(["airliner", "airliner", "rear", "heavy"]))
    position = rng.uniform(-0.7, -0.3) * size
    while position < 0.6 * size:
        heading = angle + np.pi + rng.normal(0, 0.06)
        body = plane(rng, scene.light, heading, kind, scene.scale)
        length, span = body.size()
        gap = rng.uniform(0.12, 0.4) * length
        place = wall + along * position + inward * (gap + length / 2)
        if rng.random() < 0.8 and scene.place(layer, "plane", body, *place, heading):
            equipment(rng, below, place, 0.3 * length, int(rng.integers(0, 9)), scene.scale)
            door = place - inward * length * 0.36 + along * 0.05 * length
            root = wall + along * (position + span * rng.uniform(0.15, 0.4))
            bridge, reach = Body(), np.hypot(*(door - root))
            thick = 1.5 * scene.scale / 2
            bridge.add(rectangle(0, -thick, reach, thick), tunnel, 4 * scene.scale, 7 * scene.scale)
            bridge.add(rectangle(reach - 2.5 * thick, -1.7 * thick, reach, 1.7 * thick), shaded(tunnel, 0.85))
            layer.draw(bridge, *root, float(np.arctan2(*(door - root)[::-1])))
        position += span * rng.uniform(1.05, 1.35)
    _ground_traffic(rng, scene, layer, int(rng.integers(4, 26)))


def _plane_rows(rng: np.random.Generator, scene: Composition, layer: Layer, angle: float) -> None:
    """Planes side by side, all with the same or opposite headings."""
    kind = str(rng.choice(["single", "single", "twin", "business", "business", "rear"]))
    example = plane(rng, scene.light, angle, kind, scene.scale)
    length, span = example.size()
    ahead, along = directions(angle)
    rows, fill = int(rng.integers(1, 4)), rng.uniform(0.45, 1.0)
    shift, spread = rng.uniform(-0.35, 0.35) * scene.size, length * rng.uniform(1.15, 2.2)
    for row in range(rows):
        heading = angle + (np.pi if row % 2 and rng.random() < 0.6 else 0)
        position = -0.75 * scene.size
        while position < 0.75 * scene.size:
            body = plane(rng, scene.light, heading, kind if rng.random() < 0.85 else "business", scene.scale)
            turned = heading + rng.normal(0, 0.05)
            place = scene.size / 2 + along * position + ahead * (shift + row * spread) + rng.normal(0, 1.2, 2)
            if rng.random() < fill:
                scene.place(layer, "plane", body, *place, turned, 0.95)
            position += span * rng.uniform(1.03, 1.3)


def _ground_traffic(rng: np.random.Generator, scene: Composition, layer: Layer, count: int) -> None:
    """Cars and carts on an apron, clear of the planes."""
    for _ in range(count):
        x, y, heading = *rng.uniform(0, scene.size, 2), rng.uniform(0, 2 * np.pi)
        if rng.random() < 0.55:
            body = vehicle(rng, scene.light, heading, scene.scale, SERVICE_PAINTS)
            scene.place(layer, "small-vehicle", body, x, y, heading, 1.2)
        else:
            train, cart = Body(), rng.uniform(1.6, 2.6) * scene.scale
            paint = jitter(rng, pick(rng, ((2, (60, 60, 62)), (1, (214, 212, 206)), (1, (176, 140, 60)))), 15)
            for index in range(rng.integers(1, 5)):
                train.add(
                    rectangle(index * cart * 1.3, 0, index * cart * 1.3 + cart, cart * 0.7), paint, 0.0, cart * 0.5
                )
            if scene.free(train.box(x, y, heading), 1.2):
                layer.draw(train, x, y, heading)
