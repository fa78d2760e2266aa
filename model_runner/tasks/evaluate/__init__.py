# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure a model on labelled data, in the way in which it is used."""

import json
import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from model_runner.contract.messages import Finished
from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.errors import InputError
from model_runner.evaluation.measured import Measured
from model_runner.inference.computing import Computer, choose_computer
from model_runner.inference.opening import refuse_bands
from model_runner.model_store.loaded import loaded_model
from model_runner.raster.writer import new_folder, refuse_used_folder
from model_runner.report import EachLineOnce, Report
from model_runner.reports.page import tell
from model_runner.tasks.evaluate.maps import measure_change, measure_segmentation
from model_runner.tasks.evaluate.objects import measure_objects
from model_runner.tasks.evaluate.page import evaluation_page
from model_runner.tasks.evaluate.rasters import (
    measure_raster_change,
    measure_raster_objects,
    measure_raster_scenes,
    measure_raster_segmentation,
)
from model_runner.tasks.evaluate.scenes import measure_scenes
from model_runner.training.datasets.findings import refuse
from model_runner.training.datasets.layouts import check_layout, dataset_splits

ON_DATASETS = {
    "detect": measure_objects,
    "segment": measure_segmentation,
    "change": measure_change,
    "classify": measure_scenes,
}
ON_RASTERS = {
    "detect": measure_raster_objects,
    "segment": measure_raster_segmentation,
    "change": measure_raster_change,
    "classify": measure_raster_scenes,
}
METRICS, PAGE = "metrics.json", "report.html"


def evaluate(request: EvaluateRequest, report: Report) -> Finished:
    """Compare what a model says with labels; write ``metrics.json``, ``report.html`` and what is right and wrong where.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no file is left.
    """
    began = time.perf_counter()
    output = Path(request.output)
    refuse_used_folder(output)
    _refuse_other_data(request)
    computer = choose_computer(request.compute, report)
    model = _open(request.model, request, computer)
    other = _open(request.against, request, computer) if request.against else None
    told_once = EachLineOnce(report)  # both models are measured on the same data
    with new_folder(output) as folder:
        card, measured = _measure(*model, request, computer, folder, told_once)
        against = None
        if other:
            with TemporaryDirectory(dir=folder) as aside:
                against = _measure(*other, request, computer, Path(aside), told_once)
        seconds = round(time.perf_counter() - began, 1)
        figures = _rounded(measured.figures)
        split = _split_of(request)
        metrics = {
            "model": card.id,
            "weights_sha256": card.weights_sha256,
            "data": str(Path(request.data).resolve()),
            "split": split,
            "bands": list(request.bands) or None,
            "reference": request.reference and str(Path(request.reference).resolve()),
            **figures,
            **({"against": {"model": against[0].id, **_rounded(against[1].figures)}} if against else {}),
            "seconds": seconds,
        }
        text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
        (folder / METRICS).write_text(text, encoding="utf-8")
        page = evaluation_page(request, split, card, computer, measured, against, seconds)
        (folder / PAGE).write_text(page, encoding="utf-8")
    for each, found in filter(None, ((card, measured), against)):
        told = ", ".join(f"{name} {tell(found.figures[name])}" for name in found.main)
        report.log("info", f"{each.id}: {told}.")
    numbers = {
        key: value for key, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
    files = {"report": PAGE, "metrics": METRICS, **measured.files}
    return Finished(job="", outputs={name: str(output / file) for name, file in files.items()}, numbers=numbers)


def _refuse_other_data(request: EvaluateRequest) -> None:
    """Refuse a dataset of another task, before anything of it is read; what is wrong with a raster shows later."""
    if request.reference is not None:
        return
    if Path(request.data).is_file():
        raise InputError(f"{request.data} is a file: name the --reference that labels it, or the folder of a dataset.")
    check_layout(Path(request.data), request.task, refuse)


def _split_of(request: EvaluateRequest) -> str | None:
    """The part of the data that was measured; None for a raster, and for a dataset that is not divided."""
    divided = request.reference is None and dataset_splits(Path(request.data), request.task)
    return request.split if divided else None


def _open(model_id: str, request: EvaluateRequest, computer: Computer) -> tuple[ModelCard, nn.Module]:
    card, network = loaded_model(model_id, request.task, computer.device)
    refuse_bands(request.bands, card)
    return card, network


def _measure(
    card: ModelCard, network: nn.Module, request: EvaluateRequest, computer: Computer, folder: Path, report: Report
) -> tuple[ModelCard, Measured]:
    measures = ON_DATASETS if request.reference is None else ON_RASTERS
    return card, measures[request.task](request, card, network, computer, folder, report)


def _rounded(figures: dict) -> dict:
    """Figures for JSON, which has no NaN: None where there was nothing to measure."""
    rounded = {}
    for name, figure in figures.items():
        if isinstance(figure, dict):
            rounded[name] = _rounded(figure)
        elif isinstance(figure, float):
            rounded[name] = None if math.isnan(figure) else round(figure, 4)
        else:
            rounded[name] = figure
    return rounded
