# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut labelled chips for training out of rasters and polygons."""

import json
import time
from collections.abc import Callable, Sequence
from colorsys import hsv_to_rgb
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from model_runner.contract.data_requests import FROM_POLYGONS, ExportDataRequest
from model_runner.contract.folders import plugin_version
from model_runner.contract.messages import Finished
from model_runner.errors import InputError
from model_runner.raster.polygon_files import class_name, name_without_blanks
from model_runner.raster.writer import new_folder, refuse_used_folder
from model_runner.report import Report
from model_runner.training_data.files import write_text
from model_runner.training_data.label_layer import LabelLayer, read_labels, refuse_same_names
from model_runner.training_data.labelling import (
    ChangeLabeller,
    Labeller,
    MaskLabeller,
    ObjectLabeller,
    SceneLabeller,
    without_slivers,
)
from model_runner.training_data.labels import IGNORED
from model_runner.training_data.places import Place, open_places
from model_runner.training_data.planning import Plan, make_plan
from model_runner.training_data.report import dataset_page, describe_sizes
from model_runner.training_data.writing import SplitTally, Tally, write_chips

UNITS = {"detect": "objects", "segment": "pixels", "change": "pixels", "classify": "scenes"}
WITHOUT_LABEL = {
    "detect": "show only cut objects, or nothing that counts",
    "segment": "show nothing that counts",
    "change": "show nothing that counts",
    "classify": "show no class, or too little of one",
}
NO_BACKGROUND = "none"
ONE_SCALE = 1.5  # coarser over finer pixels, up to which rasters pass for alike
BACKGROUND_COLOUR = "#b2b2b2"
RECORD, PAGE, CLASSES = "dataset.json", "report.html", "classes.json"


def export_data(request: ExportDataRequest, report: Report) -> Finished:
    """Write a dataset folder in the layout of a task, with a record and a report of what is in it.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no folder is left.
    """
    began = time.perf_counter()
    refuse_used_folder(request.output)
    warnings: list[str] = []

    def warn(text: str) -> None:
        if text not in warnings:
            warnings.append(text)
            report.log("warning", text)

    labels, background = _classes_of_task(request, read_labels(request.labels, request.class_field, warn=warn))
    colours = _colours(len(labels.names), background)
    area = read_labels(request.area, "", "area of interest", warn) if request.area else None
    with ExitStack() as opened:
        places = open_places(request, labels, area, opened, warn)
        if not places:
            layer = f"the area of interest {request.area}" if request.area else f"the label layer {request.labels}"
            rasters = "any of the rasters" if len(request.rasters) > 1 else request.rasters[0]
            raise InputError(f"No polygon of {layer} lies on {rasters}; check the reference systems and the extent.")
        labellers = [_labeller(request, place, labels.names, background, colours, warn) for place in places]
        _warn_of_resolutions(request, places, warn)
        plan = make_plan(request, places, labellers)
        report.log("info", _announcement(request, plan))
        by_number = {place.number: (place, each) for place, each in zip(places, labellers, strict=True)}

        def progress(done: int, total: int) -> None:
            report.check_cancelled()
            report.progress("chips", done, total)

        with new_folder(request.output) as folder:
            tally = write_chips(plan, by_number, colours, request.empty, request.seed, folder, progress)
            _warn_of_what_lacks(request, tally, warn)
            sizes = _sizes(request.task, tally, by_number, labels)
            classes = [{"name": name, "colour": colour} for name, colour in zip(labels.names, colours, strict=True)]
            facts = {
                "name": Path(request.output).absolute().name,
                "task": request.task,
                "summary": _summary(request.task, plan, tally),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "lwganet_qgis": plugin_version(),
                "request": asdict(request),
                "classes": classes,
                "unit": UNITS[request.task],
                "block": plan.block,
                "splits": {name: _facts_of_split(labels.names, split) for name, split in tally.splits.items()},
                "left_out": {
                    "without_data": plan.without_data + tally.without_data,
                    "neither_labelled_nor_background": plan.without_label,
                    "on_ground_of_another_split": plan.on_common_ground,
                },
                "sizes": {
                    name: {kind: describe_sizes(values) for kind, values in kinds.items()}
                    for name, kinds in sizes.items()
                },
                "rasters": [_facts_of_place(request, place, tally) for place in places],
                "warnings": warnings,
            }
            if request.task == "segment":
                write_text(folder / CLASSES, _json(classes))
            write_text(folder / RECORD, _json(facts))
            sheets = {name: split.sheet for name, split in tally.splits.items()}
            write_text(folder / PAGE, dataset_page(facts, sizes, sheets))
            report.check_cancelled()
    report.log("info", facts["summary"])
    output = Path(request.output)
    outputs = {"dataset": str(output), "report": str(output / PAGE), "record": str(output / RECORD)}
    return Finished("", outputs, _numbers(facts, time.perf_counter() - began))


