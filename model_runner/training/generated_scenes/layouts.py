# SPDX-License-Identifier: GPL-2.0-or-later
"""How things stand together: aprons, tank farms, marinas, car parks, roads, open country.

Each layout takes a composition, which holds the background, draws on it and notes the boxes of what it drew.
"""

from collections.abc import Callable

import numpy as np

from model_runner.training.generated_scenes.airports import airport
from model_runner.training.generated_scenes.canvas import (
    Layer,
    circle,
    directions,
    jitter,
    mottle,
    pick,
    rectangle,
    shaded,
)
from model_runner.training.generated_scenes.composition import Composition
from model_runner.training.generated_scenes.grounds import ASPHALT, CONCRETE, GRAVEL, WATER, ground, pavement_marks
from model_runner.training.generated_scenes.ships import boat, wake
from model_runner.training.generated_scenes.strangers import building, equipment, scatter, tree
from model_runner.training.generated_scenes.tanks import Style, random_style, tank
from model_runner.training.generated_scenes.vehicles import vehicle

PIXELS_PER_METRE = 1 / 0.3


def tank_farm(rng: np.random.Generator, scene: Composition) -> None:
    """Tanks in rows inside their dikes, or a few beside buildings."""
    size, light = scene.size, scene.light
    if rng.random() < 0.8:
        scene.image, colour = ground(
            rng, scene.image, light, GRAVEL, 1.0 if rng.random() < 0.4 else rng.uniform(0.45, 0.95), 0.7
        )
    else:
        colour = jitter(rng, (150, 144, 134), 20)
    angle = rng.uniform(0, 2 * np.pi)
    scene.image = pavement_marks(rng, scene.image, light, colour, angle, scene.scale * rng.uniform(1, 4))
    layer, tanks = scene.layer(), scene.layer()
    turn = np.stack(directions(angle))
    for _ in range(rng.integers(0, 3)):
        start, direction = rng.uniform(0, size, 2), turn[rng.integers(2)] * size * 1.5
        layer.line(
            np.array([start - direction, start + direction]), jitter(rng, pick(rng, ASPHALT), 10), rng.uniform(8, 30)
        )
    radius = float(np.exp(rng.uniform(np.log(2.4), np.log(21)))) * scene.scale
    pitch = radius * rng.uniform(2.15, 3.4)
    columns, rows = (rng.integers(1, 4, 2) if radius > 16 else rng.integers(1, 5, 2)).tolist()
    middle = rng.uniform(0.2, 0.8, 2) * size
    apron = (
        rectangle(-pitch * columns / 2, -pitch * rows / 2, pitch * columns / 2, pitch * rows / 2) * 1.04 @ turn + middle
    )
    if rng.random() < 0.6:
        layer.polygon(apron, shaded(colour, rng.uniform(0.75, 1.25)))
        layer.line(np.concatenate([apron, apron[:1]]), shaded(colour, rng.uniform(0.5, 1.4)), rng.uniform(0.6, 2.5))
    for _ in range(rng.integers(0, 9)):
        ends = (rng.uniform(-0.7, 0.7, (2, 2)) * (size, size)) @ turn
        ends[1] = ends[0] + turn[rng.integers(2)] * rng.uniform(20, 160)
        layer.line(ends + middle, jitter(rng, (190, 188, 182), 30), rng.uniform(0.4, 1.6))
    style = random_style(rng) if rng.random() < 0.6 else None
    ring, pad = rng.uniform(1.05, 1.35) if rng.random() < 0.35 else 0.0, rng.uniform(0.75, 1.3)
    for column in range(columns):
        for row in range(rows):
            own = radius * (rng.uniform(0.92, 1.0) if rng.random() < 0.75 else rng.uniform(0.35, 0.9))
            place = (np.array([column - (columns - 1) / 2, row - (rows - 1) / 2]) * pitch) @ turn + middle
            if ring:
                layer.polygon(circle(own * ring, *place), shaded(colour, pad))
            _tank(rng, scene, tanks, own, place, style)
    for _ in range(rng.integers(0, 6)):
        _tank(rng, scene, tanks, radius * rng.uniform(0.25, 1.0), rng.uniform(0, size, 2), None)
    for _ in range(rng.integers(0, 11)):
        long = rng.uniform(2.5, 18) * scene.scale
        block = building(rng, long, long * rng.uniform(0.3, 0.9), rng.uniform(1.5, 5) * scene.scale)
        x, y = rng.uniform(0, size, 2)
        if scene.free(block.box(x, y, angle), 1.1):
            layer.draw(block, x, y, angle)
    _surround(rng, scene, layer, middle, pitch)
    scene.image = tanks.onto(layer.onto(scene.image))


