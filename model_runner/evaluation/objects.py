# SPDX-License-Identifier: GPL-2.0-or-later
"""Detected objects beside labelled ones: figures by class, size and score, pictures and a layer."""

from collections.abc import Callable, Sequence
from functools import partial
from math import isnan
from typing import Any, NamedTuple

import geopandas
import numpy as np
import pandas
import torch
from torch import Tensor

from model_runner.contract.model_card import ModelCard
from model_runner.evaluation.object_charts import parts_charts, threshold_chart
from model_runner.features import detections_to_frame
from model_runner.inference.detections import Detections
from model_runner.metrics.detection import (
    NONE,
    SIZES,
    Curve,
    Judged,
    Overlaps,
    curve_of,
    found_objects,
    judge,
    overlaps,
)
from model_runner.metrics.rotated_map import average_precisions
from model_runner.raster.working_grid import WorkingGrid
from model_runner.reports.charts import bar_chart, legend
from model_runner.reports.examples import Example, Gallery, example_sections
from model_runner.reports.page import class_table, section
from model_runner.reports.pictures import FALSE, MISSED, RIGHT, draw_polygons
from model_runner.rotated_boxes.geometry import corners

SEVERAL = tuple(0.5 + 0.05 * step for step in range(10))  # IoUs whose mean COCO tells
OUTCOMES = {"true": RIGHT, "false": FALSE, "missed": MISSED}
LABELLED = "#6ec8ff"


class Truth(NamedTuple):
    """The labelled objects of an image: boxes (m, 5) in pixels, class numbers (m,), which are difficult, bool (m,)."""

    boxes: Tensor
    labels: Tensor
    difficult: Tensor


class Errors(NamedTuple):
    """What is shown at a smallest score: which detections are right and which false, and which objects are missed."""

    right: Tensor
    false: Tensor
    missed: Tensor


