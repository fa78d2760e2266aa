# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure a model on a labelled dataset, in the way in which it is used."""

import json
import math
import time
from pathlib import Path

from model_runner.contract.messages import Finished
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.errors import InputError
from model_runner.inference.computing import choose_computer
from model_runner.model_store.loaded import loaded_model
from model_runner.raster.writer import atomic
from model_runner.report import Report
from model_runner.tasks.evaluate.maps import measure_change, measure_segmentation
from model_runner.tasks.evaluate.objects import measure_objects
from model_runner.tasks.evaluate.scenes import measure_scenes

MEASURES = {
    "detect": measure_objects,
    "segment": measure_segmentation,
    "change": measure_change,
    "classify": measure_scenes,
}


def evaluate(request: EvaluateRequest, report: Report) -> Finished:
    """Compare what a model says with a dataset's labels and write ``metrics.json``.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no file is left.
    """
    began = time.perf_counter()
    target = Path(request.output) / "metrics.json"
    if target.exists():
        raise InputError(f"{target} is there already; choose another output folder.")
    computer = choose_computer(request.compute, report)
    card, network = loaded_model(request.model, request.task, computer.device)
    figures = MEASURES[request.task](request, card, network, computer, report)
    metrics = {
        "model": card.id,
        "weights_sha256": card.weights_sha256,
        "data": str(Path(request.data).resolve()),
        "split": request.split,
        **_rounded(figures),
        "seconds": round(time.perf_counter() - began, 1),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as unfinished:
        unfinished.write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    numbers = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    return Finished(job="", outputs={"metrics": str(target)}, numbers=numbers)


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
