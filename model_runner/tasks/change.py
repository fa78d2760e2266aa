# SPDX-License-Identifier: GPL-2.0-or-later
"""Find what changed between two rasters of one place and write it as a raster, with outlines."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from model_runner.contract.messages import Finished
from model_runner.contract.model_card import ModelCard
from model_runner.contract.request_parts import refuse_shared_files
from model_runner.contract.task_requests import ChangeRequest
from model_runner.features import regions_to_frame, write_vector
from model_runner.inference.changing import find_changes, likely_changes
from model_runner.inference.computing import choose_computer
from model_runner.inference.opening import open_pair_for_model
from model_runner.inference.placing import place_pixels
from model_runner.model_store.loaded import loaded_model
from model_runner.raster.areas import AreaTable
from model_runner.raster.geotiff import GeoTiffWriter, class_numbers, probabilities, writing_geotiff
from model_runner.raster.regions import means_in_polygons, outline_regions
from model_runner.raster.working_grid import WorkingGrid
from model_runner.raster.writer import atomic, refuse_unwritable
from model_runner.report import Report
from model_runner.tasks.class_maps import ClassMaps
from model_runner.tasks.run_record import Run

UNCHANGED, CHANGED = 0, 1


def change(request: ChangeRequest, report: Report) -> Finished:
    """Compare two rasters with a model, tile by tile, and write the files that the request names and the run record.

    The results lie on the earlier raster's own pixels, or on the grid on which the model works, over the extent of
    both. The raster of changes holds 0 and 1, 255 where either date has no data; that of probability the probability
    of change, from 0 to 1, -1 there.

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
        unfinished = {name: opened.enter_context(atomic(path)) for name, path in files.items()}
        pair, figures = opened.enter_context(open_pair_for_model(request, card, report))
        refuse_shared_files(list(files.values()), pair.files)
        result = pair if request.model_grid else pair.on_own_pixels()
        maps = _open_maps(request, unfinished, card, threshold, result.grid, opened, report)
        pixels = place_pixels(pair, result, maps.write)
        throughput = find_changes(
            pair, network, card, computer, request.tiling, request.flips, pixels.take, pixels.margin, report
        )
        numbers = _numbers(maps.areas)
        if request.polygons:
            report.check_cancelled()
            numbers["count"] = _write_outlines(unfinished["polygons"], request, card, maps, result.grid, run.id)
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


def _open_maps(
    request: ChangeRequest,
    unfinished: Mapping[str, Path],
    card: ModelCard,
    threshold: float,
    grid: WorkingGrid,
    opened: ExitStack,
    report: Report,
) -> ClassMaps:
    """The maps; that of probability is written for polygons too, which tell its mean."""
    writing = partial(writing_geotiff, grid=grid, check_cancelled=report.check_cancelled)
    meaning = class_numbers("change", [(each.name, each.colour) for each in card.classes])
    changes = opened.enter_context(writing(unfinished["changes"], request.output, meaning=meaning))
    probability = None
    meaning = probabilities("probability of change")
    if request.probability:
        probability = opened.enter_context(writing(unfinished["probability"], request.probability, meaning=meaning))
    elif request.polygons:
        folder = Path(request.polygons).parent
        folder = opened.enter_context(TemporaryDirectory(prefix=".unfinished-", dir=folder))
        probability = GeoTiffWriter(Path(folder) / "probability.tif", request.polygons, grid, meaning)
        opened.callback(probability.close)
    return ClassMaps(partial(likely_changes, threshold), changes, probability, AreaTable(grid, len(card.classes)))


def _numbers(table: AreaTable) -> dict[str, float]:
    """What has changed: square metres, if there is a reference system, pixels, share of what has data at both dates."""
    area, total = table.areas[CHANGED], table.areas.sum()
    return {
        **({"area_m2_changed": round(float(area), 3)} if table.in_metres else {}),
        "pixels_changed": int(table.pixels[CHANGED]),
        "share_changed": round(float(area / total), 6) if total else 0.0,
    }


def _write_outlines(
    path: Path, request: ChangeRequest, card: ModelCard, maps: ClassMaps, grid: WorkingGrid, run_id: str
) -> int:
    """Write the polygons and tell how many there are."""
    with maps.classes.reading_back() as dataset:
        regions = outline_regions(dataset, grid, **asdict(request.outlines), left_out=(UNCHANGED,))
    with maps.probability.reading_back() as dataset:
        means = means_in_polygons(dataset, regions.polygons)
    frame = regions_to_frame(regions.polygons, regions.numbers, grid, card.class_names, card.id, run_id)
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
