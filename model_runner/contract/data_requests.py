# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests that make datasets of labelled chips, and look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .model_card import BACKGROUND, TASKS
from .request_parts import (
    RasterSource,
    option,
    refuse_other_file,
    refuse_share,
    refuse_shared_files,
    refuse_unknown_task,
    refuse_unless,
)

FROM_POLYGONS, FROM_GRID = SCENE_SOURCES = ("polygons", "grid")
OVERLAPS_IN_CHIP = 8


@dataclass(frozen=True)
class ExportDataRequest:
    """Cut labelled chips for training out of rasters and a layer of polygons.

    ``extent`` is as in ``RasterSource`` and holds for every raster.
    """

    rasters: tuple[str, ...] = option(
        "raster files that GDAL can open; for change those of the earlier date",
        metavar="IMAGE",
        positional=True,
        nargs="+",
    )
    task: str = option("what a model shall learn from the chips", choices=TASKS)
    labels: str = option("file of polygons: objects, areas of classes, changes or scenes", metavar="FILE")
    output: str = option("folder for the dataset, new or empty", metavar="DIR")
    after: tuple[str, ...] = option(
        "change: rasters of the later date, as many as of the earlier one, in the same order", ()
    )
    class_field: str = option(
        "field of the polygons that holds the class (default: all are of one, called object)", "", metavar="NAME"
    )
    area: Optional[str] = option("file of polygons outside of which nothing counts as background", None, metavar="FILE")
    bands: tuple[int, ...] = option("numbers of the bands to use, first is 1 (default: the first three)", ())
    extent: Optional[tuple[float, ...]] = option("xmin,ymin,xmax,ymax of the part to use", None)
    extent_crs: Optional[str] = option("reference system of the extent (default: the raster's)", None)
    resolution: Optional[float] = option("ground resolution of the chips, in metres per pixel", None, metavar="M")
    chip_size: int = option("side of a chip in pixels", 512, metavar="PX")
    overlap: Optional[int] = option(
        "overlap of neighbouring chips in pixels (default: an eighth of their size)", None, metavar="PX"
    )
    visible: float = option(
        "detect: smallest share of an object that a chip must show; classify: smallest share of a cell of the grid "
        "that a class must cover",
        0.5,
        metavar="SHARE",
    )
    empty: float = option("chips without labels to keep, for each one with labels", 1.0, metavar="RATIO")
    background: str = option(
        "segment: class of the pixels that lie in no polygon; 'none' has them ignored", BACKGROUND, metavar="NAME"
    )
    scenes: str = option(
        "classify: whether a chip shows a polygon with its surroundings, or a cell of a grid that polygons cover",
        FROM_POLYGONS,
        choices=SCENE_SOURCES,
    )
    block: Optional[int] = option(
        "side, in chips, of the square blocks that go to train, val or test as a whole (default: by the number of "
        "labels)",
        None,
        metavar="CHIPS",
    )
    val: float = option("share of the labels for validation", 0.15, metavar="SHARE")
    test: float = option("share of the labels for the test", 0.15, metavar="SHARE")
    seed: int = option("seed of everything random", 0)

    def __post_init__(self) -> None:
        """Bring lists from JSON back to tuples and check the values."""
        refuse_unknown_task("The export", self.task)
        for name in ("rasters", "after", "bands"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.extent is not None:
            object.__setattr__(self, "extent", tuple(self.extent))
        refuse_unless(bool(self.rasters), "There is no raster to cut chips from; name one at least.")
        for path in self.rasters:
            self.source(path)
        refuse_unless(
            len(self.after) == (len(self.rasters) if self.task == "change" else 0),
            f"The export for {self.task} takes "
            + ("a later raster for each earlier one" if self.task == "change" else "no rasters of a later date")
            + f"; {len(self.after)} later and {len(self.rasters)} earlier were given.",
        )
        for name in ("visible", "val", "test"):
            refuse_share({"visible": "visible share"}.get(name, f"share for {name}"), getattr(self, name))
        refuse_unless(
            self.val + self.test < 1,
            f"The shares for val and test, {self.val:g} and {self.test:g}, leave nothing to train on.",
        )
        refuse_unless(self.chip_size >= 32, f"The chip size must be 32 pixels or more; {self.chip_size} was given.")
        refuse_unless(
            self.overlap is None or 0 <= self.overlap < self.chip_size,
            f"The overlap of chips, {self.overlap} pixels, must be at least 0 and smaller than the chip size, "
            f"{self.chip_size} pixels.",
        )
        refuse_unless(self.empty >= 0, f"The ratio of empty chips must be 0 or more; {self.empty:g} was given.")
        refuse_unless(self.seed >= 0, f"The seed must be 0 or more; {self.seed} was given.")
        refuse_unless(
            self.block is None or self.block >= 1, f"A block must be 1 or more chips wide; {self.block} was given."
        )
        refuse_unless(
            self.scenes in SCENE_SOURCES,
            f"Scenes are taken from {' or '.join(SCENE_SOURCES)}; {self.scenes!r} was given.",
        )
        refuse_unless(
            self.task != "classify" or bool(self.class_field),
            "Scenes need the field that holds their class; name it as the class field.",
        )
        refuse_unless(bool(self.background), "The class of the background has no name; name it, or write none.")

    def source(self, path: str) -> RasterSource:
        """Which pixels of a raster are used."""
        return RasterSource(path, self.bands, self.extent, self.extent_crs, None, self.resolution)

    def overlap_of_chips(self) -> int:
        """By how many pixels neighbouring chips are to overlap."""
        return self.chip_size // OVERLAPS_IN_CHIP if self.overlap is None else self.overlap


@dataclass(frozen=True)
class LoadDataRequest:
    """Turn the labels of a dataset into polygons on the map, to look at them."""

    data: str = option("dataset folder whose images have a georeference", metavar="DIR", positional=True)
    output: str = option("GeoPackage to write with the labels", metavar="FILE.gpkg")
    chips: Optional[str] = option("GeoPackage to write with the outlines of the images", None, metavar="FILE.gpkg")

    def __post_init__(self) -> None:
        """Check the files' names."""
        refuse_other_file("output", self.output, (".gpkg",), "GeoPackage")
        refuse_other_file("chips file", self.chips, (".gpkg",), "GeoPackage")
        refuse_shared_files([self.output, self.chips])
