# SPDX-License-Identifier: GPL-2.0-or-later
"""Write results as GeoTIFFs: tiled, compressed and cloud-optimised, of any size in little memory.

Pixels go window by window into a file for the time being, from which GDAL makes the result with its overviews.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.shutil
from rasterio import DatasetReader
from rasterio._err import CPLE_BaseError  # what rasterio.shutil lets through of GDAL
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from model_runner.errors import InputError, one_line
from model_runner.raster.georeference import PIXEL_FRAME
from model_runner.raster.stoppable import opened_stoppable
from model_runner.raster.working_grid import WorkingGrid
from model_runner.raster.writer import atomic

NO_CLASS = 255
NO_PROBABILITY = -1.0
PROBABILITY_STEPS = 1024  # probabilities are rounded to such parts, which makes the files half as large
BLOCK = 512  # pixels
SAFE = {"bigtiff": "IF_SAFER", "num_threads": "ALL_CPUS"}


@dataclass(frozen=True)
class Meaning:
    """What the only band of a raster holds.

    ``classes`` are pairs of name and colour ("#rrggbb") by number; GDAL and QGIS show them. ``overviews`` names how
    GDAL makes coarser pixels.
    """

    dtype: str
    nodata: float
    description: str
    overviews: str
    classes: tuple[tuple[str, str], ...] = ()


def class_numbers(description: str, classes: Sequence[tuple[str, str]]) -> Meaning:
    """Whole numbers that stand for classes, pairs of name and colour, and 255 where there is none.

    Raises:
        InputError: there are more classes than numbers.
    """
    if len(classes) > NO_CLASS:
        raise InputError(f"A raster of classes holds at most {NO_CLASS} of them; the model has {len(classes)}.")
    return Meaning("uint8", NO_CLASS, description, "MODE", tuple(classes))


def probabilities(description: str) -> Meaning:
    """Probabilities from 0 to 1, and -1 where there is none."""
    return Meaning("float32", NO_PROBABILITY, description, "AVERAGE")


def rounded_probabilities(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Probabilities (h, w) as a raster of such holds them: float32, rounded to 1/1024, -1 where not ``valid``."""
    rounded = np.round(values * PROBABILITY_STEPS) / PROBABILITY_STEPS
    return np.where(valid, rounded, NO_PROBABILITY).astype(np.float32)


@contextmanager
def writing_geotiff(
    unfinished: Path,
    path: str | os.PathLike,
    grid: WorkingGrid,
    meaning: Meaning,
    check_cancelled: Callable[[], None],
) -> Iterator["GeoTiffWriter"]:
    """Yield what takes the pixels of a raster, which is at ``unfinished``, whole, when the block ends well.

    Pixels that nobody writes have no data. The grid's map to the ground is kept exactly, rotation and shear included;
    what lies at (column, -row) without reference system is written without georeference, as it was read. The names
    of classes, for which a GeoTIFF has no place, go into the file ``.aux.xml`` beside it, where GDAL looks for them.

    Args:
        unfinished: of ``writer.atomic``, which puts the result into place.
        path: where it will be; errors name it.
        grid: of the pixels.
        meaning: of their values.
        check_cancelled: is called while the result is made at the end, which may take minutes; what it raises ends
            that.

    Raises:
        InputError: the file cannot be written.
    """
    with TemporaryDirectory(prefix=".unfinished-", dir=unfinished.parent) as folder:
        writer = GeoTiffWriter(Path(folder) / "windows.tif", path, grid, meaning)
        try:
            yield writer
        finally:
            writer.close()
        writer.copy_cloud_optimised(unfinished, check_cancelled)


@contextmanager
def writing_one_geotiff(
    path: str | os.PathLike, grid: WorkingGrid, meaning: Meaning, check_cancelled: Callable[[], None]
) -> Iterator["GeoTiffWriter"]:
    """``writing_geotiff`` of a raster that is put into place as soon as it is made."""
    with atomic(path) as unfinished, writing_geotiff(unfinished, path, grid, meaning, check_cancelled) as writer:
        yield writer


