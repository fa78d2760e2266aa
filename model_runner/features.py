# SPDX-License-Identifier: GPL-2.0-or-later
"""Boxes and regions in pixels become polygons on the ground, with what an analyst wants to know of them."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence

import geopandas
import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataSourceError

from model_runner.errors import InputError
from model_runner.raster.working_grid import WorkingGrid

GEOPACKAGE = {"driver": "GPKG", "dataset_options": {"VERSION": "1.3"}}  # the newest that QGIS 3.22 knows in full

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
        A frame with the columns class_id, class_name, area_m2 (on the ellipsoid; without a reference system in
        pixels), model and run_id.
    """
    columns = {
        "class_id": np.asarray(numbers, dtype=np.int32),
        "class_name": np.array([class_names[number] for number in numbers], dtype=object),
        "area_m2": grid.measure_polygons(polygons),
        "model": np.full(len(polygons), model, dtype=object),
        "run_id": np.full(len(polygons), run_id, dtype=object),
    }
    ground = shapely.transform(polygons, grid.to_ground_points)
    return geopandas.GeoDataFrame(columns, geometry=ground, crs=grid.reference_system)


def write_vector(path: str | os.PathLike, frame: geopandas.GeoDataFrame, layer_name: str) -> None:
    """Write polygons as a layer of a new GeoPackage, also when there are none.

    It is made in a folder for temporary files: pyogrio takes some signs that names may have, "!" and ";", as its own.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            plain = os.path.join(folder, "layer.gpkg")
            pyogrio.write_dataframe(frame, plain, layer=layer_name, geometry_type="Polygon", **GEOPACKAGE)
            shutil.move(plain, path)
    except (DataSourceError, OSError) as error:
        raise InputError(f"{path} cannot be written: {' '.join(str(error).split())}") from error


def _measure_side(grid: WorkingGrid, centres: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (n,) of a box's side, taken through its centre, and their bearings (n,) there."""
    lengths, _ = grid.measure_lines(centres - side / 2, centres + side / 2)
    _, bearings = grid.measure_lines(centres, centres + side / 2)
    return lengths, bearings


def _undirected(bearings: np.ndarray) -> np.ndarray:
    """Bearings in degrees of lines that have no direction: 0 <= a < 180."""
    halved = np.mod(bearings, 180)
    return np.where(halved >= 180, 0.0, halved)  # a hair below 0 is rounded up to 180
