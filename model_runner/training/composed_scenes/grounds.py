# SPDX-License-Identifier: GPL-2.0-or-later
"""Images of one kind of ground each: whole images of UC Merced, and the parts of others that show water or sand."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from model_runner.contract.folders import PLUGIN_ROOT
from model_runner.errors import InputError

WINDOWS = PLUGIN_ROOT / "resources" / "ground_windows.json"
CLASSES = ("bare", "built-up", "field", "forest", "pavement", "shrubs", "water")
WHOLE_IMAGES = {
    "built-up": ("denseresidential", "mobilehomepark"),
    "field": ("agricultural",),
    "forest": ("forest",),
    "pavement": ("parkinglot",),
    "shrubs": ("chaparral",),
}
SCALES = (0.75, 1.35)


class Grounds:
    """Textures of every class, cut by chance out of the images below a folder.

    Args:
        folder: with one sub-folder of images a scene class, as UC Merced has them.

    Raises:
        InputError: there are no images of a class.
    """

    def __init__(self, folder: Path) -> None:
        self._images: list[list[np.ndarray]] = []
        windows = json.loads(WINDOWS.read_text(encoding="utf-8"))
        for name in CLASSES:
            paths = [path for scene in WHOLE_IMAGES.get(name, ()) for path in sorted((folder / scene).glob("*.*"))]
            images = [_read(path) for path in paths]
            for stem, left, top, right, bottom in windows.get(name, ()):
                for path in folder.glob(f"*/{stem}.*"):
                    images.append(_read(path)[top:bottom, left:right])
            if not images:
                raise InputError(f"There are no images of {name} in {folder}; expected UC Merced's folders of scenes.")
            self._images.append(images)

    def texture(self, label: int, side: int, generator: np.random.Generator) -> np.ndarray:
        """Ground of a class, uint8 (side, side, 3): one image, turned, scaled, and mirrored where it ends."""
        images = self._images[label]
        image = images[generator.integers(len(images))]
        image = np.rot90(image, generator.integers(4))
        if generator.random() < 0.5:
            image = image[:, ::-1]
        scale = np.exp(generator.uniform(*np.log(SCALES)))
        size = [max(round(length * scale), 8) for length in image.shape[1::-1]]
        image = np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BICUBIC))
        rows, columns = (_mirrored(length, side, generator) for length in image.shape[:2])
        return image[np.ix_(rows, columns)]


def _mirrored(length: int, side: int, generator: np.random.Generator) -> np.ndarray:
    """Indices (side,) that run up and down an axis from a random place on."""
    places = np.arange(side) + (generator.integers(length - side) if length > side else generator.integers(2 * length))
    return length - 1 - np.abs(length - 1 - places % (2 * length - 2)) if length > 1 else places * 0


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
