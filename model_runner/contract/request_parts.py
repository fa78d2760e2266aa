# SPDX-License-Identifier: GPL-2.0-or-later
"""What requests are made of: options with their help, groups of options that several share, and what is refused."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any, Optional

from .errors import InputError
from .model_card import TASKS

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def option(help_text: str, default: Any = MISSING, **form: Any) -> Any:
    """A field with what the command line needs to know of it."""
    metadata = {"help": help_text, **form}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def refuse_unless(holds: bool, text: str) -> None:
    """Raise an ``InputError`` with the text, unless something holds."""
    if not holds:
        raise InputError(text)


@dataclass(frozen=True)
class RasterSource:
    """Which pixels of which raster.

    ``extent`` is xmin, ymin, xmax, ymax in ``extent_crs``, or in the raster's own reference system if that is None.
    """

    path: str = option("raster file that GDAL can open", metavar="IMAGE", positional=True)
    bands: tuple[int, ...] = option("numbers of the bands to use, first is 1 (default: the first ones)", ())
    extent: Optional[tuple[float, ...]] = option("xmin,ymin,xmax,ymax of the part to use", None)
    extent_crs: Optional[str] = option("reference system of the extent (default: the raster's)", None)
    mask: Optional[str] = option("file of polygons outside of which nothing is looked at", None)
    resolution: Optional[float] = option("ground resolution to work at, in metres per pixel", None)

    def __post_init__(self) -> None:
        """Bring lists from JSON back to tuples and check the values."""
        object.__setattr__(self, "bands", tuple(self.bands))
        refuse_band_numbers(self.bands)
        if self.extent is not None:
            object.__setattr__(self, "extent", tuple(self.extent))
            west, south, east, north = self.extent if len(self.extent) == 4 else (1, 1, 0, 0)
            refuse_unless(
                west < east and south < north and all(map(math.isfinite, self.extent)),
                f"The extent {','.join(f'{value:g}' for value in self.extent)} is empty or incomplete; "
                "give xmin,ymin,xmax,ymax.",
            )
        refuse_unless(
            self.resolution is None or 0 < self.resolution < math.inf,
            f"The resolution must be above 0 metres per pixel; {self.resolution} was given.",
        )

    @property
    def files(self) -> tuple[Optional[str], ...]:
        """What is read; None for what is not given."""
        return self.path, self.mask


@dataclass(frozen=True)
class Tiling:
    """How the raster is cut; what is None is taken from the model's card."""

    tile_size: Optional[int] = option("side of a tile in pixels (default: the model's)", None, metavar="PX")
    overlap: Optional[int] = option(
        "overlap of neighbouring tiles in pixels (default: the model's)", None, metavar="PX"
    )

    def __post_init__(self) -> None:
        """Check the values against each other."""
        if self.tile_size is not None:
            refuse_unless(
                self.tile_size >= 96 and self.tile_size % 32 == 0,
                f"The tile size must be a multiple of 32 from 96 pixels on; {self.tile_size} was given.",
            )
        refuse_unless(self.overlap is None or self.overlap >= 0, f"The overlap {self.overlap} is below 0 pixels.")


@dataclass(frozen=True)
class Compute:
    """On what and how the network runs."""

    device: str = option("auto, cpu, cuda, cuda:1 …, mps", "auto")
    precision: str = option("auto, fp32, bf16 or fp16", "auto", choices=PRECISIONS)
    batch_size: Optional[int] = option("tiles computed at once (default: by the device)", None, metavar="N")

    def __post_init__(self) -> None:
        """Check the values."""
        refuse_unless(
            self.device.partition(":")[0] in DEVICES,
            f"The device {self.device!r} is unknown; use {', '.join(DEVICES)}.",
        )
        refuse_unless(
            self.precision in PRECISIONS, f"The precision {self.precision!r} is unknown; use {', '.join(PRECISIONS)}."
        )
        refuse_unless(
            self.batch_size is None or self.batch_size >= 1, f"The batch size must be 1 or more, not {self.batch_size}."
        )


def refuse_band_numbers(bands: tuple[int, ...]) -> None:
    """Refuse numbers of bands below 1."""
    refuse_unless(all(band >= 1 for band in bands), f"Bands are counted from 1; {list(bands)} was given.")


def refuse_share(name: str, value: Optional[float]) -> None:
    """Refuse a value that is given and not between 0 and 1."""
    refuse_unless(value is None or 0 <= value <= 1, f"The {name} must lie between 0 and 1; {value} was given.")


def refuse_unknown_task(what: str, task: str) -> None:
    """Refuse a task that does not exist."""
    refuse_unless(task in TASKS, f"{what} knows the tasks {', '.join(TASKS)}; {task!r} was given.")


def refuse_other_file(what: str, path: Optional[str], endings: tuple[str, ...], kind: str) -> None:
    """Refuse a path that is given and has another ending than these."""
    refuse_unless(
        path is None or path.lower().endswith(endings),
        f"The {what} must be a {kind} ({', '.join(endings)}); {path!r} was given.",
    )


def refuse_shared_files(results: Sequence[Optional[str]], inputs: Sequence[Optional[str]] = ()) -> None:
    """Refuse two results in one file, and a result in the place of a file that is read, however they are spelled."""
    written = [path for path in results if path]
    places = [_place(path) for path in written]
    refuse_unless(len(set(places)) == len(places), f"Two results would be written to one file: {', '.join(written)}.")
    for path in inputs:
        refuse_unless(
            not path or _place(path) not in places,
            f"The result would be written over {path}, which is read; name another file.",
        )


def _place(path: str) -> str:
    """The one spelling that is the same for all ways to write a path, or a layer in its file; links are resolved."""
    return os.path.normcase(os.path.realpath(path.partition("|layername=")[0]))
