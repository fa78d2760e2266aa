# SPDX-License-Identifier: GPL-2.0-or-later
"""Models measured on a whole raster, against a reference layer."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
import shapely
import torch
from rasterio.windows import Window
from torch import Tensor, nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import ChangeRequest, EvaluateRequest
from model_runner.contract.task_requests import RasterSource as SourceRequest
from model_runner.errors import InputError
from model_runner.evaluation.maps import OUTCOME_NUMBERS, MapTally
from model_runner.evaluation.measured import Measured
from model_runner.evaluation.objects import Errors, ObjectTally, Truth
from model_runner.evaluation.reference import open_reference_map, read_labelled
from model_runner.evaluation.scenes import SceneTally
from model_runner.features import write_vector, zones_to_frame
from model_runner.inference.changing import find_changes, likely_changes
from model_runner.inference.computing import Computer
from model_runner.inference.detecting import find_objects
from model_runner.inference.detections import Detections
from model_runner.inference.opening import open_at, open_for_model, open_pair_for_model
from model_runner.inference.placing import WorkingPixels
from model_runner.inference.scenes import RasterScenes, classify_scenes, warn_of_scale
from model_runner.inference.segmenting import find_classes, likeliest_classes
from model_runner.raster.geotiff import NO_CLASS, GeoTiffWriter, class_numbers, writing_one_geotiff
from model_runner.raster.pixels import split_window
from model_runner.raster.scenes import Scene, square_scenes
from model_runner.raster.source import RasterSource, TileInput
from model_runner.raster.tiling import Tile
from model_runner.raster.working_grid import WorkingGrid
from model_runner.report import Report
from model_runner.reports.examples import Gallery
from model_runner.rotated_boxes.geometry import minimum_area_boxes
from model_runner.tasks.class_maps import Decide
from model_runner.tasks.evaluate.maps import measured_change, measured_segmentation
from model_runner.tasks.evaluate.objects import LAYER, collector_of, measured_objects, thresholds
from model_runner.tasks.evaluate.scenes import measured_scenes

WINDOW = 512  # side, in working pixels, of what is compared and shown at once
FOUND, OUTCOMES = "found.tif", "outcomes.tif"


def measure_raster_objects(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, folder: Path, report: Report
) -> Measured:
    """Objects of a raster against polygons, of which the smallest rectangle counts.

    Objects whose centre has no data, or lies outside the area that counts, are neither labelled nor found.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    lowest, shown = thresholds(request, card)
    with open_for_model(_source(request), card, report) as source:
        labelled = read_labelled(request, card, source.grid, report).placed
        collector = collector_of(request, card)
        found, _ = find_objects(source, network, card, computer, request.tiling, collector, report)
        boxes = _smallest_boxes(labelled.polygons)
        windows = _windows(source.grid)
        counts = _centres_with_data(source, boxes, windows)
        numbers = torch.from_numpy(labelled.numbers)
        truth = Truth(boxes[counts], numbers[counts], torch.zeros(int(counts.sum()), dtype=torch.bool))
        name = Path(request.data).name
        tally = ObjectTally(card, request.iou, shown, Gallery())
        errors = tally.add(name, found, truth, source.grid)
        for window in windows:
            report.check_cancelled()
            in_window = [_centres_within(each.boxes, window) for each in (found, truth)]
            if any(each.any() for each in in_window):
                tally.offer(f"{name}, {_told(window)}", *_part(source, window, found, truth, errors, *in_window))
    return measured_objects(tally, lowest, folder)


