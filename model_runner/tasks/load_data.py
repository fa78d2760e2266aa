# SPDX-License-Identifier: GPL-2.0-or-later
"""The labels of a dataset as polygons on the map, to look at them."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pyproj
import shapely
from rasterio.features import shapes

from model_runner.contract.data_requests import LoadDataRequest
from model_runner.contract.messages import Finished
from model_runner.errors import InputError
from model_runner.features import write_vector
from model_runner.raster.georeference import native_grid
from model_runner.raster.handles import reading
from model_runner.raster.stretch import Stretch
from model_runner.raster.working_grid import WorkingGrid
from model_runner.raster.writer import atomic, refuse_unwritable
from model_runner.report import Report
from model_runner.rotated_boxes.geometry import corners
from model_runner.training.datasets.images import Pixels, opened
from model_runner.training.datasets.layouts import dataset_splits, find_task
from model_runner.training.datasets.maps import (
    IGNORED,
    MapDataset,
    find_mask_classes,
    open_masks,
    open_pairs,
)
from model_runner.training.datasets.objects import ObjectDataset, find_class_names
from model_runner.training.datasets.scenes import SceneDataset, find_scene_classes
from model_runner.training.datasets.splits import SPLITS

WGS84 = pyproj.CRS.from_epsg(4326)
UNSEEN = Pixels((1,), 1, Stretch((0.0,), (1.0,)))  # images may have any: they stay unread


@dataclass(frozen=True)
class LabelledImage:
    """An image and the polygons (n,) of its labels, in pixels, with the class (n,) and the difficulty (n,) of each."""

    path: Path
    polygons: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray


def load_data(request: LoadDataRequest, report: Report) -> Finished:
    """Write the labels of all splits, and if wanted the outlines of the images, each as a layer.

    Images without georeference are left out.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no file is left.
    """
    for path in filter(None, (request.output, request.chips)):
        refuse_unwritable(path)
    folder = Path(request.data)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; name a dataset folder.")
    task = find_task(folder)
    splits, read = dataset_splits(folder, task), READERS[task]
    report.log("info", f"{folder} has the layout of {task}" + (f", in {', '.join(splits)}." if splits else "."))
    labels, chips, nowhere = [], [], 0
    for split in splits or ("",):
        for done, (total, image) in enumerate(read(folder, split or SPLITS[0])):
            report.check_cancelled()
            report.progress(f"images {split}".strip(), done, total)
            with reading(str(image.path)), opened(image.path) as raster:
                grid, _ = native_grid(raster)
            if grid.crs is None:
                nowhere += 1
                continue
            inside = image.path.is_relative_to(folder)
            name = (image.path.relative_to(folder) if inside else image.path).as_posix()
            labels.append(_labels_of(image, grid, name, split))
            chips.append(_outline_of(image, grid, name, split))
    if not chips:
        raise InputError(
            f"None of the {nowhere} images of {folder} has a georeference, without which labels have no place on a map."
        )
    if nowhere:
        report.log("warning", f"{nowhere} images have no georeference and are left out.")
    found = _joined(labels)
    outputs = {"labels": request.output}
    with atomic(request.output) as unfinished:
        write_vector(unfinished, found, Path(request.output).stem)
    if request.chips:
        outputs["chips"] = request.chips
        with atomic(request.chips) as unfinished:
            write_vector(unfinished, _joined(chips), Path(request.chips).stem)
    counts = Counter(found["class_name"])
    by_class = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    report.log("info", f"{len(chips)} images, {len(found)} labels: {by_class or 'none'}.")
    numbers = {"images": len(chips), "labels": len(found), "without_georeference": nowhere}
    return Finished("", outputs, {**numbers, **{f"count_{name}": counts[name] for name in sorted(counts)}})


def _read_objects(folder: Path, split: str) -> Iterator[tuple[int, LabelledImage]]:
    """Images with oriented boxes."""
    names = find_class_names(folder)
    samples = ObjectDataset(folder, split, names, minimum_side=0)
    for number, path in enumerate(samples.paths):
        boxes, labels, difficult = samples.labelled_objects(number)
        polygons = shapely.polygons(corners(boxes).double().numpy())
        classes = np.array(names, dtype=object)[labels.numpy()]
        yield len(samples), LabelledImage(path, polygons, classes, difficult.numpy())


def _read_masks(folder: Path, split: str) -> Iterator[tuple[int, LabelledImage]]:
    """Images with the class of each pixel."""
    names = tuple(find_mask_classes(folder))
    yield from _read_maps(open_masks(folder, split, names, UNSEEN), names, IGNORED)


def _read_changes(folder: Path, split: str) -> Iterator[tuple[int, LabelledImage]]:
    """Pairs of images with what changed; the earlier image stands for both."""
    yield from _read_maps(open_pairs(folder, split, UNSEEN), ("unchanged", "changed"), 0)


def _read_maps(samples: MapDataset, names: tuple[str, ...], left_out: int) -> Iterator[tuple[int, LabelledImage]]:
    """The connected areas of each value but one."""
    for number, paths in enumerate(samples.paths):
        values = samples.read_labels(number).numpy()
        found = [(shapely.geometry.shape(area), int(value)) for area, value in shapes(values, values != left_out)]
        polygons = np.array([polygon for polygon, _ in found], dtype=object)
        classes = np.array([names[value] for _, value in found], dtype=object)
        yield len(samples), LabelledImage(paths[0], polygons, classes, np.zeros(len(found), dtype=bool))


def _read_scenes(folder: Path, split: str) -> Iterator[tuple[int, LabelledImage]]:
    """Images that show a scene each."""
    names = find_scene_classes(folder)
    samples = SceneDataset(folder, split, names, UNSEEN)
    for path, label in zip(samples.paths, samples.labels, strict=True):
        with reading(str(path)), opened(path) as raster:
            whole = shapely.box(0, 0, raster.width, raster.height)
        classes = np.array([names[label]], dtype=object)
        yield len(samples), LabelledImage(path, np.array([whole]), classes, np.zeros(1, dtype=bool))


# from a dataset and a split to the number of its images, and each of these
READERS: dict[str, Callable[[Path, str], Iterator[tuple[int, LabelledImage]]]] = {
    "detect": _read_objects,
    "segment": _read_masks,
    "change": _read_changes,
    "classify": _read_scenes,
}


def _labels_of(image: LabelledImage, grid: WorkingGrid, name: str, split: str) -> geopandas.GeoDataFrame:
    columns = {
        "class_name": image.classes,
        "difficult": image.difficult.astype(np.int32),
        "split": np.full(len(image.classes), split, dtype=object),
        "image": np.full(len(image.classes), name, dtype=object),
    }
    ground = shapely.transform(image.polygons, grid.to_ground_points)
    return geopandas.GeoDataFrame(columns, geometry=ground, crs=grid.reference_system)


def _outline_of(image: LabelledImage, grid: WorkingGrid, name: str, split: str) -> geopandas.GeoDataFrame:
    columns = {"split": [split], "labels": [len(image.classes)], "image": [name]}
    return geopandas.GeoDataFrame(columns, geometry=[shapely.Polygon(grid.outline)], crs=grid.reference_system)


def _joined(frames: list[geopandas.GeoDataFrame]) -> geopandas.GeoDataFrame:
    """Frames as one, in the reference system that they share or else in WGS 84."""
    systems = {frame.crs.to_wkt() for frame in frames}
    if len(systems) > 1:
        frames = [frame.to_crs(WGS84) for frame in frames]
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return pandas.concat(filled, ignore_index=True)