def _surround(rng: np.random.Generator, scene: Composition, layer: Layer, middle: np.ndarray, pitch: float) -> None:
    """Machines, trees and cars between and beside the tanks."""
    for _ in range(rng.integers(0, 5)):
        place = middle + rng.normal(0, 1, 2) * pitch
        equipment(rng, layer, place, rng.uniform(3, 9) * scene.scale, int(rng.integers(2, 14)), scene.scale)
    for _ in range(rng.integers(0, 16) if rng.random() < 0.5 else 0):
        crown, (x, y) = tree(rng, rng.uniform(1, 4) * scene.scale), rng.uniform(0, scene.size, 2)
        if scene.free(crown.box(x, y, 0.0), 0.8):
            layer.draw(crown, x, y, 0.0)
    for _ in range(rng.integers(0, 6) if scene.scale > 0.75 * PIXELS_PER_METRE and rng.random() < 0.5 else 0):
        x, y, heading = *rng.uniform(0, scene.size, 2), rng.uniform(0, 2 * np.pi)
        scene.place(layer, "small-vehicle", vehicle(rng, scene.light, heading, scene.scale), x, y, heading, 1.2)


def _tank(
    rng: np.random.Generator, scene: Composition, layer: Layer, radius: float, place: np.ndarray, style: Style | None
) -> None:
    body = tank(rng, scene.light, max(radius, 4.5), style or random_style(rng))
    scene.place(layer, "storage-tank", body, *place, 0.0)


def marina(rng: np.random.Generator, scene: Composition) -> None:
    """Boats on both sides of piers, in slips, and some under way."""
    size, angle = scene.size, rng.uniform(0, 2 * np.pi)
    scene.image, _ = ground(
        rng, scene.image, scene.light, WATER, 1.0 if rng.random() < 0.85 else rng.uniform(0.7, 0.95)
    )
    along, across = directions(angle)
    piers, boats = scene.layer(), scene.layer()
    wood = jitter(rng, pick(rng, ((3, (206, 198, 186)), (2, (168, 160, 150)), (1, (120, 140, 124)))), 10)
    if rng.random() < 0.85:
        offset = rng.uniform(-0.7, -0.45) * size
        while offset < 0.75 * size:
            length = float(np.exp(rng.uniform(np.log(6.6), np.log(17.5)))) * scene.scale
            _pier(rng, scene, piers, boats, (size / 2 + across * offset, along, across), length, wood)
            offset += length * rng.uniform(2.5, 4.6)
    foam = scene.layer()
    for _ in range(rng.integers(0, 5)):
        x, y, heading = *rng.uniform(0, size, 2), rng.uniform(0, 2 * np.pi)
        length = rng.uniform(5, 21) * scene.scale
        body = boat(rng, scene.light, heading, length)
        if scene.place(boats, "ship", body, x, y, heading, 1.3) and rng.random() < 0.5:
            foam.draw(wake(rng, length), x, y, heading)
    scene.image = foam.onto(scene.image, rng.uniform(0.3, 0.8), mottle(rng, size, 0.1, 0.15))
    scene.image = boats.onto(piers.onto(scene.image))


