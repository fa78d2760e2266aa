# SPDX-License-Identifier: GPL-2.0-or-later
"""What a task can be asked to do.

The same dataclasses are the payload of ``messages.Run``, the options of the command line (a field's ``metadata``
holds its help and, where it differs, its option's form) and the request in the run record. What needs no file is
checked here, with the value and the remedy.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Optional, get_type_hints

from .data_requests import ExportDataRequest, LoadDataRequest
from .errors import InputError
from .finetune_request import FinetuneRequest
from .model_card import TASKS
from .request_parts import (
    Compute,
    RasterSource,
    Tiling,
    option,
    refuse_band_numbers,
    refuse_other_file,
    refuse_share,
    refuse_shared_files,
    refuse_unknown_task,
    refuse_unless,
)


@dataclass(frozen=True)
class DetectRequest:
    """Find oriented objects in a raster and write them as polygons."""

    source: RasterSource
    output: str = option("GeoPackage to write", metavar="FILE.gpkg")
    model: str = option("id of the model (see 'models list')", "")
    threshold: Optional[float] = option("smallest score of a detection (default: the model's)", None)
    classes: tuple[str, ...] = option("names of the classes to keep (default: all)", ())
    nms_iou: Optional[float] = option("overlap above which two boxes are one object (default: the model's)", None)
    tiling: Tiling = field(default_factory=Tiling)
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        """Bring lists from JSON back to tuples and check the values."""
        object.__setattr__(self, "classes", tuple(self.classes))
        refuse_share("threshold", self.threshold)
        refuse_share("overlap (IoU) of detections", self.nms_iou)
        refuse_other_file("output", self.output, (".gpkg",), "GeoPackage")
        refuse_shared_files([self.output], self.source.files)


@dataclass(frozen=True)
class Outlines:
    """How regions of a raster become polygons."""

    minimum_area: float = option("smallest polygon in square metres (without reference system: pixels)", 0.0)
    fill_holes: float = option("holes up to this many square metres are filled", 0.0)
    simplify: float = option("side, in metres, of the square below whose area the corners of outlines are cut off", 0.0)

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("minimum_area", "fill_holes", "simplify"):
            value = getattr(self, name)
            refuse_unless(value >= 0, f"{name.replace('_', ' ').capitalize()} must be 0 or more; {value} was given.")


@dataclass(frozen=True)
class SegmentRequest:
    """Give every pixel of a raster a class and write them as a raster."""

    source: RasterSource
    output: str = option("GeoTIFF of class numbers to write", metavar="FILE.tif")
    model: str = option("id of the model (see 'models list')", "")
    confidence: Optional[str] = option("GeoTIFF to write with the probability of each pixel's class", None)
    polygons: Optional[str] = option("GeoPackage to write with the classes' outlines", None)
    areas: Optional[str] = option("table (.csv or .gpkg) to write with the area of each class", None)
    outlines: Outlines = field(default_factory=Outlines)
    model_grid: bool = option("write on the model's grid; else the raster's own pixels are kept", False)
    flips: bool = option("average over four mirrored views: a little better, four times as slow", False)
    tiling: Tiling = field(default_factory=Tiling)
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        """Check the files' names."""
        refuse_other_file("output", self.output, (".tif", ".tiff"), "GeoTIFF")
        refuse_other_file("confidence", self.confidence, (".tif", ".tiff"), "GeoTIFF")
        refuse_other_file("polygons file", self.polygons, (".gpkg",), "GeoPackage")
        refuse_other_file("areas file", self.areas, (".csv", ".gpkg"), "table")
        refuse_shared_files([self.output, self.confidence, self.polygons, self.areas], self.source.files)


