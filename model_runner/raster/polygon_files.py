# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons that users bring: masks and zones."""

import geopandas
import shapely
from pyogrio.errors import DataSourceError

from model_runner.errors import InputError


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
