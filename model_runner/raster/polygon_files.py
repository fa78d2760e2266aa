# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons that users bring: masks, zones and labels."""

import geopandas
import numpy as np
import shapely
from pyogrio.errors import DataSourceError

from model_runner.errors import InputError
from model_runner.raster.working_grid import WorkingGrid


def read_polygon_features(path: str, what: str, with_fields: bool, where: str | None = None) -> geopandas.GeoDataFrame:
    """The features of a vector file whose geometry is, or holds, a polygon.

    Args:
        path: vector file that GDAL can open.
        what: how the file is called in errors, "mask" for example.
        with_fields: whether their attributes are wanted.
        where: which features are wanted, as in SQL; None wants all.

    Raises:
        InputError: the file cannot be read or holds no polygon.
    """
    try:
        frame = geopandas.read_file(path, where=where, **({} if with_fields else {"columns": []}))
    except (DataSourceError, OSError, ValueError) as error:
        raise InputError(f"The {what} {path} cannot be read: {' '.join(str(error).split())}") from error
    if isinstance(frame, geopandas.GeoDataFrame):
        frame = frame[shapely.get_dimensions(frame.geometry.to_numpy()) == 2]
    if not isinstance(frame, geopandas.GeoDataFrame) or frame.empty:
        raise InputError(f"The {what} {path} holds no polygon{f' where {where}' if where else ''}.")
    return frame.reset_index(drop=True)


def polygons_on_grid(geometry: geopandas.GeoSeries, grid: WorkingGrid) -> np.ndarray:
    """Shapely geometries (n,) in working pixels.

    What has no place in the grid's reference system gets infinite coordinates. Geometries without reference system
    are taken to be in the grid's.
    """
    if grid.crs is not None and geometry.crs is not None and geometry.crs != grid.reference_system:
        geometry = geometry.to_crs(grid.reference_system)
    to_pixels = ~grid.to_ground
    with np.errstate(invalid="ignore"):
        return shapely.transform(
            geometry.to_numpy(), lambda points: np.stack(to_pixels @ (points[:, 0], points[:, 1]), axis=1)
        )