class GeoTiffWriter:
    """Takes the pixels of a raster in windows, each once, in any order; ``writing_geotiff`` makes it."""

    def __init__(self, unfinished: Path, path: str | os.PathLike, grid: WorkingGrid, meaning: Meaning) -> None:
        self._unfinished = unfinished
        self._path = path
        self._meaning = meaning
        with saying_what_cannot_be_written(path):
            self._dataset = rasterio.open(
                unfinished,
                "w",
                driver="GTiff",
                width=grid.width,
                height=grid.height,
                count=1,
                dtype=meaning.dtype,
                nodata=meaning.nodata,
                **georeference(grid),
                tiled=True,
                blockxsize=BLOCK,
                blockysize=BLOCK,
                compress="deflate",
                zlevel=1,
                sparse_ok=True,
                **SAFE,
            )
            self._dataset.set_band_description(1, meaning.description)
            if meaning.classes:
                colours = {number: _rgba(colour) for number, (_, colour) in enumerate(meaning.classes)}
                self._dataset.write_colormap(1, {**colours, NO_CLASS: (0, 0, 0, 0)})
                names = "".join(f"<Category>{escape(name)}</Category>" for name, _ in meaning.classes)
                unfinished.with_name(unfinished.name + ".aux.xml").write_text(
                    f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames></PAMRasterBand>'
                    "</PAMDataset>",
                    encoding="utf-8",
                )

    def write(self, x: int, y: int, values: np.ndarray) -> None:
        """Put values (h, w) at column x and row y.

        Raises:
            InputError: the disk refuses.
        """
        height, width = values.shape
        with saying_what_cannot_be_written(self._path):
            self._dataset.write(values, 1, window=Window(x, y, width, height))

    @contextmanager
    def reading_back(self) -> Iterator[DatasetReader]:
        """Yield what has been written as an open dataset; nothing can be written after that.

        Raises:
            InputError: the disk refuses.
        """
        self.close()
        with _without_warnings(), rasterio.open(self._unfinished) as dataset:
            yield dataset

    def close(self) -> None:
        """Write all to the disk; nothing can be written after that.

        Raises:
            InputError: the disk refuses.
        """
        with saying_what_cannot_be_written(self._path):
            self._dataset.close()

    def copy_cloud_optimised(self, target: Path, check_cancelled: Callable[[], None]) -> None:
        """Make the result of what has been written; what ``check_cancelled`` raises ends that.

        Raises:
            InputError: the disk refuses.
        """
        with (
            saying_what_cannot_be_written(self._path),
            opened_stoppable(self._unfinished, check_cancelled) as written,
        ):
            rasterio.shutil.copy(
                written,
                target,
                driver="COG",
                blocksize=BLOCK,
                compress="DEFLATE",
                predictor="NO" if self._meaning.classes else "YES",  # neighbouring numbers of classes say nothing
                overview_resampling=self._meaning.overviews,
                **SAFE,
            )


def georeference(grid: WorkingGrid) -> dict:
    """What rasterio wants to know of where a raster lies; nothing for (column, -row) without reference system."""
    if grid.crs is None and grid.to_ground == PIXEL_FRAME:
        return {}
    return {"transform": grid.to_ground, "crs": grid.crs}


def _rgba(colour: str) -> tuple[int, int, int, int]:
    """Red, green, blue and opacity of "#rrggbb"."""
    return (*bytes.fromhex(colour.removeprefix("#")), 255)


@contextmanager
def saying_what_cannot_be_written(path: str | os.PathLike) -> Iterator[None]:
    """Turn what GDAL says against a file to write into one line with its name.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with _without_warnings():
            yield
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise InputError(f"{path} cannot be written: {one_line(error.__cause__ or error)}") from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Without rasterio's warning of rasters that have no georeference: so be it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
