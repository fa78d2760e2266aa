# SPDX-License-Identifier: GPL-2.0-or-later
"""Images with what is labelled or found drawn on them, all of one size on the page."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw

SIDE = 512  # pixels of a picture's longer side: twice what it measures on the page
LINE = 3
QUALITY = 88
CLASS_OPACITY = 0.55
RIGHT, FALSE, MISSED, OTHER = "#00d69b", "#ff5a1f", "#ffd500", "#e15bd6"
IGNORED = 255


def scaled(image: np.ndarray) -> np.ndarray:
    """An image uint8 (h, w, 3) with its longer side brought to ``SIDE`` pixels."""
    height, width = image.shape[:2]
    factor = SIDE / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BICUBIC))


def draw_polygons(image: np.ndarray, corners: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """An image (h, w, 3) scaled, with polygons (n, k, 2) in its own pixels, each in its colour."""
    factor = SIDE / max(image.shape[:2])
    picture = Image.fromarray(scaled(image))
    pen = ImageDraw.Draw(picture)
    for polygon, colour in zip(np.asarray(corners) * factor, colours, strict=True):
        ring = [tuple(point) for point in polygon]
        pen.line([*ring, ring[0], ring[1]], fill="#000000", width=LINE + 2, joint="curve")
        pen.line([*ring, ring[0], ring[1]], fill=colour, width=LINE, joint="curve")
    return np.asarray(picture)


def paint_numbers(image: np.ndarray, numbers: np.ndarray, colours: Sequence[str | None]) -> np.ndarray:
    """An image (h, w, 3) scaled, under the colours of numbers (h, w); a number without colour leaves it as it is."""
    palette, opaque = np.zeros((256, 3)), np.zeros(256)
    for number, colour in enumerate(colours):
        if colour is not None:
            palette[number], opaque[number] = ImageColor.getrgb(colour), CLASS_OPACITY
    share = opaque[numbers][..., None]
    mixed = image * (1 - share) + palette[numbers] * share
    return scaled(np.rint(mixed).astype(np.uint8))


def data_address(picture: np.ndarray) -> str:
    """A picture uint8 (h, w, 3) as an address that holds all of it."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def save_side_by_side(path: Path, pictures: Sequence[np.ndarray]) -> None:
    """Write pictures beside each other as a PNG."""
    gap = 8
    height = max(each.shape[0] for each in pictures)
    width = sum(each.shape[1] for each in pictures) + gap * (len(pictures) - 1)
    whole, left = np.full((height, width, 3), 255, np.uint8), 0
    for each in pictures:
        whole[: each.shape[0], left : left + each.shape[1]] = each
        left += each.shape[1] + gap
    Image.fromarray(whole).save(path)
