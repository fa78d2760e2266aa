# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut the NAIP series into chips with the open water of ``resources/water_labels``, as a dataset for ``finetune``.

    .venv/bin/python scripts/make_water_dataset.py NAIP_FOLDER DATASET --task segment|change

NAIP_FOLDER holds ``naip_YYYYMMDD.tif``. Training chips lie in the western two thirds; for validation the eastern third
is kept whole, 200 m away, so that neither part shows ground of the other. Eight dates are few for what lakes can look
like. So each training chip comes twice more: with sun glint, in which a lake is as bright as bare soil, drawn on some
of its lakes, and with its lakes in the colours of other lakes and dates.
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
from shapely.geometry.base import BaseGeometry

LABELS = Path(__file__).resolve().parents[1] / "resources" / "water_labels" / "water.gpkg"
CLASSES = [{"name": "land", "colour": "#c9b98f"}, {"name": "water", "colour": "#2f7ed8"}]
SIDE, GAP = 256, 20  # pixels of 5 m
CHANGED = 255
GLINT_SHARE = 0.5  # of the lakes, in the second chip of a place
DYED_SHARE = 0.75  # of the lakes, in the third one
SMALLEST_SHOWN = 50  # pixels of a lake whose colour others take
SEED = 20


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
    colours = [find_colours(path) for path in paths]
    if options.task == "segment":
        count = sum(write_masks(path, options.dataset, colours) for path in paths)
        (options.dataset / "classes.json").write_text(json.dumps(CLASSES, indent=2) + "\n", encoding="utf-8")
    else:
        count = sum(write_changes(before, after, options.dataset, colours) for before, after in combinations(paths, 2))
    print(f"{count} chips in {options.dataset}")


def write_masks(path: Path, dataset: Path, colours: list[np.ndarray]) -> int:
    """Write the chips of one date: ``images`` and ``masks``, 1 where there is water."""
    with rasterio.open(path) as image:
        water = burn(read_water(path, image), image)
        print(f"{path.stem}: {water.mean():.2%} water")
        views = read_views(path, image, colours)
        count = 0
        for split, window, suffix in plan_views(image):
            name = f"{path.stem}_{window.col_off}_{window.row_off}{suffix}.tif"
            write_chip(dataset / split / "images" / name, part(views[suffix], window), image, window)
            write_chip(dataset / split / "masks" / name, part(water, window)[None], image, window)
            count += 1
    return count


def write_changes(before_path: Path, after_path: Path, dataset: Path, colours: list[np.ndarray]) -> int:
    """Write the chips of two dates on the earlier one's grid: ``A``, ``B``, and ``label``, 255 where water changed."""
    with rasterio.open(before_path) as before, rasterio.open(after_path) as original:
        grid = {name: getattr(before, name) for name in ("crs", "transform", "width", "height")}
        with WarpedVRT(original, resampling=Resampling.bilinear, **grid) as after:
            dates = {"A": (before_path, before), "B": (after_path, after)}
            waters = [burn(read_water(path, before), before) for path, _ in dates.values()]
            changed = (waters[0] != waters[1]) * np.uint8(CHANGED)
            views = {folder: read_views(path, image, colours) for folder, (path, image) in dates.items()}
            count = 0
            for split, window, suffix in plan_views(before):
                name = f"{before_path.stem}_{after_path.stem}_{window.col_off}_{window.row_off}{suffix}.tif"
                for folder, pixels in views.items():
                    write_chip(dataset / split / folder / name, part(pixels[suffix], window), before, window)
                write_chip(dataset / split / "label" / name, part(changed, window)[None], before, window)
                count += 1
    return count


def read_water(path: Path, grid: rasterio.DatasetReader) -> list[BaseGeometry]:
    """The lakes and ponds at the date of an image, in the reference system of ``grid``."""
    date = path.stem.removeprefix("naip_")
    polygons = geopandas.read_file(LABELS, where=f"date = '{date[:4]}-{date[4:6]}-{date[6:]}'").to_crs(grid.crs)
    if polygons.empty:
        sys.exit(f"error: {LABELS} has no water of the date of {path.name}.")
    return list(polygons.geometry)


def burn(polygons: list[BaseGeometry], grid: rasterio.DatasetReader) -> np.ndarray:
    """Where polygons lie on the pixels of ``grid``: 0 or 1, uint8 (h, w)."""
    if not polygons:
        return np.zeros(grid.shape, "uint8")
    return rasterize(polygons, out_shape=grid.shape, transform=grid.transform, dtype="uint8")


