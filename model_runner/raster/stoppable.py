# SPDX-License-Identifier: GPL-2.0-or-later
"""Stop GDAL in the midst of long work on a file, for which rasterio passes no progress on.

GDAL reads the file through Python. Each time it wants bytes it is asked whether to stop; if so the file seems to end,
upon which GDAL gives up.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import rasterio
from rasterio import DatasetReader
from rasterio.abc import FileContainer


@contextmanager
def opened_stoppable(path: Path, check_cancelled: Callable[[], None]) -> Iterator[DatasetReader]:
    """Open a raster; what ``check_cancelled`` raises ends whatever GDAL is doing with it, and the block.

    Raises:
        RasterioError: GDAL cannot open the file.
    """
    files = _StoppableFiles(check_cancelled)
    try:
        with rasterio.open(path, opener=files) as dataset:
            yield dataset
    except Exception:
        if files.stopped_by is None:
            raise
    if files.stopped_by is not None:
        raise files.stopped_by


class _StoppableFiles(FileContainer):
    """The files of the disk, which end when ``check_cancelled`` raises; ``stopped_by`` is what it raised."""

    def __init__(self, check_cancelled: Callable[[], None]) -> None:
        self._check_cancelled = check_cancelled
        self.stopped_by: BaseException | None = None

    def is_stopped(self) -> bool:
        """Ask, and remember the answer."""
        try:
            if self.stopped_by is None:
                self._check_cancelled()
        except BaseException as stop:  # GDAL cannot pass it on
            self.stopped_by = stop
        return self.stopped_by is not None

    def open(self, path: str, mode: str = "r", **_: object) -> "_StoppableFile":
        return _StoppableFile(open(path, mode), self)

    def isdir(self, path: str) -> bool:
        return os.path.isdir(path)

    def isfile(self, path: str) -> bool:
        return os.path.isfile(path)

    def ls(self, path: str) -> list[str]:
        return os.listdir(path)

    def mtime(self, path: str) -> int:
        return int(os.path.getmtime(path))

    def rm(self, path: str) -> None:
        os.remove(path)

    def size(self, path: str) -> int:
        return os.path.getsize(path)


class _StoppableFile:
    """An open file that ends when it is told to stop."""

    def __init__(self, file: BinaryIO, files: _StoppableFiles) -> None:
        self._file = file
        self._files = files

    def read(self, size: int = -1) -> bytes:
        return b"" if self._files.is_stopped() else self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "_StoppableFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