@dataclass(frozen=True)
class ChangeRequest:
    """Find what changed between two rasters of one place and write it as a raster."""

    before: RasterSource
    after: str = option("the raster of the later date, in any reference system", metavar="AFTER", positional=True)
    output: str = option("GeoTIFF to write: 0 unchanged, 1 changed", metavar="FILE.tif")
    model: str = option("id of the model (see 'models list')", "")
    after_bands: tuple[int, ...] = option("numbers of the later raster's bands (default: those of the earlier one)", ())
    threshold: Optional[float] = option("probability from which a pixel has changed (default: the model's)", None)
    probability: Optional[str] = option("GeoTIFF to write with the probability of change", None)
    polygons: Optional[str] = option("GeoPackage to write with the changes' outlines", None)
    outlines: Outlines = field(default_factory=Outlines)
    model_grid: bool = option("write on the model's grid; else the earlier raster's own pixels are kept", False)
    match_colours: bool = option("bring the later raster's brightness and contrast to the earlier one's", False)
    flips: bool = option("average over four mirrored views: a little better, four times as slow", False)
    tiling: Tiling = field(default_factory=Tiling)
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        """Bring lists from JSON back to tuples and check the values."""
        object.__setattr__(self, "after_bands", tuple(self.after_bands))
        refuse_band_numbers(self.after_bands)
        refuse_share("threshold", self.threshold)
        refuse_other_file("output", self.output, (".tif", ".tiff"), "GeoTIFF")
        refuse_other_file("probability", self.probability, (".tif", ".tiff"), "GeoTIFF")
        refuse_other_file("polygons file", self.polygons, (".gpkg",), "GeoPackage")
        refuse_shared_files([self.output, self.probability, self.polygons], [*self.before.files, self.after])


@dataclass(frozen=True)
class ClassifyRequest:
    """Name the kind of scene in each cell of a raster, each zone of a layer, or each image of a folder."""

    source: RasterSource
    output: str = option("GeoPackage to write (for a folder of images: .gpkg or .csv)", metavar="FILE.gpkg")
    model: str = option("id of the model (see 'models list')", "")
    zones: Optional[str] = option("file of polygons, each of which is a scene (default: a grid of cells)", None)
    cell_size: Optional[float] = option("side of a cell in metres (default: what the model has learnt from)", None)
    cell_pixels: Optional[int] = option("side of a cell in pixels of the raster, instead of metres", None, metavar="PX")
    top: int = option("how many of the likeliest classes to tell", 3, metavar="K")
    flips: bool = option("average over four mirrored views: a little better, four times as slow", False)
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        """Check the values."""
        refuse_other_file("output", self.output, (".gpkg", ".csv"), "GeoPackage or table")
        refuse_shared_files([self.output], [*self.source.files, self.zones])
        refuse_unless(self.top >= 1, f"The number of classes to tell must be 1 or more; {self.top} was given.")
        for name in ("cell_size", "cell_pixels"):
            value = getattr(self, name)
            refuse_unless(
                value is None or value > 0, f"The {name.replace('_', ' ')} must be above 0; {value} was given."
            )
        given = [name for name in ("zones", "cell_size", "cell_pixels") if getattr(self, name) is not None]
        given += [] if self.source.resolution is None else ["resolution"]
        refuse_unless(
            len(given) <= 1,
            "Choose one of zones, cell size, cell pixels and resolution, from which the size of scenes follows; "
            f"{' and '.join(given).replace('_', ' ')} were given.",
        )


