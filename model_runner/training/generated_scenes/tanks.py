# SPDX-License-Identifier: GPL-2.0-or-later
"""Storage tanks seen from above: cone roofs, domes, floating roofs, open basins."""

from typing import NamedTuple

import numpy as np

from model_runner.training.generated_scenes.canvas import Body, Colour, Light, circle, jitter, pick, rectangle, shaded

PAINTS = (
    (52, (242, 242, 240)), (12, (226, 216, 196)), (9, (176, 178, 178)), (7, (112, 122, 122)), (5, (142, 118, 96)),
    (4, (132, 160, 150)), (3, (160, 96, 66)), (3, (96, 118, 150)), (3, (84, 106, 82)), (2, (226, 206, 212)),
)  # fmt: skip
RUST = (150, 98, 66)


class Style(NamedTuple):
    """What the tanks of one place often have in common."""

    kind: str
    paint: Colour


def random_style(rng: np.random.Generator) -> Style:
    """Some kind of tank in some paint."""
    kind = pick(rng, ((50, "cone"), (15, "dome"), (18, "floating"), (17, "basin")))
    return Style(kind, jitter(rng, pick(rng, PAINTS), 8))


def tank(rng: np.random.Generator, light: Light, radius: float, style: Style) -> Body:
    """A tank of that radius in pixels; drawn with heading 0 because light and view are those of the image."""
    kind, paint = style
    if radius < 9 and kind in ("floating", "basin"):
        kind = "cone"
    paint = jitter(rng, paint, 3)
    height = radius * (
        rng.uniform(0.05, 0.2) if kind == "basin" else rng.uniform(0.3, 1.3) * (1.4 if radius < 14 else 1)
    )
    height = min(height, 45)
    body, top = Body(square=True), light.lean * height
    corners = 64 if radius > 25 else 32
    base = circle(radius, corners=corners)
    body.add(base, shaded(paint, 0.6), 0.0, height)
    _wall(body, base, top, paint, light)
    _roof(rng, body, kind, paint, radius, top, light)
    return body


def _wall(body: Body, base: np.ndarray, top: np.ndarray, paint: Colour, light: Light) -> None:
    """What the camera sees of the side: a band for each edge of the circle, lit by its direction."""
    towards_sun = -light.shadow / (np.hypot(*light.shadow) + 1e-6)
    following = np.roll(base, -1, axis=0)
    normals = (base + following) / np.hypot(*(base + following).T)[:, None]
    for start, stop, normal in zip(base, following, normals, strict=True):
        if normal @ top < 0:
            tone = 0.62 + 0.34 * max(0.0, float(normal @ towards_sun))
            body.add(np.array([start, stop, stop + top, start + top]), shaded(paint, tone))


def _roof(
    rng: np.random.Generator, body: Body, kind: str, paint: Colour, radius: float, top: np.ndarray, light: Light
) -> None:
    towards_sun = -light.shadow / (np.hypot(*light.shadow) + 1e-6)
    corners = 64 if radius > 25 else 32
    rim = shaded(paint, rng.uniform(0.72, 1.1))
    body.add(circle(radius, *top, corners=corners), rim)
    inner = radius * rng.uniform(0.93, 0.985)
    if kind == "floating":
        _floating_roof(rng, body, paint, inner * 0.97, top, light)
    elif kind == "basin":
        _basin(rng, body, inner * 0.95, top)
    elif kind == "dome":
        steepness = rng.uniform(0.1, 0.3)
        for step in np.linspace(0, 1, 9):
            shift = towards_sun * radius * 0.42 * step
            body.add(
                circle(inner * (1 - 0.9 * step), *(top + shift), corners),
                shaded(paint, 1 - steepness + 1.3 * steepness * step),
            )
        if radius > 16 and rng.random() < 0.35:
            _panels(rng, body, inner, top, paint)
    else:
        _cone(rng, body, paint, inner, top, towards_sun)
    if kind in ("cone", "dome"):
        _fittings(rng, body, paint, inner, top)


