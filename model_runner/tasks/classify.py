# SPDX-License-Identifier: GPL-2.0-or-later
"""Name the kind of scene in cells of a raster, in zones of a layer or in the images of a folder."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas

from model_runner.contract.messages import Finished
from model_runner.contract.model_card import ModelCard
from model_runner.contract.request_parts import refuse_shared_files
from model_runner.contract.task_requests import ClassifyRequest
from model_runner.errors import InputError
from model_runner.features import (
    TABLE,
    cells_to_frame,
    images_to_frame,
    scene_columns,
    write_by_ending,
    zones_to_frame,
)
from model_runner.inference.computing import choose_computer
from model_runner.inference.engine import Throughput
from model_runner.inference.opening import open_at, refuse_bands
from model_runner.inference.scenes import (
    SCENES_FOR_A_TILE,
    ImageFile,
    ImageScenes,
    RasterScenes,
    SceneClasses,
    classify_scenes,
    plan_grid,
    warn_of_images,
    warn_of_scale,
)
from model_runner.model_store.loaded import loaded_model
from model_runner.raster.image_folder import find_images
from model_runner.raster.scenes import outlines, share_covered
from model_runner.raster.source import RasterSource
from model_runner.raster.writer import atomic, refuse_unwritable
from model_runner.raster.zones import read_zones
from model_runner.report import Report
from model_runner.tasks.run_record import Run

ALL = 0.999  # of an image, as a share
NAMED_IMAGES = 20  # unreadable or doubtful ones that the log names

Look = Callable[[Any, Sequence], tuple[SceneClasses, Throughput]]
Describe = Callable[[SceneClasses], dict]


class Scenes(NamedTuple):
    """Classified scenes.

    Attributes:
        frame: a row for each.
        planned: how many there were to look at, those without data included.
        raster: what the run record says of the raster or of the images.
        throughput: what the run did.
    """

    frame: pandas.DataFrame
    planned: int
    raster: dict[str, Any]
    throughput: Throughput


def classify(request: ClassifyRequest, report: Report) -> Finished:
    """Classify scenes and write the GeoPackage, or the table, and its run record.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no file is left.
    """
    run = Run()
    refuse_unwritable(request.output)
    is_folder = Path(request.source.path).is_dir()
    _refuse_what_does_not_fit(request, is_folder)
    computer = choose_computer(request.compute, report)
    card, network = loaded_model(request.model, "classify", computer.device)
    refuse_bands(request.source.bands, card)
    if request.compute.batch_size is None:
        computer = computer._replace(batch_size=SCENES_FOR_A_TILE * computer.batch_size)

    look = partial(
        classify_scenes,
        network=network,
        card=card,
        computer=computer,
        top=request.top,
        flips=request.flips,
        report=report,
    )
    scenes = (_classify_images if is_folder else _classify_raster)(
        request, card, look, partial(_describe, card, run.id), report
    )
    report.check_cancelled()
    with atomic(request.output) as unfinished:
        write_by_ending(unfinished, scenes.frame, Path(request.output).stem)

    counts = Counter(scenes.frame["class_name"])
    left_out = scenes.planned - len(scenes.frame)
    report.log("info", _summary(counts, left_out))
    numbers = {
        "count": len(scenes.frame),
        **{f"count_{name}": counts.get(name, 0) for name in card.class_names},
        "left_out": left_out,
    }
    return run.finish(
        request, card, computer, scenes.throughput, {"scenes": request.output}, numbers, raster=scenes.raster
    )


def _refuse_what_does_not_fit(request: ClassifyRequest, is_folder: bool) -> None:
    """Return only when the options go with a folder of images, or with a raster.

    Raises:
        InputError: they do not.
    """
    source = request.source
    if not is_folder:
        if request.output.lower().endswith(TABLE):
            raise InputError(f"{request.output} cannot hold the cells of a raster; name a GeoPackage (.gpkg).")
        return
    for_rasters = {
        "extent": source.extent,
        "mask": source.mask,
        "resolution": source.resolution,
        "zones": request.zones,
        "cell size": request.cell_size,
        "cell pixels": request.cell_pixels,
    }
    given = [name for name, value in for_rasters.items() if value is not None]
    if given:
        raise InputError(f"{source.path} is a folder, each image of which is one scene; leave out {', '.join(given)}.")


def _describe(card: ModelCard, run_id: str, found: SceneClasses) -> dict:
    return scene_columns(found.labels, found.probabilities, card.class_names, card.id, run_id)


def _classify_raster(
    request: ClassifyRequest, card: ModelCard, look: Look, describe: Describe, report: Report
) -> Scenes:
    """The scenes of a raster: its zones, or its cells."""
    with open_at(request.source, card, None, report) as source:
        refuse_shared_files([request.output], source.files)
        classify_them = _classify_zones if request.zones else _classify_cells
        return classify_them(request, card, source, look, describe, report)


def _classify_cells(
    request: ClassifyRequest, card: ModelCard, source: RasterSource, look: Look, describe: Describe, report: Report
) -> Scenes:
    """Squares side by side, in the raster's reference system."""
    scenes = plan_grid(request, source.grid, card)
    first = scenes[0]
    noun = "cell" if len(scenes) == 1 else "cells"
    report.log("info", f"Looking at {len(scenes)} {noun} of {first.width:.5g} x {first.height:.5g} pixels.")
    covered = share_covered(scenes, source.grid)
    if covered < ALL:
        report.log("info", f"They cover {covered:.1%} of it; less than half a cell remains at its right or lower edge.")
    warn_of_scale(scenes, source.grid, card, report)
    found, throughput = look(RasterScenes(source, card.tile_size), scenes)
    corners = outlines(source.grid, [scenes[number] for number in found.numbers])
    return Scenes(cells_to_frame(corners, describe(found), source.grid), len(scenes), source.record(), throughput)


