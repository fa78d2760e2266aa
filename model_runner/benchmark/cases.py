# SPDX-License-Identifier: GPL-2.0-or-later
"""What each task is measured on: its default model, and the demo's image repeated at that model's resolution."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from torch import nn

from model_runner.contract.folders import PLUGIN_ROOT
from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import (
    ChangeRequest,
    ClassifyRequest,
    DetectRequest,
    RasterSource,
    SegmentRequest,
)
from model_runner.inference.changing import change_finder
from model_runner.inference.computing import Computer, tiles_for_model
from model_runner.inference.detections import detector
from model_runner.inference.opening import open_at, open_for_model, open_pair_for_model
from model_runner.inference.scenes import SCENES_FOR_A_TILE, RasterScenes, classifier, plan_grid
from model_runner.inference.segmenting import segmenter
from model_runner.raster.pair import PairInput
from model_runner.raster.source import TileInput
from model_runner.report import Report

DEMO = PLUGIN_ROOT / "resources" / "demo" / "airfield.tif"
BETWEEN_DATES = (0.3, 0.4)  # pixels, across and down, by which the grids of two dates differ
TOP = 3

Inputs = list[TileInput] | list[PairInput]
Predict = Callable[[Inputs], list[Any]]


@dataclass(frozen=True)
class Case:
    """A task on rasters of the demo's image.

    Attributes:
        tiles_across: columns and rows of tiles in the small raster; the large one has four times the rows.
        request: what is asked for, from the folder of the rasters and that of the results.
        read: all tiles of a request, as the task reads them.
        predictor: what predicts a batch of tiles, as the task's engine calls it.
        batches: tiles that are computed at once where detection computes one.
    """

    tiles_across: int
    request: Callable[[Path, Path], Any]
    read: Callable[[Any, ModelCard], Inputs]
    predictor: Callable[[nn.Module, ModelCard, Computer], Predict]
    batches: int = 1


def write_rasters(folder: Path, card: ModelCard, columns: int, rows: int) -> None:
    """Write ``before.tif`` and ``after.tif``, so many tiles of a model wide and high, at its best resolution.

    The later date is the earlier one upside down, on a grid that lies a fraction of a pixel away.
    """
    step = card.tile_size - card.overlap
    width, height = (card.overlap + count * step for count in (columns, rows))
    with rasterio.open(DEMO) as demo:
        image, profile = demo.read(), demo.profile
    repeats = (1, -(-height // image.shape[1]), -(-width // image.shape[2]))
    pixels = np.tile(image, repeats)[:, :height, :width]
    to_ground = Affine(
        card.resolution.best, 0, profile["transform"].c, 0, -card.resolution.best, profile["transform"].f
    )
    profile.update(width=width, height=height)
    for name, values, grid in (
        ("before.tif", pixels, to_ground),
        ("after.tif", pixels[:, ::-1], to_ground @ Affine.translation(*BETWEEN_DATES)),
    ):
        with rasterio.open(folder / name, "w", **{**profile, "transform": grid}) as raster:
            raster.write(values)


def _read_tiles(request: DetectRequest | SegmentRequest, card: ModelCard) -> Inputs:
    with open_for_model(request.source, card, Report()) as source:
        return [source.read(tile) for tile in tiles_for_model(source.grid, card, request.tiling)]


def _read_pair(request: ChangeRequest, card: ModelCard) -> Inputs:
    with open_pair_for_model(request, card, Report()) as (pair, _):
        return [pair.read(tile) for tile in tiles_for_model(pair.grid, card, request.tiling)]


def _read_scenes(request: ClassifyRequest, card: ModelCard) -> Inputs:
    with open_at(request.source, card, None, Report()) as source:
        scenes = RasterScenes(source, card.tile_size)
        return [scenes.read(scene) for scene in plan_grid(request, source.grid, card)]


def _source(rasters: Path) -> RasterSource:
    return RasterSource(str(rasters / "before.tif"))


CASES = {
    "detect": Case(
        tiles_across=3,
        request=lambda rasters, results: DetectRequest(_source(rasters), output=f"{results}/boxes.gpkg"),
        read=_read_tiles,
        predictor=lambda network, card, computer: detector(
            network, card, computer.device, computer.precision, card.threshold, card.merge_iou
        ),
    ),
    "segment": Case(
        tiles_across=8,
        request=lambda rasters, results: SegmentRequest(_source(rasters), output=f"{results}/classes.tif"),
        read=_read_tiles,
        predictor=partial(segmenter, flips=False),
    ),
    "change": Case(
        tiles_across=8,
        request=lambda rasters, results: ChangeRequest(
            _source(rasters), after=str(rasters / "after.tif"), output=f"{results}/change.tif"
        ),
        read=_read_pair,
        predictor=partial(change_finder, flips=False),
    ),
    "classify": Case(
        tiles_across=12,
        request=lambda rasters, results: ClassifyRequest(_source(rasters), output=f"{results}/scenes.gpkg", top=TOP),
        read=_read_scenes,
        predictor=partial(classifier, top=TOP, flips=False),
        batches=SCENES_FOR_A_TILE,
    ),
}