def _cone(
    rng: np.random.Generator, body: Body, paint: Colour, radius: float, top: np.ndarray, towards_sun: np.ndarray
) -> None:
    """Wedges from the middle, lighter towards the sun; seams show on some tanks."""
    wedges, slope, seams = 24, rng.uniform(0.0, 0.12), rng.uniform(0, 0.03)
    angles = np.linspace(0, 2 * np.pi, wedges + 1)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for index in range(wedges):
        tone = 1 - slope * 0.5 + slope * float(directions[index] @ towards_sun) + rng.normal(0, seams)
        outer = top + radius * directions[index : index + 2]
        body.add(np.concatenate([[top], outer]), shaded(paint, tone))
    if rng.random() < 0.2:
        for _ in range(rng.integers(3, 14)):
            x, y = top + rng.uniform(-0.6, 0.6, 2) * radius
            body.add(
                circle(rng.uniform(0.03, 0.16) * radius, x, y, 7),
                jitter(rng, shaded(paint, 0.85) if rng.random() < 0.6 else RUST, 9),
            )


def _panels(rng: np.random.Generator, body: Body, radius: float, top: np.ndarray, paint: Colour) -> None:
    """Triangles of slightly different brightness, as on geodesic domes."""
    for _ in range(150):
        middle = rng.uniform(-0.9, 0.9, 2) * radius
        if np.hypot(*middle) < 0.9 * radius:
            body.add(
                circle(0.09 * radius, *(top + middle), corners=3),
                jitter(rng, shaded(paint, rng.uniform(0.85, 1.08)), 4),
            )


def _fittings(rng: np.random.Generator, body: Body, paint: Colour, radius: float, top: np.ndarray) -> None:
    """Vents, manholes, a stair or pipe along a radius."""
    dark = shaded(paint, rng.uniform(0.3, 0.7))
    if rng.random() < 0.6:
        body.add(circle(max(0.5, 0.035 * radius), *top, 8), dark)
    for _ in range(rng.integers(0, 6)):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.92) * radius
        x, y = top + reach * np.array([np.cos(angle), np.sin(angle)])
        size = max(0.5, rng.uniform(0.015, 0.045) * radius)
        body.add(circle(size, x, y, 6), dark)
    if rng.random() < 0.45:
        angle, start = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.6)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]]) * max(0.35, 0.018 * radius)
        ends = top + along * start * radius, top + along * 0.97 * radius
        body.add(np.array([ends[0] + across, ends[1] + across, ends[1] - across, ends[0] - across]), dark)


def _floating_roof(
    rng: np.random.Generator, body: Body, paint: Colour, radius: float, top: np.ndarray, light: Light
) -> None:
    """The roof lies below the rim: the wall's shadow is a crescent on it."""
    depth = rng.uniform(0.05, 0.55) * radius
    floor = jitter(rng, RUST, 15) if rng.random() < 0.35 else shaded(paint, rng.uniform(0.7, 1.0))
    corners = 64 if radius > 25 else 32
    body.add(circle(radius, *top, corners), shaded(floor, 0.4))
    lit = circle(radius, *(light.shadow * depth), corners)
    distance = np.hypot(*lit.T)[:, None]
    body.add(top + lit * np.minimum(1, radius / np.maximum(distance, 1e-6)), floor)
    for _ in range(rng.integers(2, 9)):
        x, y = top + rng.uniform(-0.4, 0.4, 2) * radius + light.shadow * depth * 0.3
        body.add(
            circle(rng.uniform(0.03, 0.14) * radius, x, y, 8), jitter(rng, shaded(floor, rng.uniform(0.6, 1.15)), 8)
        )
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]]) * max(0.4, 0.03 * radius)
    middle, end = top + along * 0.1 * radius, top + along * radius
    body.add(
        np.array([middle + across, end + across, end - across, middle - across]), shaded(paint, rng.uniform(0.5, 1))
    )


def _basin(rng: np.random.Generator, body: Body, radius: float, top: np.ndarray) -> None:
    """Open water with a bridge and its hub, as in sewage works."""
    water = jitter(rng, pick(rng, ((3, (30, 34, 38)), (2, (62, 66, 44)), (2, (92, 82, 66)), (1, (48, 74, 66)))), 8)
    body.add(circle(radius, *top, 64), water)
    steel = jitter(rng, (180, 184, 184), 15)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    start = -1.0 if rng.random() < 0.5 else -0.1
    thick = max(0.5, rng.uniform(0.02, 0.05) * radius)
    body.add(rectangle(start * radius, -thick, radius, thick) @ turn + top, steel)
    if rng.random() < 0.3:
        body.add(rectangle(-thick, -radius, thick, radius) @ turn + top, steel)
    body.add(circle(0.12 * radius, *top, 16), steel)
    body.add(circle(0.08 * radius, *top, 16), shaded(steel, 0.7))
