# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the runner share: golden numbers and tiny rasters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import settings
from rasterio.enums import ColorInterp

DATA = Path(__file__).parent / "data"
settings.register_profile("however slow the machine", deadline=None)
settings.load_profile("however slow the machine")
HALF_METRES = Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)


@pytest.fixture(scope="session")
def golden_arrays() -> Callable[[str], dict[str, torch.Tensor]]:
    """The arrays of a golden file by name."""

    def load(name: str) -> dict[str, torch.Tensor]:
        with np.load(DATA / f"{name}.npz") as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    return load


@pytest.fixture(scope="session")
def golden_facts() -> Callable[[str], dict[str, Any]]:
    """The description of a golden file by name."""

    def load(name: str) -> dict[str, Any]:
        return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))

    return load


@pytest.fixture
def make_raster(tmp_path: Path) -> Callable[..., str]:
    """Write pixels (C, H, W) as a GeoTIFF, on half-metre pixels in UTM unless told otherwise, and return its path.

    ``alpha`` is a band (H, W) of opacity that is added, ``mask`` the mask (H, W) of the whole dataset, ``colormap``
    the colours of the first band by value, ``overviews`` their factors; options that rasterio knows pass through.
    """

    def make(
        name,
        pixels,
        *,
        transform=HALF_METRES,
        crs="EPSG:32633",
        nodata=None,
        alpha=None,
        mask=None,
        colormap=None,
        overviews=(),
        **options,
    ):
        path = str(tmp_path / name)
        bands = pixels if alpha is None else np.concatenate([pixels, alpha[None].astype(pixels.dtype)])
        count, height, width = bands.shape
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=bands.dtype, crs=crs,
            transform=transform, nodata=nodata, **options,
        ) as dataset:  # fmt: skip
            if alpha is not None:
                dataset.colorinterp = [*dataset.colorinterp[: count - 1], ColorInterp.alpha]
            if colormap is not None:
                dataset.write_colormap(1, colormap)
            dataset.write(bands)
            if mask is not None:
                dataset.write_mask(mask)
            if overviews:
                dataset.build_overviews(overviews, rasterio.enums.Resampling.average)
        return path

    return make
