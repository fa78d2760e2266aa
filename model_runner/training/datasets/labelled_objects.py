# SPDX-License-Identifier: GPL-2.0-or-later
"""What every format of labelled objects comes down to."""

from pathlib import Path
from typing import NamedTuple


class LabelledObject(NamedTuple):
    """An object as an annotator has drawn it.

    Attributes:
        corners: x1, y1 … x4, y4 of the smallest rectangle around it or of a quadrilateral, in pixels.
        class_name: what it is.
        difficulty: from 0 on; what is above 0 counts as hard to make out.
        place: the label's file and what finds it there, for messages.
    """

    corners: tuple[float, ...]
    class_name: str
    difficulty: int
    place: str


class LabelledImage(NamedTuple):
    """An image and its objects, the pixels unread.

    Attributes:
        path: of the image.
        name: what no other image of the part is called.
        objects: on it.
        labels: the file with them; None where there is none.
        size: height and width that the labels tell, in pixels; None where they do not.
    """

    path: Path
    name: str
    objects: tuple[LabelledObject, ...]
    labels: Path | None
    size: tuple[int, int] | None = None
