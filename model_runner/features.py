# SPDX-License-Identifier: GPL-2.0-or-later
"""Boxes, regions and scenes in pixels become polygons on the ground, with what an analyst wants to know of them."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress

import geopandas
import numpy as np
import pandas
import pyogrio
import pyproj
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj.exceptions import ProjError

from model_runner.errors import InputError, one_line
from model_runner.raster.polygon_files import layer_name
from model_runner.raster.working_grid import WorkingGrid

TABLE = ".csv"  # ending of a file of comma-separated values

GEOPACKAGE = {"driver": "GPKG", "dataset_options": {"VERSION": "1.3"}}  # the newest that QGIS 3.22 knows in full

TAKEN_BY_GEOPACKAGES = ("fid", "geom")  # columns that the format makes itself

# The corners of a box in its own frame, as multiples of its sides w and h, y down
CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


def detections_to_frame(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    grid: WorkingGrid,
    class_names: Sequence[str],
    model: str,
    run_id: str,
) -> geopandas.GeoDataFrame:
    """Detections as polygons in the ground frame, one row each, in the order given.

    Lengths, areas and bearings are measured on the ellipsoid from the mapped box; without a reference system in
    pixels, and clockwise from the image's up.

    Args:
        boxes: (n, 5) cx, cy, w, h in working pixels and the angle in radians; w lies along (cos, sin), y down.
        scores: (n,) from 0 to 1.
        labels: (n,) class numbers.
        grid: the working grid of the boxes.
        class_names: by class number.
        model: id of the model.
        run_id: id of the run.

    Returns:
        A frame with the columns class_id, class_name, score, angle_deg (bearing of the long side, 0 <= a < 180),
        length_m (the long side), width_m, area_m2, model and run_id.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 5)
    centres = boxes[:, :2]
    cosine, sine = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along_w = boxes[:, 2, None] * np.stack([cosine, sine], axis=1)
    along_h = boxes[:, 3, None] * np.stack([-sine, cosine], axis=1)
    corners = centres[:, None] + CORNERS[:, :1] * along_w[:, None] + CORNERS[:, 1:] * along_h[:, None]

    w_length, w_bearing = _measure_side(grid, centres, along_w)
    h_length, h_bearing = _measure_side(grid, centres, along_h)
    w_is_long = w_length >= h_length
    labels = np.asarray(labels, dtype=np.int64)
    ground = grid.to_ground_points(corners.reshape(-1, 2)).reshape(-1, 4, 2)
    columns = {
        "class_id": labels.astype(np.int32),
        "class_name": np.array([class_names[label] for label in labels], dtype=object),
        "score": np.asarray(scores, dtype=np.float64),
        "angle_deg": _undirected(np.where(w_is_long, w_bearing, h_bearing)),
        "length_m": np.maximum(w_length, h_length),
        "width_m": np.minimum(w_length, h_length),
        "area_m2": grid.measure_areas(corners),
        "model": np.full(len(boxes), model, dtype=object),
        "run_id": np.full(len(boxes), run_id, dtype=object),
    }
    return geopandas.GeoDataFrame(columns, geometry=shapely.polygons(ground), crs=grid.reference_system)


def regions_to_frame(
    polygons: np.ndarray,
    numbers: np.ndarray,
    grid: WorkingGrid,
    class_names: Sequence[str],
    model: str,
    run_id: str,
) -> geopandas.GeoDataFrame:
    """Regions of classes as polygons in the ground frame, one row each, in the order given.

    Args:
        polygons: (n,) shapely polygons in pixels of the grid.
        numbers: (n,) class numbers.
        grid: the grid of the polygons.
        class_names: by class number.
        model: id of the model.
        run_id: id of the run.

    Returns:
        A frame with the columns class_id, class_name, area_m2 (on the ellipsoid; without a reference system
        area_pixels), model and run_id.
    """
    columns = {
        "class_id": np.asarray(numbers, dtype=np.int32),
        "class_name": np.array([class_names[number] for number in numbers], dtype=object),
        "area_pixels" if grid.crs is None else "area_m2": grid.measure_polygons(polygons),
        "model": np.full(len(polygons), model, dtype=object),
        "run_id": np.full(len(polygons), run_id, dtype=object),
    }
    ground = shapely.transform(polygons, grid.to_ground_points)
    return geopandas.GeoDataFrame(columns, geometry=ground, crs=grid.reference_system)


def scene_columns(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], model: str, run_id: str
) -> dict[str, np.ndarray]:
    """The fields of scenes whose classes are known, a value for each scene.

    Args:
        labels: (n, k) class numbers, likeliest first.
        probabilities: (n, k) from 0 to 1.
        class_names: by class number.
        model: id of the model.
        run_id: id of the run.

    Returns:
        The columns class_id, class_name, probability, class_2, probability_2 … class_k, probability_k, model, run_id.
    """
    names = np.array(class_names, dtype=object)[labels]
    columns = {"class_id": labels[:, 0].astype(np.int32), "class_name": names[:, 0], "probability": probabilities[:, 0]}
    for rank in range(1, labels.shape[1]):
        columns |= {f"class_{rank + 1}": names[:, rank], f"probability_{rank + 1}": probabilities[:, rank]}
    constants = {
        name: np.full(len(labels), text, dtype=object) for name, text in (("model", model), ("run_id", run_id))
    }
    return columns | constants


def cells_to_frame(corners: np.ndarray, columns: dict[str, np.ndarray], grid: WorkingGrid) -> geopandas.GeoDataFrame:
    """Cells with their corners (n, 4, 2) in ground coordinates as polygons in the ground frame."""
    return geopandas.GeoDataFrame(columns, geometry=shapely.polygons(corners), crs=grid.reference_system)