class ObjectTally:
    """Takes image after image and tells how well their objects were found.

    Args:
        card: of the model.
        iou: overlap from which a detection is right.
        threshold: smallest score at which pictures and layer show the detections.
        gallery: takes the examples.
    """

    def __init__(self, card: ModelCard, iou: float, threshold: float, gallery: Gallery) -> None:
        self._card = card
        self._iou = iou
        self._threshold = threshold
        self._gallery = gallery
        self._images: list[Overlaps] = []
        self._judged: list[Judged] = []
        self._frames: list[geopandas.GeoDataFrame] = []

    def add(self, name: str, found: Detections, truth: Truth, grid: WorkingGrid) -> Errors:
        """Take an image; the detections come back as right, false and missed ones at the threshold."""
        image = overlaps(*found, *truth)
        judged = judge(image, self._iou)
        self._images.append(image)
        self._judged.append(judged)
        errors = errors_at(image, judged, self._threshold)
        self._frames.append(outcome_frame(name, found, truth, image, errors, grid, self._card))
        return errors

    def offer(self, name: str, read: Callable[[], np.ndarray], found: Detections, truth: Truth, errors: Errors) -> None:
        """Offer an image to the gallery; ``read`` gives its pixels uint8 (h, w, 3)."""
        false, missed = int(errors.false.sum()), int(errors.missed.sum())
        self._gallery.offer(
            false + missed, lambda: object_example(name, read(), found, truth, errors, self._card.class_names)
        )

    def outcomes(self) -> geopandas.GeoDataFrame:
        """All true, false and missed objects; see ``outcome_frame``."""
        return _joined(self._frames)

    def figures(self) -> dict[str, Any]:
        """All that can be told in numbers."""
        count = len(self._card.classes)
        at = partial(average_precisions, self._images, count)
        by_area, by_levels = at(self._iou, "area"), at(self._iou, "voc07")
        several = {iou: at(iou, "area") for iou in SEVERAL}
        whole = self._curve()
        best = whole.best_threshold()
        return {
            "images": len(self._images),
            "objects": sum(by_area.ground_truths),
            "least overlap": self._iou,
            "mAP (area)": by_area.mean,
            "mAP (VOC07)": by_levels.mean,
            "mAP50": several[0.5].mean,
            "mAP75": several[0.75].mean,
            "mAP50:95": float(np.mean([each.mean for each in several.values()])),
            "F1": float("nan") if isnan(best) else whole.at(best)[2],
            **_best_of(whole),
            "at the shown threshold": {"threshold": self._threshold, **_named(whole.at(self._threshold))},
            "classes": {
                name: {
                    "AP (area)": by_area.per_class[number],
                    "AP (VOC07)": by_levels.per_class[number],
                    "AP50": several[0.5].per_class[number],
                    "AP75": several[0.75].per_class[number],
                    "recall": by_area.recall[number],
                    **_best_of(self._curve(number)),
                    "objects": by_area.ground_truths[number],
                    "detections": by_area.detections[number],
                }
                for number, name in enumerate(self._card.class_names)
            },
            "sizes": {name: self._size_figures(limits) for name, limits in SIZES.items()},
        }

    def sections(self, figures: dict[str, Any]) -> tuple[str, ...]:
        """What the report shows, of ``figures()`` and of single images."""
        by_class = {
            name: {
                "objects": each["objects"],
                "AP50": each["AP50"],
                "AP75": each["AP75"],
                "best threshold": each["best threshold"],
                **each["at the best threshold"],
            }
            for name, each in figures["classes"].items()
        }
        whole = self._curve()
        of_classes = {name: self._curve(number) for number, name in enumerate(self._card.class_names)}
        sizes = {name: each for name, each in figures["sizes"].items() if each["objects"]}
        of_sizes = {name: self._curve(size=SIZES[name]) for name in sizes}
        return (
            section(
                "By class",
                class_table(by_class),
                bar_chart("AP50 by class", {name: each["AP50"] for name, each in figures["classes"].items()}),
                note="AP: average precision, the area under the curve of precision over recall, at an overlap (IoU) of "
                "0.5 and 0.75. The best threshold is the smallest score at which F1 is highest.",
            ),
            section(
                "Precision, recall and the threshold",
                *parts_charts("all classes", whole, of_classes),
                threshold_chart("All classes over the threshold", whole),
                note=f"A detection is right if it overlaps a labelled object of its class by {self._iou:g} or more.",
            ),
            section(
                "By object size",
                class_table({_told_size(name): _flat(each) for name, each in figures["sizes"].items()}, "size"),
                *(parts_charts("all sizes", whole, of_sizes) if len(of_sizes) > 1 else ()),
                _table_of_classes(sizes),
                note=f"Precision, recall and F1 of detections from a score of {self._threshold:g} on; mAP50 and mAP75: "
                "the mean of AP50 and of AP75 over the classes that have objects of this size. Objects of other sizes "
                "are neither missed nor found there; what is false counts in its own size.",
            ),
            *example_sections(
                self._gallery, object_legend(), note=f"Detections from a score of {self._threshold:g} on."
            ),
        )

    def _curve(self, label: int | None = None, size: tuple[float, float] | None = None) -> Curve:
        return curve_of(self._images, self._judged, label, size)

    def _size_figures(self, limits: tuple[float, float]) -> dict[str, Any]:
        """What is told of the objects of a size; see ``curve_of`` for what counts."""
        at = partial(average_precisions, self._images, len(self._card.classes), method="area", size=limits)
        half, three_quarters = at(0.5), at(0.75)
        objects = sum(half.ground_truths)
        if not objects:
            return {"objects": 0}
        curve = self._curve(size=limits)
        return {
            "objects": objects,
            "mAP50": half.mean,
            "mAP75": three_quarters.mean,
            **_best_of(curve),
            "at the shown threshold": {"threshold": self._threshold, **_named(curve.at(self._threshold))},
            "classes": {
                name: {"objects": count, "AP50": half.per_class[number], "AP75": three_quarters.per_class[number]}
                for number, (name, count) in enumerate(zip(self._card.class_names, half.ground_truths, strict=True))
                if count
            },
        }


def object_legend() -> str:
    """What the colours of objects in pictures mean."""
    return legend({"labelled": LABELLED, **OUTCOMES})


def errors_at(image: Overlaps, judged: Judged, threshold: float) -> Errors:
    """What is right, false and missed in an image from a score on, in the order of the detector and of the labels."""
    shown = image.scores >= threshold
    right, false = (torch.zeros_like(shown) for _ in range(2))
    right[image.order], false[image.order] = judged.right & shown, judged.wrong & shown
    return Errors(right, false, ~found_objects(image, judged, threshold) & ~image.difficult)


def object_example(
    name: str, image: np.ndarray, found: Detections, truth: Truth, errors: Errors, class_names: Sequence[str]
) -> Example:
    """An image uint8 (h, w, 3) with its labelled objects, and with what was found of them."""
    shown = errors.right | errors.false
    labelled = draw_polygons(image, corners(truth.boxes).numpy(), [LABELLED] * len(truth.labels))
    boxes = torch.cat((truth.boxes[errors.missed].double(), found.boxes[shown].double()))
    colours = [OUTCOMES["missed"]] * int(errors.missed.sum())
    colours += [OUTCOMES["true" if right else "false"] for right in errors.right[shown].tolist()]
    counts = [int(each.sum()) for each in errors]
    names = sorted({class_names[number] for number in truth.labels.tolist()})
    return Example(
        name,
        "{} true, {} false, {} missed".format(*counts) + (f"; labelled: {', '.join(names)}" if names else ""),
        (("labelled", labelled), ("found", draw_polygons(image, corners(boxes).numpy(), colours))),
    )