def _classes_of_task(request: ExportDataRequest, labels: LabelLayer) -> tuple[LabelLayer, int | None]:
    """The labels under the names that the task's layout allows, and the number of the background, if it is a class."""
    names, background = labels.names, None
    if request.task == "detect":
        written = tuple(map(name_without_blanks, names))
        refuse_same_names(names, written)
        return replace(labels, names=written), None
    if request.task == "classify":  # folders; not all systems tell Forest from forest
        refuse_same_names(names, [name.casefold() for name in names])
    if request.task == "change":
        return replace(labels, names=("unchanged", "changed"), numbers=np.ones_like(labels.numbers)), 0
    if request.task == "segment" and request.background != NO_BACKGROUND:
        ground = class_name(request.background)
        ordered = (ground, *(name for name in names if name != ground))
        places = np.array([ordered.index(name) for name in names])
        labels, background = replace(labels, names=ordered, numbers=places[labels.numbers]), 0
    if request.task == "segment" and len(labels.names) > IGNORED:
        raise InputError(f"Masks hold at most {IGNORED} classes; the label layer has {len(labels.names)}.")
    if len(labels.names) < 2:
        raise InputError(
            f"The label layer {request.labels} has the class {labels.names[0]} alone; a model needs two at least to "
            "tell them apart."
        )
    return labels, background


def _colours(count: int, background: int | None) -> tuple[str, ...]:
    """Colours of the classes, around the colour wheel."""
    others = count - (background is not None)
    wheel = [
        "#" + "".join(f"{round(255 * part):02x}" for part in hsv_to_rgb(number / max(others, 1), 0.85, 0.9))
        for number in range(others)
    ]
    return tuple(wheel if background is None else [BACKGROUND_COLOUR, *wheel])


def _labeller(
    request: ExportDataRequest,
    place: Place,
    names: tuple[str, ...],
    background: int | None,
    colours: tuple[str, ...],
    warn: Callable[[str], None],
) -> Labeller:
    if request.task == "detect":
        wide = without_slivers(place.labels)
        slivers = len(place.labels.rows) - len(wide.rows)
        if slivers:
            warn(
                f"{slivers} of the polygons on {request.rasters[place.number]} are narrower than half a pixel and are "
                "left out."
            )
        return ObjectLabeller(wide, names, request.visible)
    if request.task == "segment":
        return MaskLabeller(place.labels, names, background, colours)
    if request.task == "change":
        return ChangeLabeller(place.labels, names)
    return SceneLabeller(place.labels, names, request.visible)


def _warn_of_resolutions(request: ExportDataRequest, places: Sequence[Place], warn: Callable[[str], None]) -> None:
    """Tell of rasters that show the ground at another scale than the others, which a model would mix up."""
    metres = {request.rasters[place.number]: place.grid.metres_per_pixel for place in places}
    known = {path: each for path, each in metres.items() if each}
    if known and max(known.values()) > ONE_SCALE * min(known.values()):
        told = ", ".join(f"{path} {each:.3g} m" for path, each in known.items())
        warn(f"The rasters have different pixels ({told}); name a resolution to bring their chips to one scale.")


def _announcement(request: ExportDataRequest, plan: Plan) -> str:
    empty = sum(each.is_empty for each in plan.chips)
    width = "a chip" if plan.block == 1 else f"{plan.block} chips"
    of_polygons = request.task == "classify" and request.scenes == FROM_POLYGONS
    alone = " and its chips do not overlap" if plan.block == 1 and not of_polygons else ""
    return f"{len(plan.chips) - empty} chips have labels and {empty} have none; a block is {width} wide{alone}."


