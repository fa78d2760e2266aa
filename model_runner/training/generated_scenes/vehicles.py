# SPDX-License-Identifier: GPL-2.0-or-later
"""Cars, vans and pickups seen from above."""

import numpy as np

from model_runner.training.generated_scenes.canvas import Body, Light, jitter, pick, rectangle, shaded

PAINTS = (
    (25, (238, 238, 238)), (19, (176, 180, 184)), (12, (112, 116, 122)), (17, (34, 36, 42)), (11, (158, 34, 30)),
    (7, (44, 62, 122)), (5, (186, 172, 140)), (3, (44, 82, 66)), (1, (222, 186, 40)),
)  # fmt: skip
SERVICE_PAINTS = (
    (60, (238, 238, 238)),
    (12, (176, 180, 184)),
    (8, (60, 62, 66)),
    (8, (206, 176, 70)),
    (6, (44, 62, 122)),
    (3, (158, 34, 30)),
)
"""Of the vehicles on an apron."""


def vehicle(
    rng: np.random.Generator, light: Light, heading: float, pixels_per_metre: float, paints: tuple = PAINTS
) -> Body:
    """A small road vehicle as it looks with that heading (radians) in that light."""
    kind = pick(rng, ((60, "car"), (25, "wagon"), (15, "pickup")))
    length = pixels_per_metre * (rng.uniform(4.1, 5.0) if kind == "car" else rng.uniform(4.5, 5.6))
    width = pixels_per_metre * rng.uniform(1.75, 2.1)
    height = pixels_per_metre * (1.4 if kind == "car" else 1.8)
    paint = jitter(rng, pick(rng, paints), 9)
    side = light.side(heading)
    body, (a, b) = Body(), (length / 2, width / 2)
    corner = 0.22 * width
    outline = np.array([
        (a, b - 1.3 * corner), (a - corner, b), (-a + 0.6 * corner, b), (-a, b - corner),
        (-a, -b + corner), (-a + 0.6 * corner, -b), (a - corner, -b), (a, -b + 1.3 * corner),
    ])  # fmt: skip
    body.add(outline, shaded(paint, 0.88), 0.0, height * 0.6)
    body.add(outline * (0.9, 0.8) + (0, 0.1 * width * side), shaded(paint, 1.04))
    glass = jitter(rng, (38, 42, 50), 8)
    front, back = (0.2, -0.28) if kind == "car" else (0.22, -0.43)
    if kind == "pickup":
        back = -0.08
        body.add(rectangle(-0.46 * length, -0.4 * width, -0.1 * length, 0.4 * width), shaded(paint, 0.45))
    cabin = np.array([(front + 0.07, 0.36), (back - 0.06, 0.36), (back - 0.06, -0.36), (front + 0.07, -0.36)])
    body.add(cabin * (length, width), glass, height * 0.6, height)
    roof = rectangle((back + 0.02) * length, -0.33 * width, (front - 0.06) * length, 0.33 * width)
    body.add(roof, shaded(paint, 1.08))
    body.add(roof * (0.9, 0.5) + (0, 0.12 * width * side), shaded(paint, 1.2))
    return body
