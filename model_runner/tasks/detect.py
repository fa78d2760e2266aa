# SPDX-License-Identifier: GPL-2.0-or-later
"""Find oriented objects in a raster and write them as polygons."""

import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

from model_runner.contract.messages import Finished
from model_runner.contract.task_requests import DetectRequest
from model_runner.device import resolve_batch_size, resolve_device, resolve_precision
from model_runner.errors import InputError
from model_runner.features import detections_to_frame, write_vector
from model_runner.inference.detections import DetectionCollector, detector
from model_runner.inference.engine import run_over_tiles
from model_runner.loaded_models import loaded_model
from model_runner.raster.source import open_source
from model_runner.raster.tiling import plan_tiles
from model_runner.raster.writer import atomic
from model_runner.report import Report
from model_runner.run_record import write_run_record
from model_runner.working_resolution import choose_resolution


def detect(request: DetectRequest, report: Report) -> Finished:
    """Detect the objects that a model knows, tile by tile, and write the GeoPackage and its run record.

    Raises:
        RunnerError: something the user can mend.
        Cancelled: the user asked to stop; no file is left.
    """
    began = time.perf_counter()
    run_id = uuid4().hex[:12]
    device, reason = resolve_device(request.compute.device)
    precision = resolve_precision(request.compute.precision, device)
    report.log("info", f"Computing on {reason}, {str(precision).removeprefix('torch.')}.")
    card, network = loaded_model(request.model, "detect", device)
    for refusal in (card.refuse_classes(request.classes), _refuse_band_count(card, request)):
        if refusal:
            raise InputError(refusal)
    threshold = card.threshold if request.threshold is None else request.threshold
    network.roi_head.score_threshold = threshold

    with open_source(request.source, card, choose_resolution(request.source, card, report)) as source:
        for warning in source.warnings:
            report.log("warning", warning)
        tiles = plan_tiles(
            source.grid.width,
            source.grid.height,
            request.tiling.tile_size or card.tile_size,
            card.overlap if request.tiling.overlap is None else request.tiling.overlap,
        )
        collector = DetectionCollector(
            threshold,
            card.merge_iou if request.nms_iou is None else request.nms_iou,
            tuple(card.class_names.index(name) for name in request.classes),
        )
        throughput = run_over_tiles(
            source,
            tiles,
            detector(network, card, device, precision),
            collector,
            resolve_batch_size(request.compute.batch_size, device),
            report,
        )
        found = collector.finish()
        frame = detections_to_frame(
            found.boxes.numpy(),
            found.scores.numpy(),
            found.labels.numpy(),
            source.grid,
            card.class_names,
            card.id,
            run_id,
        )
        report.check_cancelled()
        with atomic(request.output) as unfinished:
            write_vector(unfinished, frame, Path(request.output).stem)
        record = source.record()

    counts = Counter(frame["class_name"])
    numbers = {
        "count": len(frame),
        **{f"count_{name}": counts.get(name, 0) for name in card.class_names},
        "tiles": len(tiles),
        "tiles_skipped": throughput.skipped,
        "seconds": round(time.perf_counter() - began, 3),
    }
    write_run_record(request, card, run_id, record, numbers, throughput, str(device), str(precision))
    return Finished(job=run_id, outputs={"detections": request.output}, numbers=numbers)
