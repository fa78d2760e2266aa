# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons that users bring: masks, zones and labels."""

import os
import re
from collections.abc import Callable

import geopandas
import numpy as np
import pandas
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj.exceptions import ProjError

from model_runner.contract.file_names import fitting_file_name
from model_runner.errors import InputError, one_line
from model_runner.raster.georeference import surroundings
from model_runner.raster.working_grid import WorkingGrid

SIGNS_OF_PYOGRIO = re.compile("[!;]")
LAYER = "|layername="  # between the path of a file and the name of a layer in it
NULLABLE = {"int16": "Int16", "int32": "Int32", "int64": "Int64", "bool": "boolean"}
NOT_FIRST_IN_LAYERS = re.compile(r"^[\W_]+")
TAKEN_BEGINNINGS = ("gpkg", "sqlite_", "rtree_")  # of names of tables that GeoPackages make themselves


def read_polygon_features(
    path: str,
    what: str,
    with_fields: bool,
    where: str | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> geopandas.GeoDataFrame:
    """The features of a vector file whose geometry is, or holds, a polygon.

    Args:
        path: vector file that GDAL can open; of several layers, one is named as QGIS does: PATH|layername=NAME.
        what: how the file is called in errors, "mask" for example.
        with_fields: whether their attributes are wanted.
        where: which features are wanted, as in SQL; None wants all.
        warn: is told of features that are left out, and of a missing reference system.

    Raises:
        InputError: the file cannot be read, holds no polygon, or several layers of which none is named.
    """
    path, layer = _split(path, what)
    file, columns = _for_gdal(path), {} if with_fields else {"columns": []}
    try:
        frame = geopandas.read_file(file, layer=layer, where=where, fid_as_index=True, on_invalid="fix", **columns)
        if with_fields:
            frame = _with_exact_numbers(frame, file, layer)
    except (DataSourceError, DataLayerError, OSError, ValueError) as error:
        said = one_line(error).split("; It might help")[0]  # to name a driver, which users cannot
        raise InputError(f"The {what} {path} cannot be read: {said}") from error
    count = len(frame)
    if isinstance(frame, geopandas.GeoDataFrame):
        geometry = frame.geometry.to_numpy()
        frame = frame[(shapely.get_dimensions(geometry) == 2) & ~shapely.is_empty(geometry)]
    if not isinstance(frame, geopandas.GeoDataFrame) or frame.empty:
        raise InputError(f"The {what} {path} holds no polygon{f' where {where}' if where else ''}.")
    if len(frame) < count:
        warn(f"{count - len(frame)} of the {count} features of the {what} {path} have no polygon and are left out.")
    if frame.crs is None:
        warn(f"The {what} {path} has no reference system and is taken to be in that of the raster.")
    return frame.reset_index(drop=True)


def layers_of(path: str | os.PathLike) -> list[str]:
    """The names of the layers with geometry in a vector file; none if GDAL cannot open it."""
    try:
        return [name for name, kind in pyogrio.list_layers(_for_gdal(str(path))) if kind is not None]
    except (DataSourceError, OSError):
        return []


def layer_name(name: str) -> str:
    """A name as GeoPackages allow it for a layer, without some signs and beginnings."""
    name = NOT_FIRST_IN_LAYERS.sub("", name)
    return f"layer_{name}" if not name or name.lower().startswith(TAKEN_BEGINNINGS) else name


def parts_of_polygons(frame: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Features in two dimensions, each part of a multipolygon as one of its own."""
    frame = frame.explode(ignore_index=True)
    frame = frame[shapely.get_dimensions(frame.geometry.to_numpy()) == 2].reset_index(drop=True)
    return frame.set_geometry(frame.geometry.force_2d())


def class_name(value: object) -> str:
    """The name of a class from the value of a field: one that can name a folder too; empty if there is none."""
    if pandas.isna(value):
        return ""
    is_whole = isinstance(value, float) and value.is_integer()  # of whole numbers, if one of them is missing
    text = str(int(value)) if is_whole else str(value)
    return fitting_file_name(text)


def name_without_blanks(name: str) -> str:
    """The name of a class where blanks separate fields, as in DOTA's format."""
    return "-".join(name.split())


def _split(path: str, what: str) -> tuple[str, str | None]:
    """The path of a file and the name of the layer to read, None for the only one."""
    file, named, layer = path.partition(LAYER)
    if named:
        return file, layer
    layers = layers_of(path)
    if len(layers) > 1:
        raise InputError(
            f"The {what} {path} holds the layers {', '.join(layers)}; name one of them: {path}{LAYER}{layers[0]}"
        )
    return path, layers[0] if layers else None


def _with_exact_numbers(frame: pandas.DataFrame, path: str, layer: str | None) -> pandas.DataFrame:
    """Whole numbers and truth values, which are read as float64 where one is missing, as what they are.

    Args:
        frame: features of the file by their number in it.
        path: of the file.
        layer: of the file.
    """
    info = pyogrio.read_info(path, layer=layer)
    exact = {}
    for name, kind in zip(info["fields"], info["dtypes"], strict=True):
        nullable = NULLABLE.get(kind)
        if nullable and name in frame.columns and frame[name].dtype.kind == "f":
            there = pyogrio.read_dataframe(
                path, layer=layer, columns=[name], where=f'"{name}" IS NOT NULL', fid_as_index=True, read_geometry=False
            )
            exact[name] = there[name].astype(nullable).reindex(frame.index)
    return frame.assign(**exact)


def _for_gdal(path: str) -> str:
    """A path as GDAL takes it: pyogrio takes some signs that names may have as its own, but in no path of GDAL's."""
    return f"/vsisubfile/0,{path}" if SIGNS_OF_PYOGRIO.search(path) and not path.startswith("/vsi") else path


def in_system_of(grid: WorkingGrid, geometry: geopandas.GeoSeries) -> geopandas.GeoSeries:
    """Geometries in the reference system of a grid; those without one are taken to be in it.

    Raises:
        InputError: there is no way between the reference systems.
    """
    if grid.crs is None or geometry.crs is None or geometry.crs == grid.reference_system:
        return geometry
    try:
        return geometry.to_crs(grid.reference_system)
    except ProjError as error:
        raise InputError(
            f"There is no way from {geometry.crs.name} to {grid.reference_system.name}; bring polygons and raster "
            "into one reference system."
        ) from error


def near_the_grid(geometry: geopandas.GeoSeries, grid: WorkingGrid) -> geopandas.GeoSeries:
    """Polygons that reach beyond the grid's surroundings are cut there, as far as these are known.

    Corners far away may have no place in a projected system, and sides of half a continent lie elsewhere in it.
    """
    if grid.full_turn or grid.crs is None or geometry.crs is None:
        return geometry
    around = surroundings(grid, geometry.crs)
    if around is None:
        return geometry
    polygons = geometry.to_numpy(copy=True)
    beyond = ~shapely.contains_properly(shapely.box(*around), shapely.box(*shapely.bounds(polygons).T))
    polygons[beyond] = shapely.clip_by_rect(shapely.make_valid(polygons[beyond]), *around)
    return geopandas.GeoSeries(polygons, index=geometry.index, crs=geometry.crs)


def polygons_on_grid(geometry: geopandas.GeoSeries, grid: WorkingGrid) -> np.ndarray:
    """Shapely geometries (n,) in working pixels.

    What has no place in the grid's reference system gets infinite coordinates. Longitudes are taken for those nearest
    to the grid, so that polygons may lie across the antimeridian but not around half the Earth.

    Raises:
        InputError: as ``in_system_of``.
    """
    geometry = in_system_of(grid, near_the_grid(geometry, grid))
    to_pixels = ~grid.to_ground

    def place(points: np.ndarray) -> np.ndarray:
        pixels = np.stack(to_pixels @ (grid.turned_near(points[:, 0]), points[:, 1]), axis=1)
        return np.where(np.isfinite(pixels).all(axis=1, keepdims=True), pixels, np.inf)  # NaN would open a ring

    with np.errstate(invalid="ignore"):
        return shapely.transform(geometry.to_numpy(), place)