def _pier(
    rng: np.random.Generator,
    scene: Composition,
    piers: Layer,
    boats: Layer,
    frame: tuple[np.ndarray, np.ndarray, np.ndarray],
    length: float,
    wood: tuple[int, int, int],
) -> None:
    """One walkway with fingers, and boats of about that length on both sides of it."""
    middle, along, across = frame
    reach, thick = 0.75 * scene.size, rng.uniform(1.8, 5.5)
    piers.line(np.array([middle - along * reach, middle + along * reach]), wood, 2 * thick)
    fill, slip, outwards = 1 - 0.55 * rng.random() ** 2, 1.0 + 0.25 * rng.random() ** 2, rng.uniform(0.1, 0.95)
    for side in (-1, 1):
        position, every = -reach, int(rng.integers(1, 3))
        outward = across * side
        count = 0
        while position < reach:
            own = length * rng.uniform(0.72, 1.12)
            heading = float(np.arctan2(outward[1], outward[0])) + rng.normal(0, 0.03)
            heading += np.pi if rng.random() > outwards else 0.0
            body = boat(rng, scene.light, heading, own)
            width = body.size()[1]
            place = middle + along * (position + width / 2) + outward * (thick + own / 2 + rng.uniform(0.5, 4))
            if rng.random() < fill:
                scene.place(boats, "ship", body, *place, heading, 0.97)
            position += width * slip
            count += 1
            if count % every == 0:
                root = middle + along * (position - width * (slip - 1) / 2)
                piers.line(np.array([root, root + outward * length * 0.85]), wood, rng.uniform(0.5, 2))


def car_park(rng: np.random.Generator, scene: Composition) -> None:
    """Cars in stalls, in single and double rows between aisles."""
    size, scale, angle = scene.size, scene.scale, rng.uniform(0, 2 * np.pi)
    scene.image, colour = ground(
        rng, scene.image, scene.light, ASPHALT, 1.0 if rng.random() < 0.6 else rng.uniform(0.4, 0.95)
    )
    scene.image = pavement_marks(rng, scene.image, scene.light, colour, angle, scale * 3)
    along, across = directions(angle)
    lines, cars = scene.layer(), scene.layer()
    paint = jitter(rng, (222, 222, 216) if rng.random() < 0.8 else (200, 164, 70), 10)
    stall, depth = rng.uniform(2.45, 2.8) * scale, rng.uniform(5.0, 5.5) * scale
    skew = rng.choice([0.0, 0.0, 0.35, -0.35])
    fill, offset = 1 - 0.85 * rng.random() ** 1.7, -0.75 * size
    while offset < 0.75 * size:
        for side in (-1, 1):
            row = (size / 2 + across * offset, along, across * side)
            _stalls(rng, scene, (lines, cars), row, (stall, depth, skew * side, fill), paint)
        offset += 2 * depth + rng.uniform(5.5, 8.5) * scale
    for _ in range(rng.integers(0, 6)):
        x, y, heading = *rng.uniform(0, size, 2), angle + rng.integers(2) * np.pi + rng.normal(0, 0.2)
        body = vehicle(rng, scene.light, heading, scale)
        scene.place(cars, "small-vehicle", body, x, y, heading, 1.1)
    trees = scene.layer()
    for _ in range(rng.integers(0, 7) if rng.random() < 0.4 else 0):
        crown, (x, y) = tree(rng, rng.uniform(3, 9)), rng.uniform(0, size, 2)
        if scene.free(crown.box(x, y, 0.0)):
            trees.draw(crown, x, y, 0.0)
    scene.image = trees.onto(cars.onto(lines.onto(scene.image, rng.uniform(0.2, 0.9))))


