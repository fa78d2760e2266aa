# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of a training, in its output folder: how it went, what it learnt from and what the model sees."""

import errno
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from math import nan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model_runner.contract.finetune_request import REPORT_FILE
from model_runner.contract.model_card import WEIGHTS_FILE, ModelCard
from model_runner.contract.task_requests import Compute, FinetuneRequest
from model_runner.errors import RunnerError, UnreadableRaster, one_line
from model_runner.evaluation.images import ImageReader
from model_runner.evaluation.maps import map_legends
from model_runner.evaluation.objects import object_legend
from model_runner.evaluation.showing import Model, example_images
from model_runner.inference.computing import choose_computer
from model_runner.model_store.store import open_network
from model_runner.raster.writer import atomic
from model_runner.report import Report
from model_runner.reports.chart_pictures import save_charts
from model_runner.reports.charts import COLOURS, Chart, Mark, Series, bar_chart, in_groups, line_chart, svg
from model_runner.reports.examples import Example, show_examples
from model_runner.reports.page import cards, facts, render_page, section, table
from model_runner.reports.pictures import save_side_by_side
from model_runner.training.checkpoints import LAST, load_checkpoint
from model_runner.training.datasets.images import IMAGE_SUFFIXES
from model_runner.training.datasets.layouts import dataset_splits
from model_runner.training.datasets.maps import MapDataset, open_masks, open_pairs
from model_runner.training.datasets.objects import ObjectDataset
from model_runner.training.datasets.scenes import SceneDataset
from model_runner.training.log_file import Column, Course, read_course
from model_runner.training.pixel_statistics import pixels_of
from model_runner.training.plan import Plan

CURVES = "curves.png"
EXAMPLES = "examples"
SHOWN = 8  # validation images
LABELLED = {"detect": "objects", "segment": "pixels", "change": "pixels", "classify": "scenes"}
DATA_SUFFIXES = {*IMAGE_SUFFIXES, ".txt", ".json"}
BLOCK = 2**20  # bytes that are read at once


def write_training_report(request: FinetuneRequest, card: ModelCard, began: float, report: Report) -> dict[str, str]:
    """Write ``curves.png``, ``examples/``, where there is a model already, and then ``report.html`` into the output.

    A training is not lost for want of a report: what hinders it is told, and nothing raised. The page comes last and in
    one go, so that one that is there is whole.

    Args:
        request: what was asked for.
        card: of the model, with its figures if it has any.
        began: when, by ``time.perf_counter``.
        report: is told.

    Returns:
        The page's path under "report", or nothing where it could not be written.
    """
    output = Path(request.output)
    try:
        course = read_course(output)
        last = load_checkpoint(output, LAST)
        curves = _curves(course, card, None if last is None else last["course"]["kept_epoch"])
        if curves:
            with atomic(output / CURVES) as unfinished:
                save_charts(unfinished, curves)
        examples = _examples(request, card, output)
        page = _page(request, card, course, last, curves, examples, time.perf_counter() - began)
        with atomic(output / REPORT_FILE) as unfinished:
            unfinished.write_text(page, encoding="utf-8")
    except (RunnerError, OSError, RuntimeError, MemoryError) as error:  # the last two where memory does not suffice
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        why = "the disk is full. Make room there and go on with --resume." if full else one_line(error)
        report.log("warning", f"The report of the training in {output} could not be written: {why}")
        return {}
    return {"report": str(output / REPORT_FILE)}


def _examples(request: FinetuneRequest, card: ModelCard, output: Path) -> list[Example]:
    """Validation images as the model sees them, each also written as a PNG; none before there is a model."""
    if not (output / WEIGHTS_FILE).is_file():
        return []
    computer = choose_computer(Compute(request.device, request.precision), Report())
    network = open_network(card, output / WEIGHTS_FILE)
    model = Model(network.to(computer.device), ImageReader(card, request.bands), computer)
    examples = example_images(model, Path(request.data), "val", SHOWN)
    (output / EXAMPLES).mkdir(exist_ok=True)
    for number, each in enumerate(examples, 1):
        name = f"{number:02}_{Path(each.title.replace('/', '_')).stem}.png"
        with atomic(output / EXAMPLES / name) as unfinished:
            save_side_by_side(unfinished, [picture for _, picture in each.panels])
    return examples


def _page(
    request: FinetuneRequest,
    card: ModelCard,
    course: Course,
    last: dict[str, Any] | None,
    curves: list[Chart],
    examples: list[Example],
    seconds: float,
) -> str:
    folder = Path(request.data)
    plan, kept_epoch = (None, None) if last is None else (Plan(**last["plan"]), last["course"]["kept_epoch"])
    figures = {name: value for name, value in card.metrics.items() if isinstance(value, int | float)}
    main = {name: value for name, value in figures.items() if _class_of(name, card) is None}
    parts = {"train": "train", "val": "val"} if dataset_splits(folder, card.task) else {"the dataset": "train"}
    counts = {part: count_labels(card, folder, split, request.bands) for part, split in parts.items()}
    explained: tuple[str, ...] = (object_legend(),) if card.task == "detect" else ()
    if card.task in ("segment", "change"):
        explained = map_legends(card, card.background)
    ending = "" if last and last["course"]["finished"] else " It was stopped before its end."
    told = {
        "model": card.id,
        "network": card.network,
        "learnt from": card.training_data,
        "data": str(folder.resolve()),
        "fingerprint of the data (SHA-256)": card.data_fingerprint,
        "resolution": card.resolution and f"{card.resolution.best:.3g} m a pixel",
        "plan": plan and plan.in_words(),
        "epoch of the weights": kept_epoch or None,
        "last epoch": None if course.last_epoch is None else int(course.last_epoch),
        "duration, since it went on" if request.resume else "duration": _duration(seconds),
        "finished": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "torch": torch.__version__,
        "program": card.made_with,
    }
    return render_page(
        f"The training of {card.id}",
        f"{card.network} learnt from {folder.name}.{ending}",
        (
            cards(main) if main else "",
            section("How it went", *map(svg, curves)),
            section("Classes", _class_table(card, counts, figures), *_bars(card, figures)),
            section(
                "Validation images at random",
                *explained,
                show_examples(examples),
                note="As the model is used: tile by tile, at its own threshold.",
            ),
            section("What was trained on what", facts(told)),
            section("Settings", facts(asdict(request))),
        ),
    )