def measure_raster_segmentation(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, folder: Path, report: Report
) -> Measured:
    """Classes of a raster's pixels against polygons or a raster of classes; at the resolution at which it works.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    with open_for_model(_source(request), card, report) as source:
        with _writing_found(folder, source.grid, card, report) as written:
            pixels = WorkingPixels(partial(_write, written, likeliest_classes))
            find_classes(
                source, network, card, computer, request.tiling, request.flips, pixels.take, pixels.margin, report
            )
        tally = _compare(request, card, source.grid, folder, lambda tile: [_shown(source.read(tile))], report)
    return measured_segmentation(tally, card, {}, {"found": FOUND, "outcomes": OUTCOMES})


def measure_raster_change(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, folder: Path, report: Report
) -> Measured:
    """Changes between two rasters against polygons of changes, or a raster of them.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    threshold = card.threshold if request.threshold is None else request.threshold
    wanted = ChangeRequest(
        _source(request),
        request.after,
        str(folder / FOUND),
        request.model,
        request.after_bands,
        match_colours=request.match_colours,
    )
    with open_pair_for_model(wanted, card, report) as (pair, _):
        with _writing_found(folder, pair.grid, card, report) as written:
            pixels = WorkingPixels(partial(_write, written, partial(likely_changes, threshold)))
            find_changes(
                pair, network, card, computer, request.tiling, request.flips, pixels.take, pixels.margin, report
            )
        tally = _compare(request, card, pair.grid, folder, lambda tile: _both_dates(pair.read(tile)), report)
    return measured_change(tally, card, {"threshold": threshold}, {"found": FOUND, "outcomes": OUTCOMES})


