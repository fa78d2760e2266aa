# SPDX-License-Identifier: GPL-2.0-or-later
"""Planes seen from above: airliners, regional and business jets, propeller planes.

Shapes are given as fractions of the length; the nose is at x = 0.5, the tail at -0.5.
"""

from dataclasses import dataclass

import numpy as np

from model_runner.training.generated_scenes.canvas import Body, Colour, Light, circle, jitter, mirrored, pick, shaded

WHITE, CREAM, SILVER = (246, 246, 246), (232, 222, 204), (190, 194, 198)
LIVERIES = (
    (62, WHITE), (9, CREAM), (9, SILVER), (8, (52, 58, 150)), (3, (70, 76, 90)), (3, (120, 128, 134)),
    (2, (170, 40, 40)), (2, (60, 110, 160)), (2, (200, 170, 90)),
)  # fmt: skip
TAILS = ((3, (36, 40, 96)), (2, (170, 36, 36)), (2, (70, 76, 90)), (1, (210, 110, 40)), (1, (30, 100, 90)))


@dataclass(frozen=True)
class Airframe:
    """Proportions of one type of plane, fractions of its length; sweep is the tangent of the leading edge's angle."""

    width: float
    span: float
    wing: float
    root: float
    tip: float
    sweep: float
    kink: float
    tail_span: float
    tail_root: float
    tail_sweep: float
    engines: str
    nose: float = 0.12
    cone: float = 0.34


def airliner(rng: np.random.Generator) -> Airframe:
    """Two or four engines under swept wings."""
    return Airframe(
        rng.uniform(0.095, 0.12), rng.uniform(0.86, 1.04), rng.uniform(0.12, 0.17), rng.uniform(0.19, 0.25),
        rng.uniform(0.04, 0.07), rng.uniform(0.5, 0.68), rng.uniform(0.3, 0.4), rng.uniform(0.34, 0.42),
        rng.uniform(0.10, 0.13), rng.uniform(0.55, 0.75), "four" if rng.random() < 0.08 else "wing",
    )  # fmt: skip


def rear_engined(rng: np.random.Generator) -> Airframe:
    """Regional jets and airliners with engines beside the tail; the tailplane sits on the fin, far back."""
    return Airframe(
        rng.uniform(0.075, 0.105), rng.uniform(0.72, 0.95), rng.uniform(0.02, 0.08), rng.uniform(0.17, 0.23),
        rng.uniform(0.04, 0.06), rng.uniform(0.42, 0.62), rng.uniform(0.2, 0.4), rng.uniform(0.26, 0.36),
        rng.uniform(0.09, 0.12), rng.uniform(0.45, 0.75), "rear",
    )  # fmt: skip


def business_jet(rng: np.random.Generator) -> Airframe:
    """Small jets with engines beside the tail."""
    return Airframe(
        rng.uniform(0.10, 0.14), rng.uniform(0.84, 1.08), rng.uniform(0.02, 0.1), rng.uniform(0.17, 0.26),
        rng.uniform(0.05, 0.09), rng.uniform(0.15, 0.6), rng.uniform(0.0, 0.3), rng.uniform(0.32, 0.42),
        rng.uniform(0.11, 0.15), rng.uniform(0.3, 0.7), "rear", rng.uniform(0.14, 0.22), rng.uniform(0.3, 0.4),
    )  # fmt: skip


def twin_propeller(rng: np.random.Generator) -> Airframe:
    """Straight wings with a propeller on each."""
    return Airframe(
        rng.uniform(0.09, 0.13), rng.uniform(1.0, 1.28), rng.uniform(0.1, 0.17), rng.uniform(0.13, 0.18),
        rng.uniform(0.07, 0.11), rng.uniform(0.02, 0.12), 0.3, rng.uniform(0.34, 0.44),
        rng.uniform(0.09, 0.13), rng.uniform(0.1, 0.35), "twin", rng.uniform(0.14, 0.24), rng.uniform(0.36, 0.5),
    )  # fmt: skip


