# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes with exact labels: real backgrounds on which planes, ships, cars and tanks are drawn."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from model_runner.errors import InputError
from model_runner.training.generated_scenes.airports import airport
from model_runner.training.generated_scenes.canvas import photograph, pick, random_light
from model_runner.training.generated_scenes.composition import Composition
from model_runner.training.generated_scenes.layouts import LAYOUTS, PIXELS_PER_METRE, open_country

CLASSES = ("plane", "ship", "small-vehicle", "storage-tank")
"""Names of the labels 0 to 3, in DOTA's words."""

SHORTEST_SIDE = 8.0
"""What is shorter than this (the long side, pixels) is drawn but not labelled."""

# Folders of the UC Merced Land Use data set whose images show the classes themselves, unlabelled.
WITH_OBJECTS = frozenset({"airplane", "storagetanks", "harbor", "parkinglot"})
# Their cars are too small to be taken for labelled ones only at half the resolution.
WITH_CARS = frozenset({
    "buildings", "denseresidential", "freeway", "intersection", "mediumresidential", "mobilehomepark", "overpass",
    "sparseresidential", "tenniscourt",
})  # fmt: skip


class Scene(NamedTuple):
    """A picture and what is on it.

    Attributes:
        image: uint8 (H, W, 3).
        boxes: float32 (n, 5), cx, cy, w, h in pixels and the angle in radians (le90); an object that the border
            cuts keeps the box of the whole object.
        labels: int64 (n,), positions in CLASSES.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


class SceneGenerator:
    """Composes labelled scenes; a seed and an index always give the same one.

    Args:
        backgrounds: images; the name of the folder of each tells what it shows (UC Merced's names).
        size: side of the scenes in pixels.
        seed: scenes of different seeds differ.

    Raises:
        InputError: no background can be used, or the size is too small.
    """

    def __init__(self, backgrounds: list[Path], size: int = 256, seed: int = 0) -> None:
        if size < 64:
            raise InputError(f"Scenes of {size} pixels are too small: choose at least 64.")
        usable = sorted(path for path in backgrounds if path.parent.name not in WITH_OBJECTS)
        self._plain = [path for path in usable if path.parent.name not in WITH_CARS]
        self._built_up = [path for path in usable if path.parent.name in WITH_CARS]
        if not self._plain:
            raise InputError(
                f"None of the {len(backgrounds)} background images is free of planes, ships, cars and tanks: "
                "add images of fields, forest, beach or runways."
            )
        self.size, self.seed = size, seed

    def scene(self, index: int) -> Scene:
        """The scene with that number (0 or more)."""
        rng = np.random.default_rng((self.seed, index))
        layout, smallest, largest = pick(rng, LAYOUTS)
        zoom = float(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
        built_up = bool(self._built_up) and rng.random() < (0.6 if layout is open_country else 0.2)
        composition = Composition(
            rng, self._background(rng, built_up, layout is airport), random_light(rng), zoom * PIXELS_PER_METRE
        )
        layout(rng, composition)
        image = photograph(rng, composition.image)
        kept = [(name, box) for name, box in composition.found if box[2] >= SHORTEST_SIDE]
        boxes = np.array([box for _, box in kept], dtype=np.float32).reshape(-1, 5)
        return Scene(image, boxes, np.array([CLASSES.index(name) for name, _ in kept], dtype=np.int64))

    def _background(self, rng: np.random.Generator, built_up: bool, prefer_runway: bool) -> np.ndarray:
        """Images side by side until the scene is full, turned and mirrored; float32 (size, size, 3)."""
        cell = 128 if built_up else 256
        paths = self._built_up if built_up else self._plain
        folders = sorted({path.parent.name for path in paths})
        folder = "runway" if prefer_runway and "runway" in folders and rng.random() < 0.5 else str(rng.choice(folders))
        paths = [path for path in paths if path.parent.name == folder]
        count = -(-self.size // cell)
        whole = np.empty((count * cell, count * cell, 3), dtype=np.uint8)
        for row in range(count):
            for column in range(count):
                picture = np.rot90(_pixels(paths[rng.integers(len(paths))], cell), rng.integers(4))
                if rng.random() < 0.5:
                    picture = picture[:, ::-1]
                whole[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = picture
        return whole[: self.size, : self.size].astype(np.float32)


@lru_cache(maxsize=2048)
def _pixels(path: Path, side: int) -> np.ndarray:
    """The image as uint8 (side, side, 3)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS))