def measure_raster_scenes(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, folder: Path, report: Report
) -> Measured:
    """Kinds of scenes against polygons, each of which is one.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    with open_at(_source(request), card, None, report) as source:
        features, labelled = read_labelled(request, card, source.grid, report)
        boxes = shapely.bounds(labelled.polygons)
        scenes = square_scenes(source.grid, boxes, np.arange(len(boxes)))
        warn_of_scale(scenes, source.grid, card, report)
        reader = RasterScenes(source, card.tile_size)
        found, _ = classify_scenes(reader, scenes, network, card, computer, len(card.classes), request.flips, report)
        if not len(found.numbers):
            raise InputError(f"None of the {len(scenes)} polygons of {request.reference} has data under it.")
        tally = SceneTally(card, Gallery())
        for number, classes, values in zip(*found, strict=True):
            probabilities = torch.zeros(len(card.classes)).scatter(
                0, torch.from_numpy(classes), torch.from_numpy(values).float()
            )
            read = partial(_scene_picture, reader, scenes[number])
            tally.add(f"polygon {number + 1}", probabilities, int(labelled.numbers[number]), read)
    likeliest, right = found.labels[:, 0], found.labels[:, 0] == labelled.numbers[found.numbers]
    names = np.array(card.class_names, dtype=object)
    columns = {
        "outcome": np.where(right, "true", "false").astype(object),
        "found_class": names[likeliest],
        "labelled_class": names[labelled.numbers[found.numbers]],
        "probability": found.probabilities[:, 0],
    }
    write_vector(folder / LAYER, zones_to_frame(features.iloc[found.numbers], columns), "outcomes")
    return measured_scenes(tally, card, {"outcomes": LAYER})


def _source(request: EvaluateRequest) -> SourceRequest:
    return SourceRequest(
        request.data, request.bands, request.extent, request.extent_crs, request.area, request.resolution
    )


def _writing_found(
    folder: Path, grid: WorkingGrid, card: ModelCard, report: Report
) -> AbstractContextManager[GeoTiffWriter]:
    meaning = class_numbers("class", [(each.name, each.colour) for each in card.classes])
    return writing_one_geotiff(folder / FOUND, grid, meaning, report.check_cancelled)


def _write(
    written: GeoTiffWriter, decide: Decide, x: int, y: int, probabilities: np.ndarray, valid: np.ndarray
) -> None:
    """Write a window of class numbers, decided as the tasks do."""
    written.write(x, y, np.where(valid, decide(probabilities)[0], NO_CLASS).astype(np.uint8))


def _compare(
    request: EvaluateRequest,
    card: ModelCard,
    grid: WorkingGrid,
    folder: Path,
    read: Callable[[Tile], list[np.ndarray]],
    report: Report,
) -> MapTally:
    """Tally what was found against the reference, window by window, and write the outcomes."""
    with (
        rasterio.open(folder / FOUND) as found,
        open_reference_map(request, card, grid, report) as reference,
        writing_one_geotiff(folder / OUTCOMES, grid, OUTCOME_NUMBERS, report.check_cancelled) as outcomes,
    ):
        tally = MapTally(card, reference.background, Gallery())
        windows = _windows(grid)
        for number, tile in enumerate(windows):
            report.check_cancelled()
            report.progress("comparing", number, len(windows))
            numbers = found.read(1, window=Window(tile.x, tile.y, tile.width, tile.height))
            labels = reference.read(tile.x, tile.y, tile.width, tile.height)
            labels = np.where(numbers == NO_CLASS, NO_CLASS, labels)
            compared = tally.add(_told(tile), *map(torch.from_numpy, (numbers, labels)), partial(read, tile))
            outcomes.write(tile.x, tile.y, compared)
        report.progress("comparing", len(windows), len(windows))
    if not tally.confusion.sum():
        raise InputError(f"No pixel of {request.data} has both data and a label of {request.reference}.")
    return tally


def _windows(grid: WorkingGrid) -> list[Tile]:
    """Windows that cover a grid once."""
    return [
        Tile(0, 0, window.col_off, window.row_off, window.width, window.height, False, False, False, False)
        for window in split_window(Window(0, 0, grid.width, grid.height), WINDOW)
    ]


def _told(window: Tile) -> str:
    return f"from column {window.x}, row {window.y}"


def _smallest_boxes(polygons: np.ndarray) -> Tensor:
    """The smallest rectangles (n, 5) around polygons."""
    corners = [shapely.get_coordinates(each)[:4] for each in shapely.oriented_envelope(polygons)]
    return minimum_area_boxes(torch.from_numpy(np.array(corners).reshape(-1, 4, 2)))


def _centres_within(boxes: Tensor, window: Tile) -> Tensor:
    """Which boxes (n, 5) have their centre in a window, bool (n,)."""
    x, y = boxes[:, 0] - window.x, boxes[:, 1] - window.y
    return (x >= 0) & (y >= 0) & (x < window.width) & (y < window.height)


def _centres_with_data(source: RasterSource, boxes: Tensor, windows: list[Tile]) -> Tensor:
    """Which boxes (n, 5) have data under their centre, bool (n,)."""
    counts = torch.zeros(len(boxes), dtype=torch.bool)
    for window in windows:
        inside = _centres_within(boxes, window)
        if inside.any():
            valid = torch.from_numpy(source.read(window).valid)
            column, row = (boxes[inside, :2] - torch.tensor([window.x, window.y])).long().unbind(1)
            counts[inside] = valid[row, column]
    return counts


def _part(
    source: RasterSource,
    window: Tile,
    found: Detections,
    truth: Truth,
    errors: Errors,
    found_inside: Tensor,
    truth_inside: Tensor,
) -> tuple[Callable[[], np.ndarray], Detections, Truth, Errors]:
    """What lies in a window, in its pixels."""
    offset = torch.tensor([window.x, window.y, 0, 0, 0], dtype=torch.float64)
    detections, labelled = found.only(found_inside), Truth(*(each[truth_inside] for each in truth))
    return (
        lambda: _shown(source.read(window)),
        detections._replace(boxes=detections.boxes - offset),
        labelled._replace(boxes=labelled.boxes - offset),
        Errors(errors.right[found_inside], errors.false[found_inside], errors.missed[truth_inside]),
    )


def _scene_picture(reader: RasterScenes, scene: Scene) -> np.ndarray:
    return _shown(reader.read(scene))


def _both_dates(pair: tuple[TileInput, TileInput]) -> list[np.ndarray]:
    return [_shown(date) for date in pair]


def _shown(tile: TileInput) -> np.ndarray:
    """A tile's first three bands as a picture uint8 (h, w, 3); of fewer bands the first one in grey."""
    pixels = tile.pixels if len(tile.pixels) >= 3 else tile.pixels[:1].repeat(3, axis=0)
    return np.clip(np.rint(pixels[:3]), 0, 255).astype(np.uint8).transpose(1, 2, 0)