def _stalls(
    rng: np.random.Generator,
    scene: Composition,
    layers: tuple[Layer, Layer],
    frame: tuple[np.ndarray, np.ndarray, np.ndarray],
    stall: tuple[float, float, float, float],
    paint: tuple[int, int, int],
) -> None:
    """One row of stalls on one side of a line, with cars in some of them."""
    (lines, cars), (start, along, outward), (width, depth, skew, fill) = layers, frame, stall
    reach, margin = 0.75 * scene.size, 0.1 * scene.size
    heading = float(np.arctan2(outward[1], outward[0])) + skew
    ahead = np.array([np.cos(heading), np.sin(heading)])
    for position in np.arange(-reach, reach, width / np.cos(skew)):
        corner = start + along * position
        if not np.all((corner > -margin) & (corner < scene.size + margin)):
            continue
        lines.line(np.array([corner, corner + ahead * depth]), paint, 0.35)
        if rng.random() < fill:
            turned = heading + (np.pi if rng.random() < 0.3 else 0.0) + rng.normal(0, 0.025)
            body = vehicle(rng, scene.light, turned, scene.scale)
            place = corner + along * width / 2 + ahead * (depth / 2 + rng.normal(0, 0.8)) + rng.normal(0, 0.25, 2)
            scene.place(cars, "small-vehicle", body, *place, turned, 0.8)


def road(rng: np.random.Generator, scene: Composition) -> None:
    """A road through the background with cars in its lanes."""
    size, scale, angle = scene.size, scene.scale, rng.uniform(0, 2 * np.pi)
    scene.image = scatter(rng, scene.image, scene.light, int(rng.integers(0, 5)), scale)
    along, across = directions(angle)
    middle, lanes, lane = rng.uniform(0.25, 0.75, 2) * size, int(rng.integers(2, 12)), 3.6 * scale
    surface, cars = scene.layer(), scene.layer()
    asphalt, reach = jitter(rng, pick(rng, ASPHALT if rng.random() < 0.5 else CONCRETE), 12), 1.5 * size
    half = lanes * lane / 2
    ends = np.array([middle - along * reach, middle + along * reach])
    surface.line(ends, asphalt, 2 * half + 4)
    for index in range(lanes + 1):
        shift = across * (index * lane - half)
        if index in (0, lanes, lanes // 2):
            surface.line(ends + shift, jitter(rng, (210, 200, 150), 20), 0.5)
            continue
        for start in np.arange(-reach, reach, 12 * scale):
            dash = middle + shift + along * np.array([[start], [start + 3 * scale]])
            surface.line(dash, (220, 220, 216), 0.45)
    traces = scene.layer()
    for index in range(lanes):
        shift = across * ((index + 0.5) * lane - half)
        traces.line(ends + shift, shaded(asphalt, rng.uniform(0.45, 1.2)), rng.uniform(0.8, 2.2) * scale)
        heading = angle + (np.pi if index < lanes // 2 else 0.0)
        for _ in range(rng.integers(0, 6)):
            turned = heading + rng.normal(0, 0.02)
            body = vehicle(rng, scene.light, turned, scale)
            place = middle + along * rng.uniform(-0.7, 0.7) * size + shift + rng.normal(0, 0.3, 2)
            scene.place(cars, "small-vehicle", body, *place, turned, 1.1)
    texture = mottle(rng, size, rng.uniform(0.01, 0.06), rng.uniform(0.005, 0.05))
    scene.image = surface.onto(scene.image, 1.0, texture)
    scene.image = cars.onto(traces.onto(scene.image, rng.uniform(0.0, 0.4)))


def open_country(rng: np.random.Generator, scene: Composition) -> None:
    """None of the classes: the background as it is, or with buildings, trees, circles and crosses."""
    scene.image = scatter(rng, scene.image, scene.light, int(rng.integers(0, 14)), scene.scale)


Layout = Callable[[np.random.Generator, Composition], None]
# Share of the scenes, the layout, and the range of its scale relative to 0.3 m pixels.
LAYOUTS: tuple[tuple[float, tuple[Layout, float, float]], ...] = (
    (36, (airport, 0.6, 1.25)),
    (19, (tank_farm, 0.6, 1.4)),
    (12, (marina, 0.75, 1.4)),
    (13, (car_park, 0.8, 1.35)),
    (8, (road, 0.8, 1.3)),
    (12, (open_country, 0.5, 1.4)),
)