def zones_to_frame(zones: geopandas.GeoDataFrame, columns: dict[str, np.ndarray]) -> geopandas.GeoDataFrame:
    """Zones as they are, with further columns behind their own.

    Own columns whose names are taken, by these or by a GeoPackage itself, are renamed to zone_NAME: nothing is lost.
    """
    taken = {name.lower() for name in (*columns, *TAKEN_BY_GEOPACKAGES)}
    own = [name for name in zones.columns if name != zones.geometry.name]
    renamed = {}
    for name in own:
        new = name
        while new.lower() in taken:
            new = f"zone_{new}"
        taken.add(new.lower())
        renamed[name] = new
    return zones.rename(columns=renamed).reset_index(drop=True).assign(**columns)


def images_to_frame(
    names: Sequence[str], grids: Sequence[WorkingGrid], columns: dict[str, np.ndarray]
) -> geopandas.GeoDataFrame:
    """Images by name with their footprints, in the reference system that they share or else in WGS 84.

    An image without a place on Earth, by a reference system, has no footprint; where no image has a reference system,
    the frame has no geometry.
    """
    systems = {grid.crs.to_wkt(): grid.reference_system for grid in grids if grid.crs is not None}
    common = next(iter(systems.values())) if len(systems) == 1 else pyproj.CRS.from_epsg(4326)
    polygons = np.full(len(grids), None, dtype=object)
    for wkt, system in systems.items():
        members = [index for index, grid in enumerate(grids) if grid.crs is not None and grid.crs.to_wkt() == wkt]
        corners = [grids[index].outline for index in members]
        with suppress(ProjError):  # a local system has no place on Earth
            footprints = geopandas.GeoSeries(shapely.polygons(corners), crs=system).to_crs(common).to_numpy()
            polygons[members] = np.where(np.isfinite(shapely.bounds(footprints)).all(axis=1), footprints, None)
    frame = geopandas.GeoDataFrame({"image": list(names), **columns}, geometry=polygons, crs=common)
    return frame if systems else frame.drop(columns="geometry")


def write_vector(path: str | os.PathLike, frame: pandas.DataFrame, name: str) -> None:
    """Write polygons as a layer of a new GeoPackage, also when there are none; a frame without geometry as a table.

    The layer is called ``name``, see ``layer_name``.

    It is made in a folder for temporary files: pyogrio takes some signs that names may have, "!" and ";", as its own.

    Raises:
        InputError: the file cannot be written.
    """
    kind = {"geometry_type": _polygon_type(frame.geometry)} if isinstance(frame, geopandas.GeoDataFrame) else {}
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            plain = os.path.join(folder, "layer.gpkg")
            pyogrio.write_dataframe(frame, plain, layer=layer_name(name), **kind, **GEOPACKAGE)
            shutil.copyfile(plain, path)  # on Windows a file that is moved keeps the folder's rights: its owner's only
    except (DataSourceError, DataLayerError, OSError) as error:
        raise InputError(f"{path} cannot be written: {one_line(error)}") from error


def areas_to_frame(names: Sequence[str], pixels: np.ndarray, areas: np.ndarray, in_metres: bool) -> pandas.DataFrame:
    """A row for each class: ``class_id``, ``class_name``, ``pixels``, ``area_m2`` and ``share``.

    Args:
        names: of the classes.
        pixels: (classes,) how many each has.
        areas: (classes,) square metres; without a reference system, pixels.
        in_metres: whether there is a reference system; ``area_m2`` is left out if not.
    """
    columns = {"class_id": range(len(names)), "class_name": list(names), "pixels": pixels}
    if in_metres:
        columns["area_m2"] = areas.round(3)
    return pandas.DataFrame({**columns, "share": (areas / max(areas.sum(), 1e-9)).round(6)})


def write_by_ending(path: str | os.PathLike, frame: pandas.DataFrame, name: str, digits: int = 6) -> None:
    """Write a frame as ``write_table`` where the path ends in .csv, else as ``write_vector``.

    Raises:
        InputError: the file cannot be written.
    """
    if os.fspath(path).lower().endswith(TABLE):
        write_table(path, frame, digits)
    else:
        write_vector(path, frame, name)


def write_table(path: str | os.PathLike, frame: pandas.DataFrame, digits: int = 6) -> None:
    """Write the fields of a frame as comma-separated values, in UTF-8 with a line of names; geometry is left out.

    Numbers that are not whole get so many significant digits.

    Raises:
        InputError: the file cannot be written.
    """
    plain = frame.drop(columns="geometry", errors="ignore")
    try:
        plain.to_csv(path, index=False, encoding="utf-8", float_format=f"%.{digits}g")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error


def _polygon_type(geometry: geopandas.GeoSeries) -> str:
    """The type of layer that takes these polygons and multipolygons."""
    kinds = set(geometry.geom_type.dropna())
    kind = "Polygon" if kinds <= {"Polygon"} else "MultiPolygon" if kinds <= {"Polygon", "MultiPolygon"} else "Unknown"
    return f"{kind} Z" if geometry.has_z.any() else kind


def _measure_side(grid: WorkingGrid, centres: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (n,) of a box's side, taken through its centre, and their bearings (n,) there."""
    lengths, _ = grid.measure_lines(centres - side / 2, centres + side / 2)
    _, bearings = grid.measure_lines(centres, centres + side / 2)
    return lengths, bearings


def _undirected(bearings: np.ndarray) -> np.ndarray:
    """Bearings in degrees of lines that have no direction: 0 <= a < 180."""
    halved = np.mod(bearings, 180)
    return np.where(halved >= 180, 0.0, halved)  # a hair below 0 is rounded up to 180
