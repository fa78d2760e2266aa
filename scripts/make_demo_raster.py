# SPDX-License-Identifier: GPL-2.0-or-later
"""Join images of UC Merced Land Use into the georeferenced picture of the demo.

    python scripts/make_demo_raster.py UCMERCED_VAL_FOLDER resources/demo/airfield.tif

The images (256 px, 0.3 m, USGS National Map, public domain) come from many towns; side by side they make a place that
does not exist, so the georeference is nominal: UTM zone 11 north at 0.3 m.
"""

import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

SIDE, METRES = 256, 0.3
WEST, NORTH = 480_000, 3_620_000
ROWS = (
    ("airplane/airplane36", "airplane/airplane46", "airplane/airplane24", "airplane/airplane08"),
    ("airplane/airplane76", "airplane/airplane85", "airplane/airplane90", "airplane/airplane18"),
    ("storagetanks/storagetanks27", "storagetanks/storagetanks34", "storagetanks/storagetanks15", "runway/*"),
)


def main(images: Path, output: Path) -> None:
    """Write the mosaic."""
    mosaic = np.zeros((3, SIDE * len(ROWS), SIDE * len(ROWS[0])), np.uint8)
    for row, names in enumerate(ROWS):
        for column, name in enumerate(names):
            with rasterio.open(sorted(images.glob(f"{name}.jpg" if "*" not in name else name))[0]) as image:
                pixels = image.read()[:, :SIDE, :SIDE]
            y, x = row * SIDE, column * SIDE
            mosaic[:, y : y + pixels.shape[1], x : x + pixels.shape[2]] = pixels
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "height": mosaic.shape[1],
        "width": mosaic.shape[2],
        "crs": "EPSG:26911",
        "transform": from_origin(WEST, NORTH, METRES, METRES),
        "compress": "jpeg",
        "photometric": "ycbcr",
        "jpeg_quality": 90,
        "tiled": True,
        "blockxsize": SIDE,
        "blockysize": SIDE,
    }
    with rasterio.open(output, "w", **profile) as raster:
        raster.write(mosaic)
        raster.update_tags(
            TIFFTAG_COPYRIGHT="Public domain: USGS National Map",
            TIFFTAG_IMAGEDESCRIPTION="UC Merced Land Use (Yang and Newsam 2010), mosaic with nominal georeference",
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