def find_colours(path: Path) -> np.ndarray:
    """The mean red, green and blue (n, 3) of the lakes of a date, as far as they lie in the training part."""
    with rasterio.open(path) as image:
        pixels, border = image.read((1, 2, 3)), training_border(image.width)
        lakes = [burn([lake], image)[:, :border].astype(bool) for lake in read_water(path, image)]
    return np.array([pixels[:, :, :border][:, lake].mean(1) for lake in lakes if lake.sum() >= SMALLEST_SHOWN])


def read_views(path: Path, image: rasterio.DatasetReader, colours: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The image (3, h, w) as it is and as it might be, by what the names of their chips end with."""
    pixels, lakes = image.read((1, 2, 3)), read_water(path, image)
    generator = np.random.default_rng((SEED, *path.stem.encode()))
    glint = draw_glint(pixels, lakes, image, generator)
    return {"": pixels, "_glint": glint, "_dyed": dye(pixels, lakes, image, colours, generator)}


def dye(
    pixels: np.ndarray,
    lakes: list[BaseGeometry],
    grid: rasterio.DatasetReader,
    colours: list[np.ndarray],
    generator: np.random.Generator,
) -> np.ndarray:
    """The image (3, h, w) with most lakes in the mean colour of another one, of any date; ripples stay as they are."""
    dyed = pixels.astype(float)
    for lake in lakes:
        if generator.random() < DYED_SHARE:
            water = burn([lake], grid).astype(bool)
            colour = generator.choice(colours[generator.integers(len(colours))])
            dyed[:, water] += (colour + generator.normal(0, 6, 3) - dyed[:, water].mean(1))[:, None]
    return np.clip(np.round(dyed), 0, 255).astype("uint8")


def draw_glint(
    pixels: np.ndarray, lakes: list[BaseGeometry], grid: rasterio.DatasetReader, generator: np.random.Generator
) -> np.ndarray:
    """The image (3, h, w) with sun glint on some of its lakes: pale, uneven, in one colour for the date."""
    lakes = [lake for lake in lakes if generator.random() < GLINT_SHARE]
    colour = generator.uniform(170, 235) + generator.uniform((-12, -8, -20), (8, 12, 4))
    strength = burn(lakes, grid) * np.clip(generator.uniform(0.55, 0.9) + 0.25 * clouds(grid.shape, generator), 0, 1)
    return np.round((1 - strength) * pixels + strength * colour[:, None, None]).astype("uint8")


def clouds(shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Smooth noise (h, w) of mean 0 and standard deviation 1, drawn out along one direction."""
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    angle = generator.uniform(0, np.pi)
    along, across = columns * np.cos(angle) + rows * np.sin(angle), rows * np.cos(angle) - columns * np.sin(angle)
    amplitude = 1 / (0.01 + np.hypot(3 * along, across)) ** 1.5
    noise = np.fft.irfft2(amplitude * np.fft.rfft2(generator.standard_normal(shape)), shape)
    return (noise - noise.mean()) / noise.std()


def plan_views(grid: rasterio.DatasetReader) -> Iterator[tuple[str, Window, str]]:
    """The split and the place of each chip, and what its name ends with: training chips come in all views."""
    for split, window in plan_chips(grid.width, grid.height):
        for suffix in ("", "_glint", "_dyed") if split == "train" else ("",):
            yield split, window, suffix


def plan_chips(width: int, height: int) -> Iterator[tuple[str, Window]]:
    """The split and the place of each chip; those for training overlap."""
    border = training_border(width)
    for column in np.linspace(0, border - GAP - SIDE, 3):
        for row in np.linspace(0, height - SIDE, 4):
            yield "train", Window(int(column), int(row), SIDE, SIDE)
    yield "val", Window(border + GAP, 0, width - border - GAP, height)


def training_border(width: int) -> int:
    """The column with which the western two thirds end."""
    return width * 2 // 3


def part(pixels: np.ndarray, window: Window) -> np.ndarray:
    """The pixels (…, h, w) in a window."""
    return pixels[(..., *window.toslices())]


def write_chip(path: Path, pixels: np.ndarray, grid: rasterio.DatasetReader, window: Window) -> None:
    """Write pixels (bands, h, w) as a GeoTIFF in the place of a window."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    facts = {"count": count, "height": height, "width": width, "dtype": "uint8", "crs": grid.crs}
    transform = rasterio.windows.transform(window, grid.transform)
    with rasterio.open(path, "w", driver="GTiff", transform=transform, compress="deflate", **facts) as chip:
        chip.write(pixels)


if __name__ == "__main__":
    main()