def single_propeller(rng: np.random.Generator) -> Airframe:
    """Light planes with the engine in the nose."""
    return Airframe(
        rng.uniform(0.11, 0.15), rng.uniform(1.12, 1.4), rng.uniform(0.2, 0.28), rng.uniform(0.17, 0.22),
        rng.uniform(0.12, 0.19), rng.uniform(0.0, 0.06), 0.0, rng.uniform(0.36, 0.45),
        rng.uniform(0.1, 0.14), rng.uniform(0.0, 0.25), "nose", rng.uniform(0.08, 0.14), rng.uniform(0.55, 0.68),
    )  # fmt: skip


# The type, and its shortest and longest length in metres.
TYPES = {
    "airliner": (airliner, 28, 48),
    "heavy": (airliner, 50, 66),
    "rear": (rear_engined, 24, 42),
    "business": (business_jet, 12, 22),
    "twin": (twin_propeller, 9, 20),
    "single": (single_propeller, 6.5, 9.5),
}


def plane(rng: np.random.Generator, light: Light, heading: float, kind: str, pixels_per_metre: float) -> Body:
    """A plane of one of the TYPES, as it looks with that heading (radians) in that light."""
    build, shortest, longest = TYPES[kind]
    length = rng.uniform(shortest, longest) * pixels_per_metre
    frame, body = build(rng), Body()
    hull: Colour = jitter(rng, pick(rng, LIVERIES), 8)
    wings = jitter(rng, WHITE if min(hull) > 180 and rng.random() < 0.7 else (205, 207, 208), 9)
    tail = jitter(rng, pick(rng, TAILS), 12) if rng.random() < 0.35 else shaded(hull, rng.uniform(0.93, 1.04))
    low_wing = kind not in ("single", "twin") or rng.random() < 0.45
    parts = [
        lambda: _wings(rng, body, frame, wings, length, light.side(heading)),
        lambda: _hull(rng, body, frame, hull, tail, length, light.side(heading)),
    ]
    if frame.engines == "rear":
        _rear_engines(rng, body, frame, hull if rng.random() < 0.6 else SILVER, length)
    if frame.engines in ("wing", "four"):
        _wing_engines(rng, body, frame, length)
    for part in parts if low_wing else reversed(parts):
        part()
    _propellers(rng, body, frame, wings, length)
    _tail(rng, body, frame, tail, length, light, heading)
    return body


def _wing_edge(frame: Airframe, y: float) -> float:
    """x of the leading edge at the distance y from the axis."""
    return frame.wing - frame.sweep * y


def _wings(rng: np.random.Generator, body: Body, frame: Airframe, colour: Colour, length: float, side: float) -> None:
    half = frame.span / 2
    tip_front, root_back = _wing_edge(frame, half), frame.wing - frame.root
    tip_back, kink = tip_front - frame.tip, frame.kink * half
    kink_back = root_back if frame.kink and frame.sweep > 0.25 else root_back + (tip_back - root_back) * frame.kink
    rounding = frame.tip * rng.uniform(0.05, 0.5)
    outline = np.array([
        (frame.wing, 0), (tip_front + frame.sweep * 0.02, half - 0.02), (tip_front - rounding, half),
        (tip_back, half), (kink_back, kink), (root_back, 0),
    ])  # fmt: skip
    flap = np.array(
        [(kink_back, kink), (tip_back, half * 0.98), (tip_back + 0.015, half * 0.98), (kink_back + 0.03, kink)]
    )
    edge = np.array([(frame.wing, 0), (tip_front, half), (tip_front - 0.012, half), (frame.wing - 0.016, 0)])
    flap_shade, edge_shade = rng.uniform(0.8, 1.0), rng.uniform(0.85, 1.12)
    for mirror, lit in ((np.asarray, side), (mirrored, -side)):
        tone = shaded(colour, 1 + 0.04 * lit)
        body.add(mirror(outline) * length, tone, 0.055 * length)
        body.add(mirror(flap) * length, shaded(tone, flap_shade))
        if frame.engines in ("wing", "four"):
            for share in (0.2, 0.45, 0.68):
                x, y = kink_back + (tip_back - kink_back) * share, kink + (half - kink) * share
                fairing = [(x + 0.03, y - 0.006), (x + 0.03, y + 0.006), (x - 0.022, y + 0.002), (x - 0.022, y - 0.002)]
                body.add(mirror(fairing) * length, shaded(tone, 0.92), 0.05 * length)
        body.add(mirror(edge) * length, shaded(tone, edge_shade))


