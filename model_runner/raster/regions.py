# SPDX-License-Identifier: GPL-2.0-or-later
"""Regions of equal numbers in a raster become polygons.

GDAL goes through the raster row by row: memory grows with the number and the detail of the regions, not with the
pixels. Polygons are in pixels of the raster: x right, y down, (0, 0) the top-left corner of the first pixel.
"""

from typing import NamedTuple

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio import DatasetReader
from rasterio.features import rasterize, shapes
from rasterio.windows import Window

from model_runner.raster.areas import areas_of_pixels
from model_runner.raster.pixels import split_window
from model_runner.raster.working_grid import WorkingGrid

WINDOW = 2048  # side, in pixels, of what is read at once


class Regions(NamedTuple):
    """Shapely polygons (n,) in pixels, and the number (n,) that each region's pixels have."""

    polygons: np.ndarray
    numbers: np.ndarray

    def only(self, index: np.ndarray) -> "Regions":
        """The regions of a boolean mask."""
        return Regions(self.polygons[index], self.numbers[index])


def outline_regions(
    dataset: DatasetReader,
    grid: WorkingGrid,
    *,
    minimum_area: float = 0.0,
    fill_holes: float = 0.0,
    simplify: float = 0.0,
    left_out: tuple[int, ...] = (),
) -> Regions:
    """The regions of pixels that touch along a side and have the same number, without those that have no data.

    Neighbours are simplified together, so that no gaps open between them, and hardly an overlap (GEOS lets the corner
    of a region cross the edge of the one around it now and then, by less than a pixel). What lies in a hole that is
    filled is dropped.

    Args:
        dataset: raster of whole numbers.
        grid: its grid.
        minimum_area: regions below so many square metres (without reference system: pixels) are dropped.
        fill_holes: holes up to this area are filled.
        simplify: side, in metres, of the squares as large as the corners that may be cut off.
        left_out: numbers whose regions are not wanted.
    """
    unwanted = {dataset.nodata, *left_out}
    found = [(_polygon(shape), number) for shape, number in shapes(rasterio.band(dataset, 1)) if number not in unwanted]
    polygons = np.array([polygon for polygon, _ in found], dtype=object)
    to_pixels = ~dataset.transform  # GDAL tells the dataset's coordinates
    polygons = shapely.transform(polygons, lambda points: np.rint(np.stack(to_pixels @ tuple(points.T), axis=1)))
    regions = Regions(polygons, np.array([number for _, number in found], dtype=np.int64))
    if fill_holes and len(found):
        regions = _without_holes(regions, grid, fill_holes)
    if minimum_area:
        regions = regions.only(_ground_areas(regions.polygons, grid) >= minimum_area)
    if simplify and len(regions.polygons):
        regions = regions._replace(polygons=_simplified(regions.polygons, grid, simplify))
    return _single_polygons(regions)


def means_in_polygons(dataset: DatasetReader, polygons: np.ndarray) -> np.ndarray:
    """Means (n,) of a raster's values whose pixels' centres lie in shapely polygons (n,) in its pixels.

    Pixels without data do not count. A polygon without a centre in it has the value of the pixel that it lies on.
    """
    sums, counts = np.zeros(len(polygons)), np.zeros(len(polygons))
    index = shapely.STRtree(polygons)
    for window in split_window(Window(0, 0, dataset.width, dataset.height), WINDOW):
        left, top = window.col_off, window.row_off
        right, bottom = left + window.width, top + window.height
        near = index.query(shapely.box(left, top, right, bottom), predicate="intersects")
        parts = shapely.clip_by_rect(polygons[near], left - 1, top - 1, right + 1, bottom + 1)
        inside = [(part, number) for part, number in zip(parts, near + 1, strict=True) if not part.is_empty]
        if not inside:
            continue
        values = dataset.read(1, window=window)
        shape, transform = values.shape, Affine.translation(left, top)
        numbers = rasterize(inside, shape, transform=transform, dtype=np.int32)
        counted = (numbers > 0) & (values != dataset.nodata)
        of_polygon = numbers[counted] - 1
        sums += np.bincount(of_polygon, values[counted], len(polygons))
        counts += np.bincount(of_polygon, minlength=len(polygons))
    for number in np.flatnonzero(counts == 0):
        column, row = (int(each) for each in shapely.get_coordinates(polygons[number].representative_point())[0])
        sums[number], counts[number] = dataset.read(1, window=Window(column, row, 1, 1)).item(), 1
    return sums / counts