@dataclass(frozen=True)
class EvaluateRequest:
    """Measure a model on a labelled dataset, or on a raster with a reference layer, and write a report."""

    task: str = option("what the model does", choices=TASKS)
    data: str = option("dataset folder, or a raster that --reference labels", metavar="DATA")
    output: str = option("folder for the report, the figures and the layer of errors", metavar="DIR")
    model: str = option("id of the model (see 'models list')", "")
    against: Optional[str] = option(
        "id of another model, which is measured on the same data; the report has both side by side", None, metavar="ID"
    )
    split: str = option("part of the dataset to measure on, when it has parts", "val")
    iou: float = option("detect: overlap from which a detection counts as found", 0.5)
    threshold: Optional[float] = option(
        "detect: smallest score of a detection that counts (default: 0.05, as precision is measured from low scores "
        "on); change: probability from which a pixel has changed (default: the model's)",
        None,
    )
    reference: Optional[str] = option(
        "file of labelled polygons for a raster; for segment and change also a raster of class numbers", None
    )
    class_field: str = option("the reference's field with the names of classes", "class_name")
    reference_class: Optional[str] = option("class of all polygons of the reference, instead of a field", None)
    where: Optional[str] = option("which features of the reference count, as in SQL", None)
    background: Optional[str] = option(
        "segment: class of what is nothing of interest, so that errors are false or missed; no polygon need cover it "
        "(default: the one called background, or of two classes the one that no polygon has; otherwise pixels in no "
        "polygon do not count)",
        None,
    )
    after: Optional[str] = option("change: the raster of the later date", None)
    bands: tuple[int, ...] = option(
        "numbers of the images' or the raster's bands to use, first is 1 (default: the first ones)", ()
    )
    extent: Optional[tuple[float, ...]] = option("xmin,ymin,xmax,ymax of the part of the raster to use", None)
    extent_crs: Optional[str] = option("reference system of the extent (default: the raster's)", None)
    area: Optional[str] = option("file of polygons outside of which nothing counts", None)
    resolution: Optional[float] = option("ground resolution to work at, in metres per pixel", None)
    after_bands: tuple[int, ...] = option(
        "change: numbers of the later raster's bands (default: those of the earlier one)", ()
    )
    match_colours: bool = option("change: bring the later raster's brightness and contrast to the earlier one's", False)
    flips: bool = option("segment, change and classify: average over four mirrored views", False)
    nms_iou: Optional[float] = option(
        "detect: overlap above which two boxes are one object (default: the model's)", None
    )
    tiling: Tiling = field(default_factory=Tiling)
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        """Bring lists from JSON back to tuples and check the values."""
        object.__setattr__(self, "bands", tuple(self.bands))
        object.__setattr__(self, "after_bands", tuple(self.after_bands))
        if self.extent is not None:
            object.__setattr__(self, "extent", tuple(self.extent))
        refuse_unknown_task("Evaluation", self.task)
        refuse_band_numbers(self.bands)
        refuse_band_numbers(self.after_bands)
        refuse_unless(
            self.after is None or self.task == "change",
            f"Only change is measured between two rasters, and the task is {self.task}; leave --after away.",
        )
        for name in ("after", "area", "extent", "extent_crs", "resolution", "where", "reference_class"):
            refuse_unless(
                self.reference is not None or getattr(self, name) is None,
                f"{name.replace('_', ' ').capitalize()} is for a raster with a reference; name the reference too.",
            )
        refuse_unless(
            self.task != "change" or self.reference is None or self.after is not None,
            "Change is measured between two rasters, and only the earlier one is there; name the later one as --after.",
        )
        refuse_unless(
            self.after is not None or not (self.after_bands or self.match_colours),
            "The later raster's bands and colours are for change between two rasters; name the later one as --after.",
        )
        refuse_share("overlap (IoU) of detections", self.nms_iou)
        refuse_share("overlap (IoU)", self.iou)
        refuse_share("threshold", self.threshold)


@dataclass(frozen=True)
class ImportModelRequest:
    """Bring a checkpoint of the official programs, or a model folder, into the model store."""

    file: str = option(
        "checkpoint (.pth), or folder with model.safetensors and card.json", positional=True, metavar="FILE"
    )
    model_id: str = option("id of the new model (default: from the file's name)", "")


@dataclass(frozen=True)
class DownloadModelRequest:
    """Fetch an official checkpoint and bring it into the model store."""

    model: str = option("id of the official model (see 'models list')", positional=True, metavar="ID")
    accept_licence: bool = option("accept the licence of the weights, which is shown first", False)


@dataclass(frozen=True)
class RemoveModelRequest:
    """Delete a model of the user's from the model store."""

    model: str = option("id of the model", positional=True, metavar="ID")


REQUESTS = {
    "detect": DetectRequest,
    "segment": SegmentRequest,
    "change": ChangeRequest,
    "classify": ClassifyRequest,
    "finetune": FinetuneRequest,
    "evaluate": EvaluateRequest,
    "export-data": ExportDataRequest,
    "load-data": LoadDataRequest,
    "import-model": ImportModelRequest,
    "download-model": DownloadModelRequest,
    "remove-model": RemoveModelRequest,
}


def request_from_plain(kind: type, plain: dict) -> Any:
    """The request that a dictionary of plain values (from JSON) stands for.

    Raises:
        InputError: a field is missing or unknown, or a value is refused.
    """
    known = {each.name: each for each in fields(kind)}
    unknown = sorted(set(plain) - set(known))
    missing = [
        name
        for name, each in known.items()
        if name not in plain and each.default is MISSING and each.default_factory is MISSING
    ]
    if unknown or missing:
        raise InputError(f"{kind.__name__} lacks {missing or 'nothing'} and does not know {unknown or 'nothing'}.")
    types = get_type_hints(kind)
    values = {
        name: request_from_plain(types[name], value) if is_dataclass(types[name]) else value
        for name, value in plain.items()
    }
    return kind(**values)
