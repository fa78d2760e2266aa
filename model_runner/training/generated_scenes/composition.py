# SPDX-License-Identifier: GPL-2.0-or-later
"""A picture in the making, and what may stand in it beside what."""

from dataclasses import dataclass, field

import numpy as np

from model_runner.training.generated_scenes.canvas import Body, Layer, Light

Box = tuple[float, float, float, float, float]
"""Oriented box: cx, cy, w, h in pixels, angle in radians (le90)."""


@dataclass
class Composition:
    """A picture in the making: pixels float32 (H, W, 3), the light, pixels per metre, the boxes found on it so far."""

    rng: np.random.Generator
    image: np.ndarray
    light: Light
    scale: float
    found: list[tuple[str, Box]] = field(default_factory=list)
    _rectangles: list[np.ndarray] = field(default_factory=list)
    _circles: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Side of the picture in pixels."""
        return self.image.shape[0]

    def layer(self) -> Layer:
        """An empty layer for this picture."""
        return Layer(self.size, self.light)

    def place(
        self, layer: Layer, name: str, body: Body, x: float, y: float, heading: float, margin: float = 1.0
    ) -> bool:
        """Draw a body of a class and note its box.

        Nothing is drawn where it would touch another (its sides are multiplied by the margin first) or where the
        border of the picture would cut off half of it: what is too little to recognise must not be there unlabelled.

        Returns:
            Whether it was drawn.
        """
        box = body.box(x, y, heading)
        if self._visible_share(box) <= 0.5 or not self.free(box, margin):
            return False
        layer.draw(body, x, y, heading)
        self.found.append((name, box))
        return True

    def free(self, box: Box, margin: float = 1.0) -> bool:
        """Whether nothing that was asked for before overlaps the box (its sides times margin); if so, take it."""
        rectangle = box_corners(np.array([(*box[:2], box[2] * margin, box[3] * margin, box[4])]))[0]
        radius = np.hypot(box[2], box[3]) * margin / 2
        if self._circles:
            x, y, reach = np.array(self._circles).T
            near = np.flatnonzero((x - box[0]) ** 2 + (y - box[1]) ** 2 < (reach + radius) ** 2)
            if any(_overlap(rectangle, self._rectangles[index]) for index in near):
                return False
        self._rectangles.append(rectangle)
        self._circles.append((box[0], box[1], radius))
        return True

    def _visible_share(self, box: Box) -> float:
        """How much of the box is in the picture, by 64 points."""
        steps = (np.arange(8) + 0.5) / 8 - 0.5
        along, across = (part.ravel() for part in np.meshgrid(steps * box[2], steps * box[3]))
        columns = box[0] + along * np.cos(box[4]) - across * np.sin(box[4])
        rows = box[1] + along * np.sin(box[4]) + across * np.cos(box[4])
        return float(((columns >= 0) & (columns < self.size) & (rows >= 0) & (rows < self.size)).mean())


def box_corners(boxes: np.ndarray) -> np.ndarray:
    """The four corners of oriented boxes (n, 5), (n, 4, 2) in pixels."""
    cosine, sine = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = np.stack([cosine, sine], axis=1) * boxes[:, 2:3] / 2
    across = np.stack([-sine, cosine], axis=1) * boxes[:, 3:4] / 2
    offsets = np.stack([-along - across, along - across, along + across, across - along], axis=1)
    return boxes[:, None, :2] + offsets


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two rectangles (4, 2) overlap: no side of either separates them."""
    for corners in (a, b):
        axes = np.array([corners[1] - corners[0], corners[2] - corners[1]])
        first, second = a @ axes.T, b @ axes.T
        if ((first.max(0) < second.min(0)) | (second.max(0) < first.min(0))).any():
            return False
    return True
