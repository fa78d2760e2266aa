# SPDX-License-Identifier: GPL-2.0-or-later
"""What a chart is made of. Each shape can be written as SVG and be drawn on an image.

Lengths are those of the SVG; an image has ``scale`` pixels for each of them. A colour is "#rrggbb", or "grid" or
"axis", which on a page follow the reader's light or dark colours.
"""

from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont

PAPER_COLOURS = {"grid": "#d9dee3", "axis": "#68727c"}  # on white, as in ``page``
LETTERS = 11  # height of the text on a chart
FONTS = ("DejaVuSans.ttf", "arial.ttf", "Arial.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf")
ON_IMAGE = {"start": "ls", "middle": "ms", "end": "rs"}  # Pillow's names of the places that a text hangs on


class Line(NamedTuple):
    """Points (x, y) joined by a line."""

    points: Sequence[tuple[float, float]]
    colour: str
    width: float = 1

    def svg(self) -> str:
        """The line as SVG."""
        if self.colour in PAPER_COLOURS:
            (x1, y1), (x2, y2) = self.points
            return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{self.colour}"/>'
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)
        return (
            f'<polyline points="{path}" fill="none" stroke="{self.colour}" stroke-width="{self.width}" '
            'stroke-linejoin="round"/>'
        )

    def draw(self, pen: ImageDraw.ImageDraw, scale: int) -> None:
        """Draw the line on an image."""
        points = [(x * scale, y * scale) for x, y in self.points]
        pen.line(points, PAPER_COLOURS.get(self.colour, self.colour), round(self.width * scale), "curve")


class Dot(NamedTuple):
    """A disc, or a circle that is not filled."""

    x: float
    y: float
    radius: float
    colour: str
    filled: bool = True

    def svg(self) -> str:
        """The dot as SVG."""
        look = f'fill="{self.colour}"' if self.filled else f'class="{self.colour}" fill="none" stroke-width="2"'
        return f'<circle cx="{self.x:.1f}" cy="{self.y:.1f}" r="{self.radius}" {look}/>'

    def draw(self, pen: ImageDraw.ImageDraw, scale: int) -> None:
        """Draw the dot on an image."""
        colour = PAPER_COLOURS.get(self.colour, self.colour)
        look = {"fill": colour} if self.filled else {"outline": colour, "width": 2 * scale}
        pen.circle((self.x * scale, self.y * scale), self.radius * scale, **look)


class Label(NamedTuple):
    """A line of text, which begins, has its middle or ends at a point on its base line; upright ones read upwards."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    upright: bool = False

    def svg(self) -> str:
        """The text as SVG."""
        turned = f' transform="rotate(-90 {self.x:g} {self.y:g})"' if self.upright else ""
        place = f'x="{self.x:.1f}" y="{self.y:.1f}" text-anchor="{self.anchor}"{turned}'
        return f"<text {place}>{escape(self.text)}</text>"

    def draw(self, pen: ImageDraw.ImageDraw, scale: int) -> None:
        """Draw the text on an image."""
        letters, colour = font(LETTERS * scale), PAPER_COLOURS["axis"]
        x, y = self.x * scale, self.y * scale
        if not self.upright:
            pen.text((x, y), self.text, colour, letters, ON_IMAGE[self.anchor])
            return
        height = LETTERS * scale * 2
        lying = Image.new("L", (max(1, round(pen.textlength(self.text, letters))), height))
        ImageDraw.Draw(lying).text((lying.width / 2, height / 2), self.text, 255, letters, "ms")
        pen.bitmap((x - height / 2, y - lying.width / 2), lying.transpose(Image.Transpose.ROTATE_90), colour)


Shape = Line | Dot | Label


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Letters of a height in pixels: the system's, or else Pillow's own, which know no more than ASCII."""
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
