# SPDX-License-Identifier: GPL-2.0-or-later
"""Detectors measured tile by tile, merged, over whole images."""

from pathlib import Path
from typing import Any

from torch import nn

from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest, Tiling
from model_runner.inference.computing import Computer
from model_runner.inference.detecting import find_objects
from model_runner.inference.detections import DetectionCollector
from model_runner.metrics.rotated_map import RotatedMap, rotated_map
from model_runner.raster.source import open_source
from model_runner.report import Report
from model_runner.training.datasets.objects import DotaDataset
from model_runner.training.pixel_statistics import pixels_of

LOWEST_SCORE = 0.05


def measure_objects(
    request: EvaluateRequest, card: ModelCard, network: nn.Module, computer: Computer, report: Report
) -> dict[str, Any]:
    """Mean average precision, and of each class; every image is looked at without change of its resolution.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop.
    """
    threshold = LOWEST_SCORE if request.threshold is None else request.threshold
    samples = DotaDataset(Path(request.data), request.split, card.class_names, pixels=pixels_of(card))
    found, truth = [], []
    for number, path in enumerate(samples.paths):
        report.check_cancelled()
        report.progress("images", number, len(samples))
        collector = DetectionCollector(threshold, card.merge_iou)
        with open_source(str(path), band_count=len(card.bands), limits=card.stretch_limits) as source:
            merged, _ = find_objects(source, network, card, computer, Tiling(), collector, Report())
        found.append(merged)
        sample = samples[number]
        truth.append((sample.boxes, sample.labels, sample.difficult))
    report.progress("images", len(samples), len(samples))

    by_area = rotated_map(found, truth, len(card.class_names), request.iou, "area")
    by_levels = rotated_map(found, truth, len(card.class_names), request.iou, "voc07")
    return {
        "images": len(samples),
        "iou": request.iou,
        "threshold": threshold,
        "mAP (area)": by_area.mean,
        "mAP (VOC07)": by_levels.mean,
        "classes": _class_figures(card.class_names, by_area, by_levels),
    }


def _class_figures(names: tuple[str, ...], by_area: RotatedMap, by_levels: RotatedMap) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "AP (area)": by_area.per_class[index],
            "AP (VOC07)": by_levels.per_class[index],
            "recall": by_area.recall[index],
            "objects": by_area.ground_truths[index],
            "detections": by_area.detections[index],
        }
        for index, name in enumerate(names)
    }