def _polygon(shape: dict) -> shapely.Polygon:
    outline, *holes = shape["coordinates"]
    return shapely.Polygon(outline, holes)


def _ground_areas(polygons: np.ndarray, grid: WorkingGrid) -> np.ndarray:
    """Areas (n,) by the pixels under each polygon's centre, to decide by."""
    if not len(polygons):
        return np.zeros(0)
    return shapely.area(polygons) * areas_of_pixels(grid, shapely.get_coordinates(shapely.centroid(polygons)))


def _without_holes(regions: Regions, grid: WorkingGrid, largest: float) -> Regions:
    """Holes up to an area are filled, and the regions in them dropped."""
    rings, owners = shapely.get_rings(regions.polygons, return_index=True)
    is_hole = np.diff(owners, prepend=-1) == 0
    holes = shapely.polygons(rings[is_hole])
    is_filled = np.zeros(len(rings), dtype=bool)
    is_filled[is_hole] = _ground_areas(holes, grid) <= largest
    filled = shapely.STRtree(shapely.polygons(rings[is_filled]))
    dropped, _ = filled.query(shapely.point_on_surface(regions.polygons), predicate="within")
    polygons = shapely.polygons(rings[~is_filled], indices=owners[~is_filled])
    is_kept = np.ones(len(polygons), dtype=bool)
    is_kept[dropped] = False
    return Regions(polygons, regions.numbers).only(is_kept)


def _simplified(polygons: np.ndarray, grid: WorkingGrid, metres: float) -> np.ndarray:
    sides = np.array(grid.metres_along_axes_at(grid.width / 2, grid.height / 2) or (1, 1))
    shared = share_corners(polygons)
    simple = shapely.coverage_simplify(shapely.transform(shared, lambda points: points * sides), metres)
    return shapely.transform(simple, lambda points: points / sides)


def _single_polygons(regions: Regions) -> Regions:
    """Valid polygons of one part each."""
    parts, index = shapely.get_parts(shapely.make_valid(regions.polygons), return_index=True)
    is_area = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    return Regions(parts[is_area], regions.numbers[index[is_area]])


def share_corners(polygons: np.ndarray) -> np.ndarray:
    """Polygons along pixels' sides, with every corner of a neighbour that lies on a side made a corner of it.

    Simplification keeps sides together only where both neighbours have the same corners.
    """
    kind, points, (ring_ends, polygon_ends) = shapely.to_ragged_array(polygons)
    x, y = points.astype(np.int64).T
    starts_side = np.ones(len(points), dtype=bool)
    starts_side[ring_ends[1:] - 1] = False
    inserted = np.zeros(len(points), dtype=np.int64)
    corners = [None] * 2
    for axis, (along, across) in enumerate(((x, y), (y, x))):
        stride = along.max() + 1
        keys = across * stride + along
        known = np.unique(keys)
        on_axis = np.flatnonzero(starts_side[:-1] & (across[:-1] == across[1:]) & (along[:-1] != along[1:]))
        begin, end = keys[on_axis], keys[on_axis + 1]
        first = np.searchsorted(known, np.minimum(begin, end), side="right")
        inserted[on_axis] = np.searchsorted(known, np.maximum(begin, end), side="left") - first
        corners[axis] = (on_axis, known, stride, first, begin < end)
    places = np.arange(len(points)) + np.concatenate([[0], np.cumsum(inserted)[:-1]])
    enriched = np.empty((len(points) + inserted.sum(), 2))
    enriched[places] = points
    for axis, (on_axis, known, stride, first, forwards) in enumerate(corners):
        counts = inserted[on_axis]
        side = np.repeat(np.arange(len(on_axis)), counts)
        step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        within = np.where(forwards[side], step, counts[side] - 1 - step)
        across, along = np.divmod(known[first[side] + within], stride)
        place = places[on_axis][side] + 1 + step
        enriched[place] = np.stack((along, across) if axis == 0 else (across, along), axis=1)
    ends = np.concatenate([[0], np.cumsum(inserted + 1)])
    return shapely.from_ragged_array(kind, enriched, (ends[ring_ends], polygon_ends))
