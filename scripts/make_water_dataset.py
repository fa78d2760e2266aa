# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut the NAIP series into chips with the open water of ``resources/water_labels``, as a dataset for ``finetune``.

    .venv/bin/python scripts/make_water_dataset.py NAIP_FOLDER DATASET --task segment|change

NAIP_FOLDER holds ``naip_YYYYMMDD.tif``. Training chips lie in the western two thirds, those for validation in the
eastern third, 200 m apart, so that none shows ground of the other part.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import geopandas
import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

LABELS = Path(__file__).resolve().parents[1] / "resources" / "water_labels" / "water.gpkg"
CLASSES = [{"name": "land", "colour": "#c9b98f"}, {"name": "water", "colour": "#2f7ed8"}]
SIDE, GAP = 256, 20  # pixels of 5 m
CHANGED = 255


def main() -> None:
    """Write the dataset, or say in one line why not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, metavar="NAIP_FOLDER", help="folder with naip_YYYYMMDD.tif")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder to make")
    parser.add_argument("--task", choices=("segment", "change"), required=True)
    options = parser.parse_args()
    paths = sorted(options.images.glob("naip_*.tif"))
    if not paths:
        sys.exit(f"error: there is no naip_YYYYMMDD.tif in {options.images}.")
    if options.dataset.exists():
        sys.exit(f"error: {options.dataset} is there already; name a new folder.")
    if options.task == "segment":
        count = sum(write_masks(path, options.dataset) for path in paths)
        (options.dataset / "classes.json").write_text(json.dumps(CLASSES, indent=2) + "\n", encoding="utf-8")
    else:
        count = sum(write_changes(before, after, options.dataset) for before, after in combinations(paths, 2))
    print(f"{count} chips in {options.dataset}")


def write_masks(path: Path, dataset: Path) -> int:
    """Write the chips of one date: ``images`` and ``masks``, 1 where there is water."""
    with rasterio.open(path) as image:
        water = water_of(path, image)
        print(f"{path.stem}: {water.mean():.2%} water")
        chips = list(plan_chips(image.width, image.height))
        for split, window in chips:
            name = f"{path.stem}_{window.col_off}_{window.row_off}.tif"
            write_chip(dataset / split / "images" / name, image.read((1, 2, 3), window=window), image, window)
            write_chip(dataset / split / "masks" / name, part(water, window)[None], image, window)
    return len(chips)


def write_changes(before_path: Path, after_path: Path, dataset: Path) -> int:
    """Write the chips of two dates on the earlier one's grid: ``A``, ``B``, and ``label``, 255 where water changed."""
    with rasterio.open(before_path) as before, rasterio.open(after_path) as original:
        grid = {name: getattr(before, name) for name in ("crs", "transform", "width", "height")}
        with WarpedVRT(original, resampling=Resampling.bilinear, **grid) as after:
            changed = (water_of(before_path, before) != water_of(after_path, before)) * np.uint8(CHANGED)
            chips = list(plan_chips(before.width, before.height))
            for split, window in chips:
                name = f"{before_path.stem}_{after_path.stem}_{window.col_off}_{window.row_off}.tif"
                for folder, image in (("A", before), ("B", after)):
                    write_chip(dataset / split / folder / name, image.read((1, 2, 3), window=window), before, window)
                write_chip(dataset / split / "label" / name, part(changed, window)[None], before, window)
    return len(chips)


def water_of(path: Path, grid: rasterio.DatasetReader) -> np.ndarray:
    """Where there is open water at the date of an image, 0 or 1, uint8, on the pixels of ``grid``."""
    date = path.stem.removeprefix("naip_")
    polygons = geopandas.read_file(LABELS, where=f"date = '{date[:4]}-{date[4:6]}-{date[6:]}'").to_crs(grid.crs)
    if polygons.empty:
        sys.exit(f"error: {LABELS} has no water of the date of {path.name}.")
    return rasterize(polygons.geometry, out_shape=grid.shape, transform=grid.transform, dtype="uint8")


def plan_chips(width: int, height: int) -> Iterator[tuple[str, Window]]:
    """The split and the place of each chip; neighbours overlap."""
    border = width * 2 // 3
    places = {"train": np.linspace(0, border - GAP - SIDE, 3), "val": (border + GAP, width - SIDE)}
    for split, columns in places.items():
        for column in columns:
            for row in np.linspace(0, height - SIDE, 4):
                yield split, Window(int(column), int(row), SIDE, SIDE)


def part(pixels: np.ndarray, window: Window) -> np.ndarray:
    """The pixels (h, w) in a window."""
    return pixels[window.toslices()]


def write_chip(path: Path, pixels: np.ndarray, grid: rasterio.DatasetReader, window: Window) -> None:
    """Write pixels (bands, h, w) as a GeoTIFF in the place of a window."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"count": len(pixels), "height": SIDE, "width": SIDE, "dtype": "uint8", "crs": grid.crs}
    transform = rasterio.windows.transform(window, grid.transform)
    with rasterio.open(path, "w", driver="GTiff", transform=transform, compress="deflate", **facts) as chip:
        chip.write(pixels)


if __name__ == "__main__":
    main()