def _profile(frame: Airframe, shrink: float = 1.0, steps: int = 7) -> np.ndarray:
    """The outline of the fuselage, its width scaled by shrink."""
    nose = np.linspace(0, 1, steps)
    front = np.stack([0.5 - frame.nose * nose, np.sqrt(1 - (1 - nose) ** 2) * frame.width / 2], axis=1)
    tail = np.linspace(1, 0.12, 5)
    back = np.stack([np.linspace(frame.cone - 0.5, -0.5, 5), tail**0.8 * frame.width / 2], axis=1)
    half = np.concatenate([front, back]) * (1, shrink)
    return np.concatenate([half, mirrored(half)[::-1]])


def _hull(
    rng: np.random.Generator, body: Body, frame: Airframe, colour: Colour, tail: Colour, length: float, side: float
) -> None:
    contrast = rng.uniform(0.08, 0.4)
    body.add(_profile(frame) * length, shaded(colour, 1 - contrast), 0.05 * length, 0.1 * length)
    for shrink, tone in ((0.78, 1 - contrast * 0.4), (0.55, 1.0), (0.25, 1 + contrast * 0.25)):
        shift = (0, side * frame.width / 2 * (1 - shrink) * 0.9)
        body.add((_profile(frame, shrink) + shift) * length, shaded(colour, tone))
    if tail != colour and rng.random() < 0.7:
        start, half = rng.uniform(-0.36, -0.28), frame.width * 0.36
        body.add(np.array([(start, -half), (start, half), (-0.49, half * 0.25), (-0.49, -half * 0.25)]) * length, tail)
    if rng.random() < 0.3:
        stripe = shaded(jitter(rng, pick(rng, TAILS), 10), 1.0)
        for sign in (-1, 1):
            y = sign * frame.width * 0.4
            body.add(np.array([(0.38, y), (-0.25, y), (-0.25, y * 0.82), (0.38, y * 0.82)]) * length, stripe)
    glass, x = (46, 50, 58), 0.5 - frame.nose * rng.uniform(0.3, 0.55)
    if frame.engines == "nose":
        x = frame.wing + 0.01
    window = np.array([(x + 0.02, -0.22), (x + 0.02, 0.22), (x - 0.012, 0.36), (x - 0.012, -0.36)]) * (1, frame.width)
    body.add(window * length, glass)
    if rng.random() < 0.12:
        body.add(_profile(frame)[[0, 1, 2, -3, -2, -1]] * length, shaded(colour, 0.45))


def _rear_engines(rng: np.random.Generator, body: Body, frame: Airframe, colour: Colour, length: float) -> None:
    front, size = rng.uniform(-0.2, -0.14), rng.uniform(0.15, 0.2)
    near, thick = frame.width * 0.42, rng.uniform(0.04, 0.055)
    pod = np.array([
        (front, near), (front, near + thick), (front - size * 0.8, near + thick), (front - size, near + thick * 0.7),
        (front - size, near),
    ])  # fmt: skip
    lip = np.array([(front, near), (front, near + thick), (front - 0.015, near + thick), (front - 0.015, near)])
    for mirror in (np.asarray, mirrored):
        body.add(mirror(pod) * length, shaded(colour, 0.9), 0.08 * length)
        body.add(mirror(lip) * length, (60, 62, 66))
        body.add(mirror(lip - (size * 0.95, 0)) * length, shaded(colour, 0.5))
    if rng.random() < 0.15:
        body.add(
            np.array([(-0.2, -0.03), (-0.2, 0.03), (-0.42, 0.025), (-0.42, -0.025)]) * length, colour, 0.1 * length
        )


