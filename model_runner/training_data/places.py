# SPDX-License-Identifier: GPL-2.0-or-later
"""The rasters that chips are cut from, at one date or at two, with their polygons."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from model_runner.contract.data_requests import ExportDataRequest
from model_runner.raster.overlap import NamedGrid
from model_runner.raster.pair import RasterPair, pair_on_first_grid
from model_runner.raster.pair_checks import check_pair, sample_pair
from model_runner.raster.placed_polygons import PlacedPolygons
from model_runner.raster.scenes import Scene
from model_runner.raster.source import RasterSource, open_source
from model_runner.raster.working_grid import WorkingGrid
from model_runner.training_data.chips import Chip
from model_runner.training_data.label_layer import LabelLayer
from model_runner.training_data.labels import Dates

COLOUR_BANDS = 3


@dataclass(frozen=True)
class Place:
    """A raster, or two of one place, with the polygons on it.

    Attributes:
        number: its place in the request.
        name: what its chips' names begin with.
        rasters: what is read.
        labels: the polygons that touch it.
        area: polygons outside of which nothing counts, or None.
    """

    number: int
    name: str
    rasters: RasterSource | RasterPair
    labels: PlacedPolygons
    area: PlacedPolygons | None

    @property
    def grid(self) -> WorkingGrid:
        """The working grid."""
        return self.rasters.grid

    def inside(self, chip: Chip) -> np.ndarray:
        """Which pixels (side, side) of a chip lie on the raster and in the area of interest."""
        centres = (np.arange(chip.side) + 0.5) / chip.side
        across, down = chip.x + centres * chip.width, chip.y + centres * chip.height
        inside = ((down >= 0) & (down < self.grid.height))[:, None] & ((across >= 0) & (across < self.grid.width))
        if self.area is None:
            return inside
        return inside & (self.area.burn(chip.window, (chip.side, chip.side), np.ones(len(self.area.rows)), 0) > 0)

    def has_data(self, chip: Chip) -> bool:
        """Whether a chip may have data; False is certain.

        Raises:
            UnreadableRaster: a file is damaged.
        """
        if chip.row is not None:
            return self.rasters.scene_has_data(Scene(0, *chip.window), chip.side)
        return self.rasters.has_data(chip.tile)

    def read(self, chip: Chip) -> Dates:
        """The pixels of a chip, uint8, 0 where there is no data.

        Raises:
            UnreadableRaster: a file is damaged.
        """
        if chip.row is not None:
            seen = (self.rasters.read_scene(Scene(0, *chip.window), chip.side),)
        else:
            read = self.rasters.read(chip.tile)
            seen = (read.before, read.after) if isinstance(self.rasters, RasterPair) else (read,)
        pixels = np.stack([np.rint(each.pixels).clip(0, 255).astype(np.uint8) for each in seen])
        return Dates(pixels, seen[0].valid, self._band_names)

    @property
    def _band_names(self) -> tuple[str, ...]:
        return (self.rasters.before if isinstance(self.rasters, RasterPair) else self.rasters).band_names

    def record(self) -> dict[str, Any]:
        """What the dataset's record says of the rasters: plain values for JSON."""
        return self.rasters.record()


def open_places(
    request: ExportDataRequest,
    labels: LabelLayer,
    area: LabelLayer | None,
    opened: ExitStack,
    warn: Callable[[str], None],
) -> list[Place]:
    """The rasters of a request; those that lie outside of the area of interest are told and left out.

    So are those that no label touches where there is no such area: they are more likely forgotten than empty.

    Args:
        request: names them.
        labels: the polygons to learn from.
        area: polygons outside of which nothing counts, or None.
        opened: closes the files.
        warn: is told what the user should know.

    Raises:
        InputError: bands, extent or resolution do not fit a raster, or two dates do not fit together.
        UnreadableRaster: GDAL cannot read it.
    """
    places = []
    names = _names(request.rasters)
    for number, path in enumerate(request.rasters):
        rasters = _open(request, path, request.after[number] if request.after else None, opened, warn)
        placed = labels.on_grid(rasters.grid)
        area_here = None if area is None else area.on_grid(rasters.grid)
        if area_here is not None and not len(area_here.rows):
            warn(f"{path} lies outside of the area of interest and is left out.")
            continue
        if area is None and not len(placed.rows):
            warn(
                f"No polygon of the label layer touches {path}, which is left out; name an area of interest to use it."
            )
            continue
        places.append(Place(number, names[number], rasters, placed, area_here))
    return places


def _open(
    request: ExportDataRequest, path: str, after_path: str | None, opened: ExitStack, warn: Callable[[str], None]
) -> RasterSource | RasterPair:
    source = request.source(path)
    band_count = len(request.bands) or COLOUR_BANDS
    within: NamedGrid | None = None
    if after_path is not None:
        after = opened.enter_context(open_source(after_path, band_count=band_count, bands=request.bands))
        _tell(after.warnings, warn)
        within = after.native
    before_at = partial(
        open_source,
        path,
        band_count=band_count,
        bands=source.bands,
        extent=source.extent,
        extent_crs=source.extent_crs,
        within=within,
    )
    before = opened.enter_context(before_at(resolution=source.resolution))
    _tell(before.warnings, warn)
    sides = before.grid.oblong_sides
    if sides is not None and source.resolution is None:  # as the model will see rasters when it is used
        warn(f"The pixels of {path} measure {sides[0]:.3g} x {sides[1]:.3g} m; in chips they are squares.")
        before = opened.enter_context(before_at(resolution=max(sides)))
    if after_path is None:
        return before
    pair = pair_on_first_grid(before, after)
    _tell(check_pair(pair, sample_pair(pair), False).warnings, warn)
    return pair


def _tell(warnings: Sequence[str], warn: Callable[[str], None]) -> None:
    for warning in warnings:
        warn(warning)


def _names(paths: Sequence[str]) -> list[str]:
    """The rasters' names without suffix and blanks, with their numbers if two are alike, on any system."""
    stems = ["_".join(Path(path).stem.split()) or "raster" for path in paths]
    if len({stem.casefold() for stem in stems}) == len(stems):
        return stems
    return [f"{stem}-{number}" for number, stem in enumerate(stems, 1)]