def outcome_frame(
    name: str, found: Detections, truth: Truth, image: Overlaps, errors: Errors, grid: WorkingGrid, card: ModelCard
) -> geopandas.GeoDataFrame:
    """The true, false and missed objects of an image as polygons on the ground.

    Beside what a detection tells, each has its ``image``, ``outcome`` (true, false or missed), ``iou``, the largest
    overlap with a labelled object (of a missed one: with any detection), and that object as ``reference``, its number
    among the labels from 1 on, and ``reference_class``. The class of a missed object is the labelled one.
    """
    places = torch.empty_like(image.order)
    places[image.order] = torch.arange(len(image.order))
    parts = []
    for outcome, chosen in (("true", errors.right), ("false", errors.false)):
        rows = places[chosen]
        nearest, iou = image.nearest[rows], image.iou_of_any[rows]
        if outcome == "true":
            nearest, iou = image.matched[rows], image.iou[rows]
        parts.append(_frame(outcome, *(each[chosen] for each in found), nearest, iou, truth, grid, card))
    missed = errors.missed
    no_score = torch.full((int(missed.sum()),), float("nan"))
    numbers = missed.nonzero()[:, 0]
    parts.append(
        _frame(
            "missed",
            truth.boxes[missed],
            no_score,
            truth.labels[missed],
            numbers,
            image.object_iou[missed],
            truth,
            grid,
            card,
        )
    )
    frame = _joined([each for each in parts if len(each)] or parts[:1])
    frame.insert(0, "image", name)
    return frame


def _frame(
    outcome: str,
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    references: Tensor,
    iou: Tensor,
    truth: Truth,
    grid: WorkingGrid,
    card: ModelCard,
) -> geopandas.GeoDataFrame:
    frame = detections_to_frame(boxes.numpy(), scores.numpy(), labels.numpy(), grid, card.class_names, card.id, "")
    frame = frame.drop(columns=["class_id", "run_id"])
    named = [None if each == NONE else card.class_names[truth.labels[each]] for each in references.tolist()]
    numbers = [None if each == NONE else each + 1 for each in references.tolist()]
    frame.insert(0, "outcome", outcome)
    frame.insert(3, "iou", iou.numpy())
    frame.insert(4, "reference", pandas.array(numbers, dtype="Int64"))
    frame.insert(5, "reference_class", np.array(named, dtype=object))
    return frame


def _joined(frames: Sequence[geopandas.GeoDataFrame]) -> geopandas.GeoDataFrame:
    """Frames below one another, in the reference system that they share or else in WGS 84.

    What has no reference system keeps the pixels of its image where nothing has one, and else loses its place.
    """
    systems = [frame.crs for frame in frames if frame.crs is not None]
    if not systems:
        return pandas.concat(frames, ignore_index=True)
    common = systems[0] if all(each == systems[0] for each in systems) else "EPSG:4326"
    placed = [
        frame.set_geometry(geopandas.GeoSeries([None] * len(frame), index=frame.index, crs=common))
        if frame.crs is None
        else frame.to_crs(common)
        for frame in frames
    ]
    return pandas.concat(placed, ignore_index=True)


def _named(figures: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("precision", "recall", "F1"), figures, strict=True))


def _best_of(curve: Curve) -> dict[str, Any]:
    """The best threshold, and what it gives."""
    best = curve.best_threshold()
    return {"best threshold": best, "at the best threshold": _named((best,) * 3 if isnan(best) else curve.at(best))}


def _flat(size: dict[str, Any]) -> dict[str, Any]:
    """The figures of a size as a row of a table."""
    shown = size.get("at the shown threshold", {})
    columns = {name: size.get(name) for name in ("mAP50", "mAP75", "best threshold")}
    return {"objects": size["objects"], **columns, **{name: shown.get(name) for name in ("precision", "recall", "F1")}}


def _table_of_classes(sizes: dict[str, dict[str, Any]]) -> str:
    """AP50 and AP75 of each class in each size, where there is more than one of both."""
    names = list(dict.fromkeys(name for each in sizes.values() for name in each["classes"]))
    if len(names) < 2 or len(sizes) < 2:
        return ""
    columns = [(size, kind) for size in sizes for kind in ("AP50", "AP75")]
    return class_table(
        {
            name: {f"{kind}, {size}": sizes[size]["classes"].get(name, {}).get(kind) for size, kind in columns}
            for name in names
        }
    )


def _told_size(name: str) -> str:
    least, most = SIZES[name]
    told = {
        "small": f"up to {most**0.5:g} x {most**0.5:g} pixels",
        "medium": f"up to {most**0.5:g} x {most**0.5:g} pixels",
        "large": f"from {least**0.5:g} x {least**0.5:g} pixels on",
    }
    return f"{name}, {told[name]}"