def _warn_of_what_lacks(request: ExportDataRequest, tally: Tally, warn: Callable[[str], None]) -> None:
    """Tell of splits and classes that nothing was left for.

    Raises:
        InputError: there is nothing to train on.
    """
    wanted = {"train": 1 - request.val - request.test, "val": request.val, "test": request.test}
    if "train" not in tally.splits or not tally.splits["train"].chips:
        raise InputError("No chip with a label has data, so there is nothing to train on; check the rasters.")
    for split, share in wanted.items():
        if share and (split not in tally.splits or not tally.splits[split].chips):
            warn(f"Nothing is left for {split}: there are too few blocks. Choose smaller chips or bring more rasters.")


def _summary(task: str, plan: Plan, tally: Tally) -> str:
    """What was written, in a line."""
    parts = [
        f"{name} {split.chips}" + (f" ({split.empty} empty)" if split.empty else "")
        for name, split in tally.splits.items()
    ]
    left_out = {
        WITHOUT_LABEL[task]: plan.without_label,
        "have too little data": plan.without_data + tally.without_data,
        "would share ground with another split": plan.on_common_ground,
    }
    reasons = "; ".join(f"{count} that {reason}" for reason, count in left_out.items() if count)
    return f"Chips: {', '.join(parts)}." + (f" Left out: {reasons}." if reasons else "")


def _facts_of_split(names: Sequence[str], split: SplitTally) -> dict[str, Any]:
    classes = {
        name: {"count": count, "chips": chips}
        for name, count, chips in zip(names, split.counts.tolist(), split.chips_with.tolist(), strict=True)
    }
    return {"chips": split.chips, "empty": split.empty, "classes": classes}


def _facts_of_place(request: ExportDataRequest, place: Place, tally: Tally) -> dict[str, Any]:
    return {
        "path": request.rasters[place.number],
        "chips": tally.chips_of_places[place.number],
        "metres_per_pixel": place.grid.metres_per_pixel,
        "read": place.record(),
    }


def _sizes(
    task: str, tally: Tally, places: dict[int, tuple[Place, Labeller]], labels: LabelLayer
) -> dict[str, dict[str, np.ndarray]]:
    """For each class the sizes of those of its polygons that chips show, on the ground, each polygon once."""
    found: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in labels.names}
    for number, (place, _) in places.items():
        rows = np.array([row for row, first in tally.shown.items() if first == number], dtype=np.int64)
        here = np.flatnonzero(np.isin(place.labels.rows, rows))
        unit = "m" if place.grid.crs is not None else "px"
        for class_number, name in enumerate(labels.names):
            polygons = place.labels.polygons[here[place.labels.numbers[here] == class_number]]
            if not len(polygons):
                continue
            if task == "detect":
                measured = _sides(place, polygons, unit)
            else:
                measured = {f"area ({unit}²)": place.grid.measure_polygons(shapely.get_parts(polygons))}
            for kind, values in measured.items():
                found[name].setdefault(kind, []).append(values)
    return {name: {kind: np.concatenate(parts) for kind, parts in kinds.items()} for name, kinds in found.items()}


def _sides(place: Place, polygons: np.ndarray, unit: str) -> dict[str, np.ndarray]:
    """Lengths and widths (n,) of the boxes around polygons, on the ground and in pixels."""
    boxes = shapely.minimum_rotated_rectangle(polygons)
    corners = np.array([shapely.get_coordinates(box)[:3] for box in boxes])
    ground = np.stack([place.grid.measure_lines(corners[:, side], corners[:, side + 1])[0] for side in range(2)])
    pixels = np.linalg.norm(np.diff(corners, axis=1), axis=2)
    sizes = {f"length ({unit})": ground.max(axis=0), f"width ({unit})": ground.min(axis=0)}
    return {**sizes, "width (px of a chip)": pixels.min(axis=1)}


def _numbers(facts: dict[str, Any], seconds: float) -> dict[str, Any]:
    numbers = {"chips": sum(split["chips"] for split in facts["splits"].values())}
    numbers |= {f"chips_{split}": facts["splits"].get(split, {}).get("chips", 0) for split in ("train", "val", "test")}
    numbers["chips_empty"] = sum(split["empty"] for split in facts["splits"].values())
    numbers["classes"] = len(facts["classes"])
    return {**numbers, "seconds": round(seconds, 3)}


def _json(values: Any) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
