# SPDX-License-Identifier: GPL-2.0-or-later
"""Make ``resources/water_labels/water.gpkg`` again: a proposal by green and near infrared, then the corrections by eye.

    .venv/bin/python scripts/propose_water_labels.py NAIP_FOLDER LABELS

NAIP_FOLDER holds ``naip_YYYYMMDD.tif`` with red, green, blue and near infrared. ``corrections.json`` beside the labels
holds the limits of each date and the corrections of the first and the second look, applied in their order; places are
pixels (column, row), boxes include both ends. ``README.md`` beside it tells the method.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
from rasterio.features import rasterize, shapes
from shapely.geometry import Polygon, shape

CORRECTIONS = Path(__file__).resolve().parents[1] / "resources" / "water_labels" / "corrections.json"
SMALLEST = 8  # pixels of a water body, and of land inside one
SMALLEST_SEED = 4  # pixels
RADII = 6, 12, 25  # pixels around an edge in which its water and its land are looked for, the nearest first


def main() -> None:
    """Write the labels, and tell by date what the second look changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, metavar="NAIP_FOLDER", help="folder with naip_YYYYMMDD.tif")
    parser.add_argument("labels", type=Path, metavar="LABELS", help="GeoPackage to make")
    options = parser.parse_args()
    if options.labels.exists():
        sys.exit(f"error: {options.labels} is there already; name a new file.")
    dates, outlines, crs = [], [], None
    for date, notes in json.loads(CORRECTIONS.read_text(encoding="utf-8")).items():
        path = options.images / f"naip_{date.replace('-', '')}.tif"
        if not path.exists():
            sys.exit(f"error: there is no {path.name} in {options.images}.")
        with rasterio.open(path) as image:
            _, green, _, infrared = image.read().astype(np.float64)
            grid, crs = image.transform, image.crs
        index = (green - infrared) / np.maximum(green + infrared, 1)  # NDWI
        proposal = tidy(propose(infrared, index, notes["limits"]))
        first = tidy(correct(proposal, infrared, index, notes["first_look"]))
        second = tidy(correct(proposal, infrared, index, notes["first_look"] + notes["second_look"]))
        overlap = (first & second).sum() / (first | second).sum()
        print(f"{date}: {second.mean():.2%} water, IoU {overlap:.4f} with the labels before the second look")
        for geometry, _ in shapes(second.astype(np.uint8), mask=second, connectivity=4, transform=grid):
            dates.append(date)
            outlines.append(shape(geometry))
    water = geopandas.GeoDataFrame({"date": dates}, geometry=outlines, crs=crs)
    water.to_file(options.labels, layer="water", driver="GPKG")
    print(f"{len(water)} polygons in {options.labels}")


def propose(infrared: np.ndarray, index: np.ndarray, limits: dict[str, list[float]]) -> np.ndarray:
    """Where water is likely (h, w): seeds and what grows from them, less the edge that is nearer to the land."""
    seeds = below(infrared, index, limits["seed"]) | below(infrared, index, limits["black"])
    seeds = drop_small(seeds, SMALLEST_SEED)
    candidates = seeds | below(infrared, index, limits["grow"])
    middle = (mean_nearby(infrared, seeds) + mean_nearby(infrared, ~candidates)) / 2
    return connected(candidates, seeds) & (seeds | ~(infrared > middle))


def below(infrared: np.ndarray, index: np.ndarray, limits: Iterable[float]) -> np.ndarray:
    """Where the near infrared is under the first limit, and the water index over the second."""
    highest_infrared, lowest_index = limits
    return (infrared < highest_infrared) & (index > lowest_index)


def correct(water: np.ndarray, infrared: np.ndarray, index: np.ndarray, steps: list[dict[str, Any]]) -> np.ndarray:
    """The water after the corrections, in their order."""
    for step in steps:
        place = place_of(step, water.shape)
        match step["do"]:
            case "add":
                water = water | place
            case "remove":
                water = water & ~place
            case "add_below":
                water = water | (place & below(infrared, index, step["limits"]))
            case "keep_below":
                water = water & (~place | below(infrared, index, step["limits"]))
            case "fill_holes":
                water = water | (place & ~water & ~drop_small(~water, step["largest"] + 1))
            case "remove_body":
                water = water & ~connected(water, place)
            case "fill_hole":
                water = water | connected(~water, place)
            case other:
                sys.exit(f"error: {CORRECTIONS} has a step {other!r}, which is none of those known.")
    return water


def place_of(step: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The pixels (h, w) of a correction: a box, the pixels with their centres in a polygon, or a single one."""
    if "polygon" in step:
        outline = Polygon([(column + 0.5, row + 0.5) for column, row in step["polygon"]])
        return rasterize([outline], out_shape=size).astype(bool)
    left, top, right, bottom = step.get("box") or step["pixel"] * 2
    place = np.zeros(size, dtype=bool)
    place[top : bottom + 1, left : right + 1] = True
    return place


def tidy(water: np.ndarray) -> np.ndarray:
    """The water without specks of land inside it, and without bodies too small to count."""
    return drop_small(~drop_small(~water, SMALLEST), SMALLEST, connectivity=8)


def drop_small(mask: np.ndarray, smallest: int, connectivity: int = 4) -> np.ndarray:
    """The mask without its pieces of fewer pixels than ``smallest``."""
    pieces = number_pieces(mask, connectivity)
    return mask & (np.bincount(pieces.ravel())[pieces] >= smallest)


def connected(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The pieces of a mask that hold a seed."""
    pieces = number_pieces(mask, connectivity=4)
    return mask & np.isin(pieces, pieces[seeds & mask])


def number_pieces(mask: np.ndarray, connectivity: int) -> np.ndarray:
    """The connected pieces of a mask, counted from 1, with 0 outside, int32."""
    found = shapes(mask.astype(np.uint8), mask=mask, connectivity=connectivity)
    numbered = [(geometry, number) for number, (geometry, _) in enumerate(found, start=1)]
    return rasterize(numbered, out_shape=mask.shape, dtype="int32") if numbered else np.zeros(mask.shape, np.int32)


def mean_nearby(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean of the masked values in the smallest window around each pixel that holds any, NaN where none does."""
    result = np.full(values.shape, np.nan)
    for radius in reversed(RADII):
        count = window_sums(mask.astype(np.float64), radius)
        mean = window_sums(values * mask, radius) / np.maximum(count, 1)
        result = np.where(count > 0, mean, result)
    return result


def window_sums(values: np.ndarray, radius: int) -> np.ndarray:
    """The sums of the values in the square of 2 * radius + 1 pixels around each pixel."""
    side = 2 * radius + 1
    for _ in ("rows", "columns"):
        sums = np.pad(values, ((radius + 1, radius), (0, 0))).cumsum(axis=0)
        values = (sums[side:] - sums[:-side]).T
    return values


if __name__ == "__main__":
    main()
