# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes as a dataset folder: images/NAME.png and labelTxt/NAME.txt in DOTA's words."""

from pathlib import Path

from PIL import Image

from model_runner.training.generated_scenes.composition import box_corners
from model_runner.training.generated_scenes.scenes import CLASSES, Scene, SceneGenerator

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


def find_backgrounds(folder: Path) -> list[Path]:
    """All images below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def write_dataset(folder: Path, generator: SceneGenerator, count: int, first: int = 0) -> None:
    """Write scenes in the layout that fine-tuning and evaluation read.

    Args:
        folder: receives `images/` and `labelTxt/`; scenes of an earlier run with the same numbers are replaced.
        generator: composes the scenes.
        count: how many.
        first: index of the first one.
    """
    images, labels = folder / "images", folder / "labelTxt"
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(exist_ok=True)
    for index in range(first, first + count):
        scene = generator.scene(index)
        Image.fromarray(scene.image).save(images / f"scene_{index:05d}.png")
        (labels / f"scene_{index:05d}.txt").write_text("".join(label_lines(scene)), encoding="utf-8")


def label_lines(scene: Scene) -> list[str]:
    """One line an object: x1 y1 x2 y2 x3 y3 x4 y4 class difficult."""
    corners = box_corners(scene.boxes).reshape(-1, 8)
    return [
        " ".join(f"{value:.2f}" for value in row) + f" {CLASSES[label]} 0\n"
        for row, label in zip(corners, scene.labels, strict=True)
    ]
