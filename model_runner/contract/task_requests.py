# SPDX-License-Identifier: GPL-2.0-or-later
"""What a task can be asked to do.

The same dataclasses are the payload of ``messages.Run``, the options of the command line (a field's ``metadata``
holds its help and, where it differs, its option's form) and the request in the run record. What needs no file is
checked here, with the value and the remedy.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Optional, get_type_hints

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


def _refuse_unless(holds: bool, text: str) -> None:
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
        _refuse_unless(
            all(band >= 1 for band in self.bands), f"Bands are counted from 1; {list(self.bands)} was given."
        )
        if self.extent is not None:
            object.__setattr__(self, "extent", tuple(self.extent))
            west, south, east, north = self.extent if len(self.extent) == 4 else (1, 1, 0, 0)
            _refuse_unless(
                west < east and south < north,
                f"The extent {','.join(f'{value:g}' for value in self.extent)} is empty or incomplete; "
                "give xmin,ymin,xmax,ymax.",
            )
        _refuse_unless(
            self.resolution is None or self.resolution > 0,
            f"The resolution must be above 0 metres per pixel; {self.resolution} was given.",
        )


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
            _refuse_unless(
                self.tile_size >= 96 and self.tile_size % 32 == 0,
                f"The tile size must be a multiple of 32 from 96 pixels on; {self.tile_size} was given.",
            )
        _refuse_unless(self.overlap is None or self.overlap >= 0, f"The overlap {self.overlap} is below 0 pixels.")


@dataclass(frozen=True)
class Compute:
    """On what and how the network runs."""

    device: str = option("auto, cpu, cuda, cuda:1 …, mps", "auto")
    precision: str = option("auto, fp32, bf16 or fp16", "auto", choices=PRECISIONS)
    batch_size: Optional[int] = option("tiles computed at once (default: by the device)", None, metavar="N")

    def __post_init__(self) -> None:
        """Check the values."""
        _refuse_unless(
            self.device.partition(":")[0] in DEVICES,
            f"The device {self.device!r} is unknown; use {', '.join(DEVICES)}.",
        )
        _refuse_unless(
            self.precision in PRECISIONS, f"The precision {self.precision!r} is unknown; use {', '.join(PRECISIONS)}."
        )
        _refuse_unless(
            self.batch_size is None or self.batch_size >= 1, f"The batch size must be 1 or more, not {self.batch_size}."
        )


def _refuse_share(name: str, value: Optional[float]) -> None:
    _refuse_unless(value is None or 0 <= value <= 1, f"The {name} must lie between 0 and 1; {value} was given.")


def _refuse_unknown_task(what: str, task: str) -> None:
    _refuse_unless(task in TASKS, f"{what} knows the tasks {', '.join(TASKS)}; {task!r} was given.")


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
        _refuse_share("threshold", self.threshold)
        _refuse_share("overlap (IoU) of detections", self.nms_iou)
        _refuse_other_file("output", self.output, (".gpkg",), "GeoPackage")


def _refuse_other_file(what: str, path: Optional[str], endings: tuple[str, ...], kind: str) -> None:
    _refuse_unless(
        path is None or path.lower().endswith(endings),
        f"The {what} must be a {kind} ({', '.join(endings)}); {path!r} was given.",
    )


def _refuse_shared_files(*paths: Optional[str]) -> None:
    given = [path for path in paths if path]
    _refuse_unless(len(set(given)) == len(given), f"Two results would be written to one file: {', '.join(given)}.")


@dataclass(frozen=True)
class Outlines:
    """How regions of a raster become polygons."""

    minimum_area: float = option("smallest polygon in square metres (without reference system: pixels)", 0.0)
    fill_holes: float = option("holes up to this many square metres are filled", 0.0)
    simplify: float = option("how far outlines may be moved to simplify them, in metres", 0.0)

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("minimum_area", "fill_holes", "simplify"):
            value = getattr(self, name)
            _refuse_unless(value >= 0, f"{name.replace('_', ' ').capitalize()} must be 0 or more; {value} was given.")


@dataclass(frozen=True)
class SegmentRequest:
    """Give every pixel of a raster a class and write them as a raster."""

    source: RasterSource
    output: str = option("GeoTIFF of class numbers to write", metavar="FILE.tif")
    model: str = option("id of the model (see 'models list')", "")
    confidence: Optional[str] = option("GeoTIFF to write with the probability of each pixel's class", None)
    polygons: Optional[str] = option("GeoPackage to write with the classes' outlines", None)
    outlines: Outlines = field(default_factory=Outlines)
    model_grid: bool = option("write on the model's grid; else the raster's own pixels are kept", False)
    flips: bool = option("average over four mirrored views: a little better, four times as slow", False)
    tiling: Tiling = field(default_factory=Tiling)
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        """Check the files' endings."""
        _refuse_other_file("output", self.output, (".tif", ".tiff"), "GeoTIFF")
        _refuse_other_file("confidence", self.confidence, (".tif", ".tiff"), "GeoTIFF")
        _refuse_other_file("polygons file", self.polygons, (".gpkg",), "GeoPackage")
        _refuse_shared_files(self.output, self.confidence, self.polygons)


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
        _refuse_unless(
            all(band >= 1 for band in self.after_bands),
            f"Bands are counted from 1; {list(self.after_bands)} was given.",
        )
        _refuse_share("threshold", self.threshold)
        _refuse_other_file("output", self.output, (".tif", ".tiff"), "GeoTIFF")
        _refuse_other_file("probability", self.probability, (".tif", ".tiff"), "GeoTIFF")
        _refuse_other_file("polygons file", self.polygons, (".gpkg",), "GeoPackage")
        _refuse_shared_files(self.output, self.probability, self.polygons)


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
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        """Check the values."""
        _refuse_other_file("output", self.output, (".gpkg", ".csv"), "GeoPackage or table")
        _refuse_unless(self.top >= 1, f"The number of classes to tell must be 1 or more; {self.top} was given.")
        for name in ("cell_size", "cell_pixels"):
            value = getattr(self, name)
            _refuse_unless(
                value is None or value > 0, f"The {name.replace('_', ' ')} must be above 0; {value} was given."
            )
        given = [name for name in ("zones", "cell_size", "cell_pixels") if getattr(self, name) is not None]
        given += [] if self.source.resolution is None else ["resolution"]
        _refuse_unless(
            len(given) <= 1,
            "Choose one of zones, cell size, cell pixels and resolution, from which the size of scenes follows; "
            f"{' and '.join(given).replace('_', ' ')} were given.",
        )


