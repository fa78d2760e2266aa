# SPDX-License-Identifier: GPL-2.0-or-later
"""Find oriented objects in a raster and write them as polygons."""

from collections import Counter
from pathlib import Path

from model_runner.contract.messages import Finished
from model_runner.contract.request_parts import refuse_shared_files
from model_runner.contract.task_requests import DetectRequest
from model_runner.errors import InputError
from model_runner.features import detections_to_frame, write_vector
from model_runner.inference.computing import choose_computer
from model_runner.inference.detecting import find_objects
from model_runner.inference.detections import DetectionCollector
from model_runner.inference.opening import open_for_model
from model_runner.model_store.loaded import loaded_model
from model_runner.raster.writer import atomic, refuse_unwritable
from model_runner.report import Report
from model_runner.tasks.run_record import Run


def detect(request: DetectRequest, report: Report) -> Finished:
    """Detect the objects that a model knows, tile by tile, and write the GeoPackage and its run record.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no file is left.
    """
    run = Run()
    refuse_unwritable(request.output)
    computer = choose_computer(request.compute, report)
    card, network = loaded_model(request.model, "detect", computer.device)
    refusal = card.refuse_classes(request.classes)
    if refusal:
        raise InputError(refusal)
    collector = DetectionCollector(
        card.threshold if request.threshold is None else request.threshold,
        card.merge_iou if request.nms_iou is None else request.nms_iou,
        tuple(card.class_names.index(name) for name in request.classes),
    )
    with open_for_model(request.source, card, report) as source:
        refuse_shared_files([request.output], source.files)
        found, throughput = find_objects(source, network, card, computer, request.tiling, collector, report)
        boxes, scores, labels = (each.numpy() for each in found)
        frame = detections_to_frame(boxes, scores, labels, source.grid, card.class_names, card.id, run.id)
        report.check_cancelled()
        with atomic(request.output) as unfinished:
            write_vector(unfinished, frame, Path(request.output).stem)
        raster = source.record()

    counts = Counter(frame["class_name"])
    report.log("info", _summary(counts, collector.threshold))
    numbers = {
        "count": len(frame),
        **{f"count_{name}": counts.get(name, 0) for name in card.class_names},
        **throughput.tile_counts,
    }
    return run.finish(request, card, computer, throughput, {"detections": request.output}, numbers, raster=raster)


def _summary(counts: Counter, threshold: float) -> str:
    """What was found, in a line."""
    if not counts:
        return f"Found nothing with a score of {threshold:g} or more."
    by_class = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    noun = "object" if counts.total() == 1 else "objects"
    return f"Found {counts.total()} {noun}: {by_class}."