def _curves(course: Course, card: ModelCard, kept_epoch: int | None) -> list[Chart]:
    """The charts of what the log holds."""
    whole = {name: each for name, each in course.figures.items() if _class_of(name, card) is None}
    by_class = {name: each for name, each in course.figures.items() if _class_of(name, card) is not None}
    main = next(iter(card.metrics), "")
    kept = card.metrics[main] if kept_epoch and main in whole else nan
    best = Mark(kept_epoch or 0, kept, f"the model: {kept:.3f}")
    losses = course.losses if len(course.losses) != 2 else {"loss": course.losses["loss"]}
    charts = (
        line_chart(title, _series(columns, main), "epoch", y_label, mark=mark)
        for title, columns, y_label, mark in (
            ("Loss on the training images", losses, "loss", None),
            ("Figures on the validation images", whole, "figure", best),
            *((f"Figures by class{part}", columns, "figure", None) for part, columns in in_groups(by_class)),
            ("Learning rate", course.rates, "learning rate", None),
        )
    )
    return [chart for chart in charts if chart.shapes]


def _series(columns: Mapping[str, Column], main: str) -> list[Series]:
    """The sum of the losses, and the figure by which the best weights are chosen, stand out."""
    return [
        Series(name, column.epochs, column.values, COLOURS[number % len(COLOURS)], name in ("loss", main))
        for number, (name, column) in enumerate(columns.items())
    ]


def _class_table(card: ModelCard, counts: dict[str, list[int]], figures: dict[str, float]) -> str:
    kinds = _kinds(figures, card)
    columns = ("class", *(f"{LABELLED[card.task]} in {split}" for split in counts), *kinds)
    rows = (
        (name, *(each[number] for each in counts.values()), *(figures.get(f"{kind} {name}") for kind in kinds))
        for number, name in enumerate(card.class_names)
    )
    return table(columns, rows)


def _bars(card: ModelCard, figures: dict[str, float]) -> tuple[str, ...]:
    return tuple(
        bar_chart(f"{kind} by class", {name: figures.get(f"{kind} {name}", float("nan")) for name in card.class_names})
        for kind in _kinds(figures, card)
    )


def _class_of(name: str, card: ModelCard) -> str | None:
    """The class that a figure such as "AP50 plane" is of; None if it is of all."""
    return max((each for each in card.class_names if name.endswith(f" {each}")), key=len, default=None)


def _kinds(figures: dict[str, float], card: ModelCard) -> list[str]:
    """What is measured of each class, such as "AP50"."""
    of = {name: _class_of(name, card) for name in figures}
    return list(dict.fromkeys(name.removesuffix(f" {each}") for name, each in of.items() if each is not None))


def count_labels(card: ModelCard, folder: Path, split: str, bands: tuple[int, ...]) -> list[int]:
    """How many objects, pixels or scenes of each class a split labels; ``bands`` are those that the user chose."""
    count, pixels = len(card.classes), pixels_of(card, bands)
    if card.task == "classify":
        labels = SceneDataset(folder, split, card.class_names, pixels).labels
        return torch.bincount(torch.tensor(labels), minlength=count).tolist()
    if card.task == "detect":
        objects = ObjectDataset(folder, split, card.class_names, pixels=pixels)
        labels = (objects.labelled_objects(number)[1] for number in range(len(objects)))
    else:
        maps = (
            open_pairs(folder, split, pixels)
            if card.task == "change"
            else open_masks(folder, split, card.class_names, pixels)
        )
        labels = _readable_labels(maps)
    total = torch.zeros(count, dtype=torch.int64)
    for each in labels:
        total += torch.bincount(each.long(), minlength=256)[:count]
    return total.tolist()


def _readable_labels(maps: MapDataset) -> Iterator[Tensor]:
    for number in range(len(maps)):
        with suppress(UnreadableRaster):
            yield maps.read_labels(number).flatten()


def fingerprint(folder: Path, output: Path) -> str:
    """SHA-256 over the names and the content of a dataset's images and labels, in whatever order they are found.

    Other files do not count, such as the statistics that GDAL lays beside an image at which somebody looked.

    Args:
        folder: of the dataset.
        output: of the training, whose own files do not count where it lies in the dataset.
    """
    whole = hashlib.sha256()
    folder, output = folder.resolve(), output.resolve()
    for path in sorted(_files_below(folder)):
        if path.suffix.lower() not in DATA_SUFFIXES or path.is_relative_to(output) or not path.is_file():
            continue
        content = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                content.update(block)
        whole.update(f"{path.relative_to(folder).as_posix()}\0{content.hexdigest()}\n".encode())
    return whole.hexdigest()


def _files_below(folder: Path) -> Iterator[Path]:
    """All files, those in folders that are links too, each folder once."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        if os.path.realpath(parent) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(parent))
        yield from (Path(parent, name) for name in names)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