@dataclass(frozen=True)
class FinetuneRequest:
    """Train a model on a labelled dataset."""

    task: str = option("what the model shall do", choices=TASKS)
    data: str = option("dataset folder with train/ and val/", metavar="DIR")
    output: str = option("folder for the model, its card and the log", metavar="DIR")
    init: str = option("id of the model to start from; 'none' starts from scratch", "")
    network: Optional[str] = option("network to train when starting from scratch (default: the task's smallest)", None)
    network_options: tuple[str, ...] = option("sizes that differ from the official ones, as name=value", ())
    backbone: Optional[str] = option("safetensors file with backbone weights to start from", None)
    model_id: str = option("id of the new model (default: the output folder's name)", "")
    resolution: Optional[float] = option(
        "ground resolution of the images in metres (default: by their georeference)", None
    )
    sample_size: Optional[int] = option(
        "side of the training samples in pixels (default: the model's tile size)", None, metavar="PX"
    )
    scale: Optional[tuple[float, ...]] = option(
        "smallest,largest factor by which training images are scaled; of scenes, over that at which the image fills "
        "the sample (default: by the task)",
        None,
    )
    mosaic: float = option("detect: share of the training samples that are joined of four images", 0.0)
    mixing: float = option("classify: share of the training samples that are mixed of two scenes", 0.0)
    epochs: int = option("number of passes over the training images", 30)
    batch_size: int = option("images a step", 8, metavar="N")
    learning_rate: Optional[float] = option("highest learning rate of AdamW (default: by the network)", None)
    workers: int = option("processes that load images", 2)
    seed: int = option("seed of everything random", 0)
    resume: bool = option("go on from the last checkpoint in the output folder", False)
    device: str = option("auto, cpu, cuda or mps", "auto")
    precision: str = option("auto, fp32, bf16 or fp16", "auto", choices=PRECISIONS)

    def __post_init__(self) -> None:
        """Bring lists from JSON back to tuples and check the values."""
        object.__setattr__(self, "network_options", tuple(self.network_options))
        _refuse_unknown_task("Fine-tuning", self.task)
        if self.scale is not None:
            object.__setattr__(self, "scale", tuple(self.scale))
            _refuse_unless(
                len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1],
                f"The scale is written smallest,largest, such as 0.5,2; "
                f"{','.join(f'{value:g}' for value in self.scale)} was given.",
            )
        _refuse_share("share of mosaics", self.mosaic)
        _refuse_share("share of mixed scenes", self.mixing)
        for name in ("epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            _refuse_unless(
                value is None or value > 0, f"The {name.replace('_', ' ')} must be above 0; {value} was given."
            )
        _refuse_unless(
            self.sample_size is None or (self.sample_size >= 96 and self.sample_size % 32 == 0),
            f"The sample size must be a multiple of 32 from 96 pixels on; {self.sample_size} was given.",
        )
        _refuse_unless(
            all("=" in pair for pair in self.network_options),
            f"Network options are written name=value; {' '.join(self.network_options)!r} was given.",
        )


@dataclass(frozen=True)
class EvaluateRequest:
    """Measure a model on a labelled dataset."""

    task: str = option("what the model does", choices=TASKS)
    data: str = option("dataset folder", metavar="DIR")
    output: str = option("folder for metrics.json", metavar="DIR")
    model: str = option("id of the model (see 'models list')", "")
    split: str = option("part of the dataset to measure on, when it has parts", "val")
    iou: float = option("detect: overlap from which a detection counts as found", 0.5)
    threshold: Optional[float] = option(
        "detect: smallest score of a detection that counts (default: 0.05, as precision is measured from low scores "
        "on); change: probability from which a pixel has changed (default: the model's)",
        None,
    )
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        """Check the values."""
        _refuse_unknown_task("Evaluation", self.task)
        _refuse_share("overlap (IoU)", self.iou)
        _refuse_share("threshold", self.threshold)


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
