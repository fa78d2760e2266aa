# SPDX-License-Identifier: GPL-2.0-or-later
"""GDAL datasets that threads share, and GDAL's errors in one line."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import rasterio
from rasterio import DatasetReader
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from model_runner.errors import UnreadableRaster, one_line

_quiet = threading.Lock()  # Python's filters of warnings are those of all threads


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what GDAL says against a file into one line with its name.

    Raises:
        UnreadableRaster: the file is missing, damaged or no raster.
    """
    try:
        yield
    except (RasterioError, OSError) as error:
        said = one_line(error.__cause__ or error).replace(f"{path}: ", "").replace(f"'{path}' ", "")
        raise UnreadableRaster(f"The raster {path} cannot be read: {said}") from error


class Handles:
    """A raster file, opened once, that threads read one after the other.

    GDAL keeps the blocks that it has decoded with the dataset. Neighbouring tiles share blocks, so threads with
    datasets of their own would decode most of them once each.

    Args:
        path: anything that GDAL can open.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._opened: dict[int | None, DatasetReader] = {}
        self._sizes: dict[int | None, tuple[int, int]] = {}
        self._masked: dict[int | None, list] = {}

    @contextmanager
    def reading(self, overview: int | None = None) -> Iterator[DatasetReader]:
        """Yield the dataset of the raster, or of one of its overviews, the first of which is number 0.

        No other thread reads the raster meanwhile.

        Raises:
            UnreadableRaster: GDAL cannot open it, or cannot read what the block wants.
        """
        with self._lock, reading(self.path):
            if overview not in self._opened:
                self._opened[overview] = self._open(overview)
            yield self._opened[overview]

    @cached_property
    def overview_factors(self) -> tuple[int, ...]:
        """How many pixels of the raster one of each of its overviews covers, across and down."""
        with self.reading() as dataset:
            return tuple(dataset.overviews(1))

    def size(self, overview: int | None = None) -> tuple[int, int]:
        """Width and height of the raster, or of one of its overviews; asked again, it waits for no thread that reads.

        Raises:
            UnreadableRaster: GDAL cannot open it.
        """
        if overview not in self._sizes:
            with self.reading(overview) as dataset:
                self._sizes[overview] = dataset.width, dataset.height
        return self._sizes[overview]

    def is_masked_alike(self, overview: int) -> bool:
        """Whether one of the overviews says in the same way as the raster which pixels have data.

        Raises:
            UnreadableRaster: GDAL cannot open it.
        """
        return not self._shadows_alpha and self._mask_flags(overview) == self._mask_flags(None)

    @cached_property
    def _shadows_alpha(self) -> bool:
        """Whether there are an alpha band and a nodata value, which GDAL writes into overviews of the band for 0."""
        with self.reading() as dataset:
            return ColorInterp.alpha in dataset.colorinterp and any(each is not None for each in dataset.nodatavals)

    def _mask_flags(self, overview: int | None) -> list:
        """By band, asked once: a scene is placed often."""
        if overview not in self._masked:
            with self.reading(overview) as dataset:
                self._masked[overview] = dataset.mask_flag_enums
        return self._masked[overview]

    @cached_property
    def files(self) -> tuple[str, ...]:
        """All files that the raster consists of."""
        with self.reading() as dataset:
            return tuple(dataset.files)

    def _open(self, overview: int | None) -> DatasetReader:
        options = {} if overview is None else {"overview_level": overview}
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(self.path, sharing=False, **options)

    def close(self) -> None:
        """Close all datasets; no thread may read any more."""
        with self._lock:
            for dataset in self._opened.values():
                dataset.close()
            self._opened.clear()
