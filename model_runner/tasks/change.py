# SPDX-License-Identifier: GPL-2.0-or-later
"""Find what changed between two rasters of one place and write it as a raster, with outlines."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from model_runner.contract.messages import Finished
from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import ChangeRequest
from model_runner.features import regions_to_frame, write_vector
from model_runner.inference.changing import change_finder
from model_runner.inference.computing import choose_computer
from model_runner.inference.opening import open_pair_for_model
from model_runner.inference.placing import WorkingPixels
from model_runner.inference.probability_maps import map_probabilities
from model_runner.model_store.loaded import loaded_model
from model_runner.raster.areas import AreaTable
from model_runner.raster.geotiff import (
    NO_CLASS,
    GeoTiffWriter,
    class_numbers,
    probabilities,
    rounded_probabilities,
    writing_geotiff,
)
from model_runner.raster.regions import means_in_polygons, outline_regions
from model_runner.raster.working_grid import WorkingGrid
from model_runner.raster.writer import atomic, refuse_unwritable
from model_runner.report import Report
from model_runner.tasks.run_record import Run

UNCHANGED, CHANGED = 0, 1


def change(request: ChangeRequest, report: Report) -> Finished:
    """Compare two rasters with a model, tile by tile, and write the files that the request names and the run record.

    The results lie on the working grid of the earlier raster, over the extent of both. The raster of changes holds 0
    and 1, 255 where either date has no data; that of probability the probability of change, from 0 to 1, -1 there.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no file is left.
    """
    run = Run()
    files = {"changes": request.output, "probability": request.probability, "polygons": request.polygons}
    files = {name: path for name, path in files.items() if path}
    for path in files.values():
        refuse_unwritable(path)
    computer = choose_computer(request.compute, report)
    card, network = loaded_model(request.model, "change", computer.device)
    threshold = card.threshold if request.threshold is None else request.threshold
    with ExitStack() as opened:
        pair, figures = opened.enter_context(open_pair_for_model(request, card, report))
        outlines = opened.enter_context(atomic(request.polygons)) if request.polygons else None
        maps = _Maps(request, card, threshold, pair.grid, opened)
        pixels = WorkingPixels(maps.write)
        throughput = map_probabilities(
            pair,
            pair.grid,
            1,
            change_finder(network, card, computer, request.flips),
            card,
            computer,
            request.tiling,
            pixels.take,
            pixels.margin,
            report,
        )
        numbers = maps.numbers()
        if outlines is not None:
            report.check_cancelled()
            numbers["count"] = _write_outlines(outlines, request, card, maps, run.id)
        report.check_cancelled()
        rasters = pair.record()

    _tell_summary(numbers, maps.areas, report)
    numbers |= throughput.tile_counts
    return run.finish(
        request,
        card,
        computer,
        throughput,
        files,
        numbers,
        rasters=rasters,
        checks=asdict(figures),
        threshold=threshold,
    )


class _Maps:
    """The rasters of changes and, if it or polygons are wanted, of probability; and the table of areas."""

    def __init__(
        self, request: ChangeRequest, card: ModelCard, threshold: float, grid: WorkingGrid, opened: ExitStack
    ) -> None:
        self.grid = grid
        self.areas = AreaTable(grid, len(card.classes))
        self._threshold = threshold
        classes = class_numbers("change", [(each.name, each.colour) for each in card.classes])
        self.changes = opened.enter_context(writing_geotiff(request.output, grid, classes))
        self.probability: GeoTiffWriter | None = None
        meaning = probabilities("probability of change")
        if request.probability:
            self.probability = opened.enter_context(writing_geotiff(request.probability, grid, meaning))
        elif request.polygons:
            folder = Path(request.polygons).parent
            folder = opened.enter_context(TemporaryDirectory(prefix=".unfinished-", dir=folder))
            self.probability = GeoTiffWriter(Path(folder) / "probability.tif", request.polygons, grid, meaning)
            opened.callback(self.probability.close)

    def write(self, x: int, y: int, probability: np.ndarray, valid: np.ndarray) -> None:
        """Write a window from probabilities of change (1, h, w) and which pixels (h, w) have data."""
        changes = np.where(valid, probability[0] >= self._threshold, NO_CLASS).astype(np.uint8)
        self.changes.write(x, y, changes)
        self.areas.add(x, y, changes)
        if self.probability is not None:
            self.probability.write(x, y, rounded_probabilities(probability[0], valid))

    def numbers(self) -> dict[str, float]:
        """What of the ground has changed: square metres, pixels and share of what has data at both dates."""
        area, total = self.areas.areas[CHANGED], self.areas.areas.sum()
        return {
            "area_m2_changed": round(float(area), 3),
            "pixels_changed": int(self.areas.pixels[CHANGED]),
            "share_changed": round(float(area / total), 6) if total else 0.0,
        }


def _write_outlines(path: Path, request: ChangeRequest, card: ModelCard, maps: _Maps, run_id: str) -> int:
    """Write the polygons and tell how many there are."""
    with maps.changes.reading_back() as dataset:
        regions = outline_regions(dataset, maps.grid, **asdict(request.outlines), left_out=(UNCHANGED,))
    with maps.probability.reading_back() as dataset:
        means = means_in_polygons(dataset, regions.polygons)
    frame = regions_to_frame(regions.polygons, regions.numbers, maps.grid, card.class_names, card.id, run_id)
    frame = frame.drop(columns=["class_id", "class_name"])
    frame.insert(1, "mean_probability", means)
    write_vector(path, frame, Path(request.polygons).stem)
    return len(frame)


def _tell_summary(numbers: dict[str, float], table: AreaTable, report: Report) -> None:
    """What has changed, in a line."""
    if not table.pixels.sum():
        report.log("warning", "No pixel has data at both dates.")
    else:
        report.log("info", f"Changed: {numbers['share_changed']:.1%} of the ground.")
