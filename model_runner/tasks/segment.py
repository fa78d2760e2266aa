# SPDX-License-Identifier: GPL-2.0-or-later
"""Give every pixel of a raster a class and write them as a raster, with outlines and areas by class."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

from model_runner.contract.messages import Finished
from model_runner.contract.model_card import ModelCard
from model_runner.contract.request_parts import refuse_shared_files
from model_runner.contract.task_requests import SegmentRequest
from model_runner.features import areas_to_frame, regions_to_frame, write_by_ending, write_vector
from model_runner.inference.computing import choose_computer
from model_runner.inference.opening import open_for_model
from model_runner.inference.placing import place_pixels
from model_runner.inference.segmenting import find_classes, likeliest_classes
from model_runner.model_store.loaded import loaded_model
from model_runner.raster.areas import AreaTable
from model_runner.raster.geotiff import class_numbers, probabilities, writing_geotiff
from model_runner.raster.regions import outline_regions
from model_runner.raster.working_grid import WorkingGrid
from model_runner.raster.writer import atomic, refuse_unwritable
from model_runner.report import Report
from model_runner.tasks.class_maps import ClassMaps
from model_runner.tasks.run_record import Run

DIGITS_OF_AREAS = 15  # a country in square metres, to the square millimetre


def segment(request: SegmentRequest, report: Report) -> Finished:
    """Segment a raster with a model, tile by tile, and write the files that the request names and the run record.

    The raster of classes holds their numbers, 255 where the input has no data; that of confidence the probability of
    each pixel's class, from 0 to 1, -1 where the input has no data.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no file is left.
    """
    run = Run()
    files = {"classes": request.output, "confidence": request.confidence}
    files |= {"polygons": request.polygons, "areas": request.areas}
    files = {name: path for name, path in files.items() if path}
    for path in files.values():
        refuse_unwritable(path)
    computer = choose_computer(request.compute, report)
    card, network = loaded_model(request.model, "segment", computer.device)
    with ExitStack() as opened:
        unfinished = {name: opened.enter_context(atomic(path)) for name, path in files.items()}
        source = opened.enter_context(open_for_model(request.source, card, report))
        refuse_shared_files(list(files.values()), source.files)
        result = source if request.model_grid else source.on_own_pixels()
        maps = _open_maps(request, unfinished, card, result.grid, opened, report)
        pixels = place_pixels(source, result, maps.write)
        throughput = find_classes(
            source, network, card, computer, request.tiling, request.flips, pixels.take, pixels.margin, report
        )
        numbers = _table_by_class(card.class_names, maps.areas)
        if request.polygons:
            report.check_cancelled()
            numbers["count"] = _write_outlines(unfinished["polygons"], request, card, maps, result.grid, run.id)
        if request.areas:
            _write_areas(unfinished["areas"], request, card, maps.areas)
        report.check_cancelled()
        raster = source.record()

    report.log("info" if maps.areas.areas.any() else "warning", _summary(card, maps.areas))
    numbers |= throughput.tile_counts
    return run.finish(request, card, computer, throughput, files, numbers, raster=raster)


def _open_maps(
    request: SegmentRequest,
    unfinished: Mapping[str, Path],
    card: ModelCard,
    grid: WorkingGrid,
    opened: ExitStack,
    report: Report,
) -> ClassMaps:
    writing = partial(writing_geotiff, grid=grid, check_cancelled=report.check_cancelled)
    meaning = class_numbers("class", [(each.name, each.colour) for each in card.classes])
    classes = opened.enter_context(writing(unfinished["classes"], request.output, meaning=meaning))
    confidence = None
    if request.confidence:
        meaning = probabilities("probability of the pixel's class")
        confidence = opened.enter_context(writing(unfinished["confidence"], request.confidence, meaning=meaning))
    return ClassMaps(likeliest_classes, classes, confidence, AreaTable(grid, len(card.classes)))


def _table_by_class(names: tuple[str, ...], table: AreaTable) -> dict[str, float]:
    """The numbers of the result: square metres, if there is a reference system, and pixels by class."""
    areas = {f"area_m2_{name}": round(float(area), 3) for name, area in zip(names, table.areas, strict=True)}
    pixels = {f"pixels_{name}": int(count) for name, count in zip(names, table.pixels, strict=True)}
    return {**areas, **pixels} if table.in_metres else pixels


def _write_outlines(
    path: Path, request: SegmentRequest, card: ModelCard, maps: ClassMaps, grid: WorkingGrid, run_id: str
) -> int:
    """Write the polygons and tell how many there are."""
    with maps.classes.reading_back() as dataset:
        regions = outline_regions(dataset, grid, **asdict(request.outlines))
    frame = regions_to_frame(regions.polygons, regions.numbers, grid, card.class_names, card.id, run_id)
    write_vector(path, frame, Path(request.polygons).stem)
    return len(frame)


def _write_areas(path: Path, request: SegmentRequest, card: ModelCard, table: AreaTable) -> None:
    frame = areas_to_frame(card.class_names, table.pixels, table.areas, table.in_metres)
    write_by_ending(path, frame, Path(request.areas).stem, DIGITS_OF_AREAS)


def _summary(card: ModelCard, table: AreaTable) -> str:
    """The share of each class, in a line."""
    total = table.areas.sum()
    if not total:
        return "No pixel has data."
    shares = sorted(zip(table.areas / total, card.class_names, strict=True), reverse=True)
    return f"Share of the ground: {', '.join(f'{name} {share:.1%}' for share, name in shares if share)}."