def _classify_zones(
    request: ClassifyRequest, card: ModelCard, source: RasterSource, look: Look, describe: Describe, report: Report
) -> Scenes:
    """The zones of a layer with their own attributes, in the layer's own reference system."""
    zones = read_zones(request.zones, source.grid)
    planned = len(zones.frame)
    if not zones.scenes:
        raise InputError(
            f"None of the {planned} zones of {request.zones} touches the part of the raster that is looked at."
        )
    outside = planned - len(zones.scenes)
    if outside:
        report.log("warning", f"{outside} of {planned} zones lie outside of the raster and are left out.")
    warn_of_scale(zones.scenes, source.grid, card, report)
    found, throughput = look(RasterScenes(source, card.tile_size), zones.scenes)
    return Scenes(
        zones_to_frame(zones.frame.iloc[found.numbers], describe(found)), planned, source.record(), throughput
    )


def _classify_images(
    request: ClassifyRequest, card: ModelCard, look: Look, describe: Describe, report: Report
) -> Scenes:
    """The images of a folder; one that cannot be read is told and left out."""
    folder = Path(request.source.path)
    images = [ImageFile(number, path) for number, path in enumerate(find_images(folder))]
    source = ImageScenes(request.source, card)
    found, throughput = look(source, images)
    faults = [source.faults[number] for number in sorted(source.faults)]
    if len(faults) == len(images):
        raise InputError(f"None of the {len(images)} images in {folder} can be used. {faults[0]}")
    for fault in faults[:NAMED_IMAGES]:
        report.log("warning", f"{fault.rstrip('.')}; it is left out.")
    if len(faults) > NAMED_IMAGES:
        report.log("warning", f"{len(faults) - NAMED_IMAGES} more images are left out for such reasons.")
    doubts = [warning for number in sorted(source.doubts) for warning in source.doubts[number]]
    for doubt in doubts[:NAMED_IMAGES]:
        report.log("warning", doubt)
    if len(doubts) > NAMED_IMAGES:
        report.log("warning", f"{len(doubts) - NAMED_IMAGES} more such warnings are left out.")
    warn_of_images(source.grids.values(), card, report)
    frame = images_to_frame(
        [images[number].path.name for number in found.numbers],
        [source.grids[number] for number in found.numbers],
        describe(found),
    )
    return Scenes(frame, len(images), {"path": str(folder), "images": len(images), "unreadable": faults}, throughput)


def _summary(counts: Counter, left_out: int) -> str:
    """What was found, in a line."""
    by_class = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    noun = "scene" if counts.total() == 1 else "scenes"
    without = f" {left_out} left out: beyond the raster or without data." if left_out else ""
    return (f"Classified {counts.total()} {noun}: {by_class}." if counts else "Classified no scene.") + without
