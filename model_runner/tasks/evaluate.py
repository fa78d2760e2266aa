# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure a model on a labelled dataset, in the way in which it is used: tile by tile, merged, over whole images."""

import json
import math
import time
from pathlib import Path

from model_runner.contract.messages import Finished
from model_runner.contract.task_requests import EvaluateRequest, Tiling
from model_runner.errors import InputError
from model_runner.inference.detecting import choose_computer, find_objects
from model_runner.inference.detections import DetectionCollector
from model_runner.metrics.rotated_map import RotatedMap, rotated_map
from model_runner.model_store.loaded import loaded_model
from model_runner.raster.source import open_source
from model_runner.raster.writer import atomic
from model_runner.report import Report
from model_runner.training.datasets.objects import DotaDataset

LOWEST_SCORE = 0.05


def evaluate(request: EvaluateRequest, report: Report) -> Finished:
    """Compare a model's detections with a dataset's labels and write ``metrics.json``.

    Every image is looked at as it is, without change of its resolution.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no file is left.
    """
    began = time.perf_counter()
    target = Path(request.output) / "metrics.json"
    if target.exists():
        raise InputError(f"{target} is there already; choose another output folder.")
    computer = choose_computer(request.compute, report)
    card, network = loaded_model(request.model, "detect", computer.device)
    samples = DotaDataset(Path(request.data), request.split, card.class_names)
    threshold = LOWEST_SCORE if request.threshold is None else request.threshold
    found, truth = [], []
    for number, path in enumerate(samples.paths):
        report.check_cancelled()
        report.progress("images", number, len(samples))
        collector = DetectionCollector(threshold, card.merge_iou)
        with open_source(str(path), band_count=len(card.bands)) as source:
            merged, _ = find_objects(source, network, card, computer, Tiling(), collector, Report())
        found.append(merged)
        sample = samples[number]
        truth.append((sample.boxes, sample.labels, sample.difficult))
    report.progress("images", len(samples), len(samples))

    by_area = rotated_map(found, truth, len(card.class_names), request.iou, "area")
    by_levels = rotated_map(found, truth, len(card.class_names), request.iou, "voc07")
    metrics = {
        "model": card.id,
        "weights_sha256": card.weights_sha256,
        "data": str(Path(request.data).resolve()),
        "split": request.split,
        "images": len(samples),
        "iou": request.iou,
        "threshold": threshold,
        "mAP (area)": _rounded(by_area.mean),
        "mAP (VOC07)": _rounded(by_levels.mean),
        "classes": _class_figures(card.class_names, by_area, by_levels),
        "seconds": round(time.perf_counter() - began, 1),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as unfinished:
        unfinished.write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    numbers = {key: metrics[key] for key in ("images", "iou", "mAP (area)", "mAP (VOC07)", "seconds")}
    return Finished(job="", outputs={"metrics": str(target)}, numbers=numbers)


def _class_figures(names: tuple[str, ...], by_area: RotatedMap, by_levels: RotatedMap) -> dict[str, dict]:
    return {
        name: {
            "AP (area)": _rounded(by_area.per_class[index]),
            "AP (VOC07)": _rounded(by_levels.per_class[index]),
            "recall": _rounded(by_area.recall[index]),
            "objects": by_area.ground_truths[index],
            "detections": by_area.detections[index],
        }
        for index, name in enumerate(names)
    }


def _rounded(figure: float) -> float | None:
    """A figure for JSON, which has no NaN: None where there was nothing to measure."""
    return None if math.isnan(figure) else round(figure, 4)
