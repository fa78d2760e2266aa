# SPDX-License-Identifier: GPL-2.0-or-later
"""What scenes are drawn with: bodies of polygons, layers that hold them, light, grain and tone.

Everything is drawn four times too large and averaged, so that edges are soft and boxes exact to a fraction of a pixel.
Image coordinates are pixels, x to the right, y down, (0, 0) the top-left corner of the first pixel.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SUPERSAMPLING = 4
Colour = tuple[int, int, int]
Points = Sequence[Sequence[float]] | np.ndarray


class Light(NamedTuple):
    """Sun and view of one scene.

    Attributes:
        shadow: (2,) where the shadow of a point one unit above the ground falls, in units.
        lean: (2,) where a point one unit above the ground appears, because the camera is not straight above it.
        tint: (3,) factors of the colours in shadow.
        softness: standard deviation of the blur of what is drawn, pixels.
    """

    shadow: np.ndarray
    lean: np.ndarray
    tint: np.ndarray
    softness: float

    def side(self, heading: float) -> float:
        """How far the light comes from the left (-1) or the right (1) of a body with that heading, radians."""
        towards_sun = -self.shadow / (np.hypot(*self.shadow) + 1e-6)
        return float(towards_sun @ (-np.sin(heading), np.cos(heading)))


class Part(NamedTuple):
    """One polygon of a body; it casts a shadow between its two heights where they are not zero."""

    points: np.ndarray
    colour: Colour
    low: float
    high: float


@dataclass
class Body:
    """A thing to draw, in its own frame: x ahead, y to the right, pixels. Later parts lie over earlier ones.

    The box of a square body (a round thing has no heading) is an upright square around it.
    """

    parts: list[Part] = field(default_factory=list)
    square: bool = False
    _outline: list[np.ndarray] = field(default_factory=list)

    def add(self, points: Points, colour: Colour, low: float = 0.0, high: float = 0.0, solid: bool = True) -> None:
        """Add a polygon; one that is not solid (a propeller) does not count for the box."""
        points = np.asarray(points, dtype=np.float64)
        self.parts.append(Part(points, colour, low, max(low, high)))
        if solid:
            self._outline.append(points)

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest x and y of the solid parts."""
        points = np.concatenate(self._outline)
        return points.min(axis=0), points.max(axis=0)

    def size(self) -> np.ndarray:
        """Length along x and width along y of the solid parts."""
        low, high = self.extent()
        return high - low

    def box(self, x: float, y: float, heading: float) -> tuple[float, float, float, float, float]:
        """The oriented box (cx, cy, w, h, angle in radians, le90) of the body at that place."""
        low, high = self.extent()
        middle = _turn((low + high) / 2, heading)
        (w, h), angle = high - low, heading
        if self.square:
            return (x + middle[0], y + middle[1], max(w, h), max(w, h), 0.0)
        if w < h:
            w, h, angle = h, w, heading + np.pi / 2
        return (x + middle[0], y + middle[1], w, h, (angle + np.pi / 2) % np.pi - np.pi / 2)


