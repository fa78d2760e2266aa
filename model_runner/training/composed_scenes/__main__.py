# SPDX-License-Identifier: GPL-2.0-or-later
"""The command: python -m model_runner.training.composed_scenes."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from model_runner.errors import RunnerError
from model_runner.training.composed_scenes.grounds import CLASSES, Grounds
from model_runner.training.composed_scenes.pairs import compose_pair
from model_runner.training.composed_scenes.scenes import compose_scene

COLOURS = ("#d9c28f", "#c0504d", "#c5d86d", "#2e7d32", "#8c8c8c", "#9caf62", "#2f7ed8")


def main(arguments: list[str] | None = None) -> int:
    """Write a dataset of composed scenes; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m model_runner.training.composed_scenes",
        description="Write labelled scenes composed of real grounds (UC Merced Land Use).",
        epilog="example: python -m model_runner.training.composed_scenes --task segment --images ucmerced/train "
        "--output scenes/train",
    )
    parser.add_argument("--task", choices=("segment", "change"), required=True, help="scenes, or pairs of dates")
    parser.add_argument("--images", type=Path, required=True, help="folder with one sub-folder of images a class")
    parser.add_argument("--output", type=Path, required=True, help="folder that receives the dataset's folders")
    parser.add_argument("--count", type=int, default=1000, help="number of scenes (default: 1000)")
    parser.add_argument("--size", type=int, default=256, help="side of a scene in pixels (default: 256)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other scenes (default: 0)")
    options = parser.parse_args(arguments)
    write = {"segment": _write_scene, "change": _write_pair}[options.task]
    try:
        grounds = Grounds(options.images)
        options.output.mkdir(parents=True, exist_ok=True)
        if options.task == "segment":
            classes = [{"name": name, "colour": colour} for name, colour in zip(CLASSES, COLOURS, strict=True)]
            (options.output / "classes.json").write_text(json.dumps(classes, indent=2) + "\n", encoding="utf-8")
        for index in range(options.count):
            generator = np.random.default_rng((options.seed, index))
            write(options.output, f"scene_{index:05d}.png", grounds, options.size, generator)
    except (RunnerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _write_scene(folder: Path, name: str, grounds: Grounds, size: int, generator: np.random.Generator) -> None:
    scene = compose_scene(grounds, size, generator)
    _save(folder / "images" / name, scene.image)
    _save(folder / "masks" / name, scene.labels)


def _write_pair(folder: Path, name: str, grounds: Grounds, size: int, generator: np.random.Generator) -> None:
    pair = compose_pair(grounds, size, generator)
    _save(folder / "A" / name, pair.before)
    _save(folder / "B" / name, pair.after)
    _save(folder / "label" / name, pair.changed.astype(np.uint8) * 255)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    sys.exit(main())
