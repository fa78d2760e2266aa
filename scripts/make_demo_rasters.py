# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the rasters of the demo from public-domain imagery.

    python scripts/make_demo_rasters.py UCMERCED_VAL_FOLDER NAIP_FOLDER resources/demo

``airfield.tif`` and ``town.tif`` join images of UC Merced Land Use (256 px, 0.3 m, USGS National Map). These come
from many towns; side by side they make a place that does not exist, so the georeference is nominal: UTM zone 11 north
at 0.3 m. ``lakes_YYYY.tif`` is what two dates of NAIP (USDA, 5 m) show of a part of North Dakota that no training
of the embedded models has seen, each on its own grid.
"""

import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window, transform

SIDE, METRES = 256, 0.3
WEST, NORTH = 480_000, 3_620_000
AIRFIELD = (
    ("airplane/airplane36", "airplane/airplane46", "airplane/airplane24", "airplane/airplane08"),
    ("airplane/airplane76", "airplane/airplane85", "airplane/airplane90", "airplane/airplane18"),
    ("storagetanks/storagetanks27", "storagetanks/storagetanks34", "storagetanks/storagetanks15", "runway/*"),
)
TOWN = (
    ("beach/*", "harbor/*", "river/*", "forest/*"),
    ("agricultural/*", "golfcourse/*", "baseballdiamond/*", "tenniscourt/*"),
    ("freeway/*", "intersection/*", "mobilehomepark/*", "parkinglot/*"),
)
LAKES = {"lakes_2009.tif": "naip_20090818.tif", "lakes_2014.tif": "naip_20140720.tif"}
LAKES_WINDOW = Window(642, 60, 288, 480)
UC_MERCED = {
    "TIFFTAG_COPYRIGHT": "Public domain: USGS National Map",
    "TIFFTAG_IMAGEDESCRIPTION": "UC Merced Land Use (Yang and Newsam 2010), mosaic with nominal georeference",
}


def main(images: Path, naip: Path, output: Path) -> None:
    """Write the rasters."""
    for name, rows in (("airfield.tif", AIRFIELD), ("town.tif", TOWN)):
        place = {"crs": "EPSG:26911", "transform": from_origin(WEST, NORTH, METRES, METRES)}
        write(output / name, mosaic(images, rows), place, UC_MERCED)
    for name, original in LAKES.items():
        with rasterio.open(naip / original) as image:
            place = {"crs": image.crs, "transform": transform(LAKES_WINDOW, image.transform)}
            pixels = image.read((1, 2, 3), window=LAKES_WINDOW)
        tags = {
            "TIFFTAG_COPYRIGHT": "Public domain: USDA NAIP",
            "TIFFTAG_IMAGEDESCRIPTION": f"NAIP of {original[5:9]}-{original[9:11]}-{original[11:13]} at 5 m a pixel",
        }
        write(output / name, pixels, place, tags)


def mosaic(images: Path, rows: tuple[tuple[str, ...], ...]) -> np.ndarray:
    """Images side by side, (3, height, width); of a whole folder the first one."""
    joined = np.zeros((3, SIDE * len(rows), SIDE * len(rows[0])), np.uint8)
    for row, names in enumerate(rows):
        for column, name in enumerate(names):
            with rasterio.open(sorted(images.glob(f"{name}.jpg" if "*" not in name else name))[0]) as image:
                pixels = image.read()[:, :SIDE, :SIDE]
            y, x = row * SIDE, column * SIDE
            joined[:, y : y + pixels.shape[1], x : x + pixels.shape[2]] = pixels
    return joined


def write(path: Path, pixels: np.ndarray, place: dict, tags: dict) -> None:
    """Write pixels (3, height, width) as a GeoTIFF of little size."""
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "compress": "jpeg",
        "photometric": "ycbcr",
        "jpeg_quality": 90,
        "tiled": True,
        "blockxsize": SIDE,
        "blockysize": SIDE,
    }
    with rasterio.open(path, "w", **profile, **place) as raster:
        raster.write(pixels)
        raster.update_tags(**tags)


if __name__ == "__main__":
    main(*(Path(each) for each in sys.argv[1:]))