def _wing_engines(rng: np.random.Generator, body: Body, frame: Airframe, length: float) -> None:
    places = (0.3, 0.6) if frame.engines == "four" else (rng.uniform(0.29, 0.36),)
    size, thick, ahead = rng.uniform(0.1, 0.13), rng.uniform(0.042, 0.06), rng.uniform(0.045, 0.08)
    colour = jitter(rng, (225, 226, 228) if rng.random() < 0.7 else (90, 95, 120), 12)
    for place in places:
        y = place * frame.span / 2
        front = _wing_edge(frame, y) + ahead
        pod = np.array([
            (front, y - thick * 0.4), (front, y + thick * 0.4), (front - size * 0.4, y + thick / 2),
            (front - size, y + thick * 0.3), (front - size, y - thick * 0.3), (front - size * 0.4, y - thick / 2),
        ])  # fmt: skip
        for mirror in (np.asarray, mirrored):
            body.add(mirror(pod) * length, colour, 0.035 * length)
            body.add(mirror(pod[[0, 1, 1, 0]] - [(0, 0), (0, 0), (0.015, 0), (0.015, 0)]) * length, (70, 72, 76))


def _propellers(rng: np.random.Generator, body: Body, frame: Airframe, colour: Colour, length: float) -> None:
    if frame.engines == "twin":
        y = rng.uniform(0.26, 0.36) * frame.span / 2
        front, thick = _wing_edge(frame, y) + rng.uniform(0.06, 0.11), rng.uniform(0.045, 0.06)
        back = front - rng.uniform(0.2, 0.28)
        nacelle = np.array([
            (front, y), (front - 0.03, y + thick / 2), (back + 0.05, y + thick / 2), (back, y),
            (back + 0.05, y - thick / 2), (front - 0.03, y - thick / 2),
        ])  # fmt: skip
        for mirror in (np.asarray, mirrored):
            body.add(mirror(nacelle) * length, shaded(colour, 0.93), 0.05 * length)
            _blades(rng, body, mirror(np.array([front, y])), 0.075, length)
    if frame.engines == "nose":
        _blades(rng, body, np.array([0.5, 0.0]), 0.11, length)


def _blades(rng: np.random.Generator, body: Body, hub: np.ndarray, reach: float, length: float) -> None:
    if rng.random() < 0.7:
        blade = np.array([(0, -reach), (0, reach), (-0.012, reach), (-0.012, -reach)]) + hub
        body.add(blade * length, (60, 60, 60), solid=False)
    body.add(circle(0.018 * length, *(hub * length), corners=8), (190, 190, 190))


def _tail(
    rng: np.random.Generator, body: Body, frame: Airframe, colour: Colour, length: float, light: Light, heading: float
) -> None:
    half, high = frame.tail_span / 2, frame.engines == "rear"
    front = -0.5 + frame.tail_root + (0.0 if high else rng.uniform(0.0, 0.04))
    tip = front - frame.tail_sweep * half
    chord = frame.tail_root * rng.uniform(0.4, 0.6)
    plane_half = np.array([(front, 0), (tip, half), (tip - chord, half), (front - frame.tail_root, 0)])
    height = (0.2 if high else 0.1) * length
    cosine, sine = np.cos(heading), np.sin(heading)
    lean = np.array([light.lean @ (cosine, sine), light.lean @ (-sine, cosine)])
    fin_root, fin_top = (
        np.array([(front + 0.08, 0), (-0.48, 0)]),
        np.array([(front, 0), (front - frame.tail_root * 0.8, 0)]),
    )
    fin_top = fin_top + lean * 0.17
    thickness = (0, 0.011)
    fin = np.concatenate(
        [fin_root + thickness, fin_top[::-1] + thickness, fin_top - thickness, fin_root[::-1] - thickness]
    )
    fin_first = high
    if fin_first:
        body.add(fin * length, shaded(colour, 0.85), 0.1 * length, 0.2 * length)
    for mirror in (np.asarray, mirrored):
        body.add((mirror(plane_half) + (lean * 0.15 if high else 0)) * length, colour, height)
    if not fin_first:
        body.add(fin * length, shaded(colour, 0.8), 0.1 * length, 0.24 * length)
