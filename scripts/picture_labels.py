# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw a contact sheet of a dataset in DOTA's layout: every image with its boxes.

PYTHONPATH=. .venv/bin/python scripts/picture_labels.py DATASET [DATASET …] --output sheet.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from model_runner.rotated_boxes.geometry import corners
from model_runner.training.datasets.objects import ObjectDataset, Sample, find_class_names

COLOURS = ("#4da6ff", "#ff4d4d", "#00e5e5", "#ffb000", "#b36bff", "#7ddf64")
DIFFICULT = "#ff00ff"
GAP = 2  # pixels between images


def main() -> None:
    """Draw what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", type=Path, metavar="DATASET", help="folder with images and labelTxt")
    parser.add_argument("--output", type=Path, required=True, help="picture to write")
    parser.add_argument("--side", type=int, default=128, help="pixels of an image on the sheet")
    parser.add_argument("--columns", type=int, default=23)
    options = parser.parse_args()
    names = tuple(sorted({name for folder in options.datasets for name in find_class_names(folder)}))
    tiles = [
        draw(sample, options.side)
        for folder in options.datasets
        for sample in map(ObjectDataset(folder, "", names).__getitem__, range(len(ObjectDataset(folder, "", names))))
    ]
    step = options.side + GAP
    rows = -(-len(tiles) // options.columns)
    sheet = Image.new("RGB", (options.columns * step, rows * step), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % options.columns * step, number // options.columns * step))
    sheet.save(options.output, quality=82)
    print(f"{options.output}: {len(tiles)} images, classes {', '.join(names)}")


def draw(sample: Sample, side: int) -> Image.Image:
    """An image with its boxes, difficult ones in pink, as a square of so many pixels."""
    image = Image.fromarray(np.ascontiguousarray(sample.image.permute(1, 2, 0).numpy()))
    scale = 4 * side / max(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    pen = ImageDraw.Draw(image)
    for corner, label, difficult in zip(
        corners(sample.boxes), sample.labels.tolist(), sample.difficult.tolist(), strict=True
    ):
        points = [tuple(point) for point in (corner * scale).tolist()]
        pen.line([*points, points[0]], fill=DIFFICULT if difficult else COLOURS[label % len(COLOURS)], width=7)
    square = Image.new("RGB", (side, side))
    square.paste(image.resize((image.width // 4, image.height // 4), Image.Resampling.BOX))
    return square


if __name__ == "__main__":
    main()
