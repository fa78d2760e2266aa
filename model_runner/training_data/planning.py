# SPDX-License-Identifier: GPL-2.0-or-later
"""Which chips are cut, and for which split."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import geopandas
import numpy as np
import shapely
from pyproj.exceptions import ProjError

from model_runner.contract.data_requests import FROM_POLYGONS, ExportDataRequest
from model_runner.errors import InputError
from model_runner.raster.scenes import square_scenes
from model_runner.raster.working_grid import WorkingGrid
from model_runner.training_data.chips import (
    Blocks,
    Chip,
    block_side,
    chips_of_scenes,
    choose_block,
    cut_blocks,
    plan_chips,
)
from model_runner.training_data.labelling import Labeller
from model_runner.training_data.places import Place
from model_runner.training_data.splitting import SPLITS, join_blocks, split_units, without_common_ground

FAR_AWAY = 1e9  # further than any reference system counts


@dataclass(frozen=True)
class PlannedChip:
    """A chip and its split; whether it is empty by what the polygons say."""

    chip: Chip
    split: str
    is_empty: bool


@dataclass(frozen=True)
class Plan:
    """What shall be cut.

    Attributes:
        chips: by raster and row.
        block: side of a block in chips.
        without_label: how many chips are left out as they are neither labelled nor background.
        without_data: how many have no data.
        on_common_ground: how many share ground with one of another split.
    """

    chips: list[PlannedChip]
    block: int
    without_label: int
    without_data: int
    on_common_ground: int


def make_plan(request: ExportDataRequest, places: Sequence[Place], labellers: Sequence[Labeller]) -> Plan:
    """The chips of all rasters, each in a split.

    Raises:
        InputError: no chip has a label, or rasters lie in reference systems without a way between them.
        UnreadableRaster: a raster is damaged.
    """
    block, cut = _cut(request, places)
    by_number = {place.number: (place, labeller) for place, labeller in zip(places, labellers, strict=True)}
    chips, counts, empty, left_out = [], [], [], Counter()
    for chip in (chip for _, of_place in cut for chip in of_place):
        place, labeller = by_number[chip.place]
        label = labeller.label(chip, place.inside(chip))
        if label is None or not place.has_data(chip):
            left_out["label" if label is None else "data"] += 1
            continue
        chips.append(chip)
        counts.append(label.foreground)
        empty.append(label.is_empty)
    if all(empty):
        raise InputError(
            "No chip would show a label: the polygons lie beside the rasters, or beside their data. Check the "
            "reference system of the label layer."
        )
    frame = _common_frame(places)
    outlines, footprints = {}, np.empty(len(chips), dtype=object)
    for blocks, of_place in cut:
        for place in [by_number[chip.place][0] for chip in of_place[:1]]:
            names = list(dict.fromkeys(chip.block for chip in of_place))
            ground = [blocks.outline(column, row, place.grid) for _, column, row in names]
            outlines |= zip(names, _on_common_ground(ground, place, frame), strict=True)
            own = [number for number, chip in enumerate(chips) if chip.place == place.number]
            ground = [shapely.Polygon(chips[number].outline(place.grid)) for number in own]
            footprints[own] = _on_common_ground(ground, place, frame)
    units = join_blocks(outlines)
    generator = np.random.default_rng(request.seed)
    splits = _splits_of_chips(
        request, [units[chip.block] for chip in chips], _by_raster(np.array(counts), chips), generator
    )
    keep = without_common_ground(footprints, splits)
    planned = [
        PlannedChip(chip, SPLITS[split], is_empty)
        for chip, split, is_empty, is_kept in zip(chips, splits.tolist(), empty, keep.tolist(), strict=True)
        if is_kept
    ]
    return Plan(planned, block, left_out["label"], left_out["data"], int((~keep).sum()))


def _cut(request: ExportDataRequest, places: Sequence[Place]) -> tuple[int, list[tuple[Blocks, list[Chip]]]]:
    """The side of a block in chips, and the blocks and chips of each raster."""
    grids, centres = [place.grid for place in places], [place.labels.centres for place in places]
    if request.task == "classify" and request.scenes == FROM_POLYGONS:
        scenes = [
            square_scenes(place.grid, shapely.bounds(place.labels.polygons).reshape(-1, 4), place.labels.rows)
            for place in places
        ]
        widths = [max(each.width, each.height) for of_place in scenes for each in of_place]
        side = max(1, round(float(np.median(widths)))) if widths else request.chip_size
        block = choose_block(grids, centres, side, 0, request.block)
        cut = []
        for place, of_place in zip(places, scenes, strict=True):
            blocks = cut_blocks(place.grid, block_side(side, 0, block), side)
            cut.append((blocks, chips_of_scenes(place.number, blocks, of_place, place.labels.rows, request.chip_size)))
        return block, cut
    side, overlap = request.chip_size, request.overlap_of_chips()
    block = choose_block(grids, centres, side, overlap, request.block)
    cut = []
    for place in places:
        blocks = cut_blocks(place.grid, block_side(side, overlap, block), side)
        cut.append((blocks, plan_chips(place.number, blocks, side, overlap)))
    return block, cut


def _by_raster(counts: np.ndarray, chips: Sequence[Chip]) -> np.ndarray:
    """From counts (chips, classes) to (chips, rasters * classes), as if each raster had classes of its own.

    So every split gets its share of every raster: what is measured in one place says little of another.
    """
    _, rasters = np.unique([chip.block[0] for chip in chips], return_inverse=True)
    own = rasters[:, None] == np.arange(rasters.max() + 1)
    return (own[:, :, None] * counts[:, None]).reshape(len(chips), -1)


def _splits_of_chips(
    request: ExportDataRequest, units: list[int], counts: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The number of each chip's split (n,)."""
    _, unit_of_chip = np.unique(units, return_inverse=True)
    weights = np.zeros((unit_of_chip.max() + 1, counts.shape[1] + 1))
    np.add.at(weights, unit_of_chip, np.column_stack([counts, np.ones(len(counts))]))
    shares = (1 - request.val - request.test, request.val, request.test)
    return split_units(weights, shares, generator)[unit_of_chip]


def _common_frame(places: Sequence[Place]) -> WorkingGrid | None:
    """The grid of the first raster that has a reference system."""
    return next((place.grid for place in places if place.grid.crs is not None), None)


def _on_common_ground(polygons: list[shapely.Polygon], place: Place, frame: WorkingGrid | None) -> np.ndarray:
    """Polygons of the ground of one raster in the reference system of ``frame``.

    Rasters without reference system lie nowhere, far from each other.

    Raises:
        InputError: there is no way between the reference systems.
    """
    if place.grid.crs is None:
        return shapely.transform(np.array(polygons), lambda points: points + FAR_AWAY * (1 + place.number))
    if place.grid.reference_system == frame.reference_system:
        return np.array(polygons)
    ground = geopandas.GeoSeries(polygons, crs=place.grid.reference_system)
    try:
        return ground.to_crs(frame.reference_system).to_numpy()
    except ProjError as error:
        raise InputError(
            f"There is no way from {place.grid.system_name} to {frame.system_name}, so that nobody knows whether the "
            "rasters overlap; bring them into one reference system."
        ) from error