class Layer:
    """A transparent sheet as large as the scene on which bodies are drawn, and the shade that they cast below it."""

    def __init__(self, size: int, light: Light) -> None:
        self.size, self.light = size, light
        large = (size * SUPERSAMPLING, size * SUPERSAMPLING)
        self._sheet = Image.new("RGBa", large)
        self._shade = Image.new("L", large)
        self._pen, self._shade_pen = ImageDraw.Draw(self._sheet), ImageDraw.Draw(self._shade)
        self._has_shade = False

    def draw(self, body: Body, x: float, y: float, heading: float) -> tuple[float, float, float, float, float]:
        """Draw a body with its origin at (x, y) and its x axis along the heading (radians); return its box."""
        for part in body.parts:
            points = (_turn(part.points, heading) + np.array([x, y])) * SUPERSAMPLING - 0.5
            if part.high > 0:
                self._cast(points, part)
            self._pen.polygon(np.rint(points).ravel().tolist(), fill=(*part.colour, 255))
        return body.box(x, y, heading)

    def polygon(self, points: Points, colour: Colour) -> None:
        """Draw a flat polygon given in image coordinates."""
        large = np.rint(np.asarray(points) * SUPERSAMPLING - 0.5)
        self._pen.polygon(large.ravel().tolist(), fill=(*colour, 255))

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Draw a line through points in image coordinates; the width is in pixels."""
        large = np.rint(np.asarray(points) * SUPERSAMPLING - 0.5)
        self._pen.line(
            large.ravel().tolist(), fill=(*colour, 255), width=max(1, round(width * SUPERSAMPLING)), joint="curve"
        )

    def _cast(self, points: np.ndarray, part: Part) -> None:
        """Shade what the part hides from the sun: its outline at both heights and what lies between them."""
        self._has_shade = True
        low = points + self.light.shadow * part.low * SUPERSAMPLING
        high = points + self.light.shadow * part.high * SUPERSAMPLING
        self._shade_pen.polygon(np.rint(high).ravel().tolist(), fill=255)
        if part.high - part.low > 0.5:
            self._shade_pen.polygon(np.rint(low).ravel().tolist(), fill=255)
            quads = np.stack([low, np.roll(low, -1, 0), np.roll(high, -1, 0), high], axis=1)
            for quad in np.rint(quads).reshape(len(quads), 8).tolist():
                self._shade_pen.polygon(quad, fill=255)

    def onto(self, image: np.ndarray, opacity: float = 1.0, texture: np.ndarray | None = None) -> np.ndarray:
        """Lay the layer over an image.

        Args:
            image: float32 (H, W, 3), 0 to 255.
            opacity: how much of the image the drawn parts hide.
            texture: (H, W) factors of the drawn colours.

        Returns:
            The new image, float32 (H, W, 3).
        """
        if self._has_shade:
            shade = self._shade.reduce(SUPERSAMPLING).filter(ImageFilter.GaussianBlur(self.light.softness + 0.2))
            weight = np.asarray(shade, dtype=np.float32)[..., None] / 255
            image = image * (1 - weight * (1 - self.light.tint))
        sheet = self._sheet.reduce(SUPERSAMPLING).filter(ImageFilter.GaussianBlur(self.light.softness))
        drawn = np.asarray(sheet, dtype=np.float32)
        colours = drawn[..., :3] if texture is None else drawn[..., :3] * texture[..., None]
        return image * (1 - drawn[..., 3:] * (opacity / 255)) + colours * opacity


def random_light(rng: np.random.Generator) -> Light:
    """A sun between 30 and 65 degrees above the horizon, from any side, and a camera nearly straight above."""
    sun, view = rng.uniform(0, 2 * np.pi, 2)
    length, tilt = rng.uniform(0.45, 1.6), rng.uniform(0, 0.22)
    darkness = 0.08 + 0.5 * rng.random() ** 1.5
    return Light(
        shadow=length * np.array([np.cos(sun), np.sin(sun)]),
        lean=tilt * np.array([np.cos(view), np.sin(view)]),
        tint=np.clip(darkness * np.array([0.93, 1.0, 1.12]), 0, 0.85).astype(np.float32),
        softness=rng.uniform(0.3, 0.85),
    )


TINTS = (
    (5, (1.0, 1.0, 1.0)),
    (4, (1.05, 0.98, 0.88)),
    (2, (0.95, 1.02, 0.98)),
    (2, (0.97, 0.99, 1.05)),
    (2, (1.04, 0.97, 1.03)),
    (1, (0.98, 1.03, 0.86)),
)
"""How cameras and haze colour whole images: (weight, factors of red, green, blue)."""


def mottle(rng: np.random.Generator, size: int, strength: float, grain: float) -> np.ndarray:
    """Uneven brightness of a surface, (H, W) factors around 1: blotches of several sizes and fine grain."""
    fine = rng.standard_normal((size, size), dtype=np.float32)
    total = (fine + np.roll(fine, 1, axis=0) + np.roll(fine, 1, axis=1)) * (grain / 1.7)
    for cell, weight in ((3, 0.35), (11, 0.4), (37, 0.6), (120, 0.7)):
        cells = max(2, size // cell + 2)
        coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        total += np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)) * (strength * weight)
    return np.maximum(1 + total, 0.2)


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Give an image the tone, sharpening, grain and compression of some camera; float32 0 to 255 in, uint8 out."""
    size = image.shape[0]
    unit = np.clip(image / 255, 0, 1)
    grey = unit.mean(axis=2, keepdims=True)
    unit = np.clip(grey + (unit - grey) * rng.uniform(0.55, 1.05), 0, 1) ** rng.uniform(0.8, 1.25)
    middle, contrast = rng.uniform(0.35, 0.6), rng.uniform(0.85, 1.3)
    unit = (unit - middle) * contrast + middle
    unit = unit * np.multiply(rng.uniform(0.92, 1.18), pick(rng, TINTS)) * rng.uniform(0.97, 1.03, 3)
    picture = _as_picture(unit + rng.uniform(-0.01, 0.06))
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.8)))
    elif rng.random() < 0.45:
        picture = picture.filter(ImageFilter.UnsharpMask(rng.uniform(0.8, 1.6), int(rng.integers(40, 150)), 1))
    if rng.random() < 0.5:
        noise = rng.standard_normal((size, size, 1), dtype=np.float32)
        noise = noise + 0.5 * rng.standard_normal((size, size, 3), dtype=np.float32)
        noise = noise + np.roll(noise, 1, axis=0) + np.roll(noise, 1, axis=1)
        picture = _as_picture(np.asarray(picture, dtype=np.float32) / 255 + rng.uniform(0, 0.022) * noise)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=int(rng.integers(70, 96)))
    return np.asarray(Image.open(encoded))


def _as_picture(unit: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(unit, 0, 1) * 255).astype(np.uint8))


def directions(angle: float) -> tuple[np.ndarray, np.ndarray]:
    """The unit vectors along an angle and across it, a quarter turn towards y."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([cosine, sine]), np.array([-sine, cosine])


def circle(radius: float, x: float = 0.0, y: float = 0.0, corners: int = 40) -> np.ndarray:
    """The corners of a circle as a polygon, (corners, 2)."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """The corners of an upright rectangle, (4, 2)."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def mirrored(points: Points) -> np.ndarray:
    """The points with left and right exchanged."""
    return np.asarray(points, dtype=np.float64) * (1, -1)


def shaded(colour: Sequence[float], factor: float) -> Colour:
    """The colour made darker (factor below 1) or lighter."""
    return tuple(int(min(max(channel * factor, 0), 255)) for channel in colour)


def jitter(rng: np.random.Generator, colour: Sequence[float], amount: float) -> Colour:
    """A colour near the given one: brightness and hue vary by about that many levels."""
    offset = rng.normal(0, amount) + rng.normal(0, amount / 3, 3)
    return tuple(int(min(max(channel + change, 0), 255)) for channel, change in zip(colour, offset, strict=True))


def pick(rng: np.random.Generator, choices: Sequence[tuple[float, object]]) -> object:
    """One of the (weight, value) pairs' values, by weight."""
    weights = np.array([weight for weight, _ in choices])
    return choices[int(rng.choice(len(choices), p=weights / weights.sum()))][1]


def _turn(points: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]])
