# SPDX-License-Identifier: GPL-2.0-or-later
"""A runner that speaks the real contract and pretends to compute.

The variable FAKE_RUNNER holds its faults, separated by commas: ``hang`` (never ends a job nor hears a cancel),
``slow`` (works until it is cancelled), ``child`` (starts another process), ``die`` and ``die-once`` (ends in the
middle of a job), ``mute`` (never says hello), ``broken`` (ends before hello), ``old`` (another version), ``chatter``
(floods standard error), ``garbage`` (writes what is no message), ``refuse`` and ``crash`` (answers Failed). Requests
go to the file FAKE_RUNNER_LOG.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from model_runner.contract.folders import plugin_version
from model_runner.contract.messages import (
    PROTOCOL_VERSION,
    Cancel,
    Failed,
    Finished,
    Hello,
    Log,
    Progress,
    decode,
    encode,
)
from model_runner.contract.task_requests import REQUESTS, request_from_plain

FAULTS = set(os.environ.get("FAKE_RUNNER", "").split(","))
TILES = 20
cancelled = set()
jobs = []


def say(message):
    print(encode(message), end="", flush=True)


def listen():
    for line in sys.stdin:
        message = decode(line)
        if isinstance(message, Cancel):
            cancelled.add(message.job)
        else:
            jobs.append(message)
    os._exit(0)


def write_boxes(path, raster):
    """Two boxes in the middle of the raster."""
    from osgeo import gdal, ogr, osr

    image = gdal.Open(raster)
    x0, dx, _, y0, _, dy = image.GetGeoTransform()
    reference = osr.SpatialReference(wkt=image.GetProjection()) if image.GetProjection() else None
    vectors = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    layer = vectors.CreateLayer("detections", reference, ogr.wkbPolygon)
    kinds = {"class_id": ogr.OFTInteger, "class_name": ogr.OFTString, "score": ogr.OFTReal, "angle_deg": ogr.OFTReal}
    for name, kind in kinds.items():
        layer.CreateField(ogr.FieldDefn(name, kind))
    for number, (class_name, score) in enumerate([("plane", 0.9), ("ship", 0.5)]):
        column, row = image.RasterXSize * (1 + number) / 3, image.RasterYSize / 2
        corners = [(column - 4, row), (column, row - 2), (column + 4, row), (column, row + 2), (column - 4, row)]
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for x, y in corners:
            ring.AddPoint_2D(x0 + x * dx, y0 + y * dy)
        polygon = ogr.Geometry(ogr.wkbPolygon)
        polygon.AddGeometry(ring)
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(polygon)
        for name, value in {"class_id": number, "class_name": class_name, "score": score, "angle_deg": 90.0}.items():
            feature.SetField(name, value)
        layer.CreateFeature(feature)


def crs_of(path):
    """The name of the reference system of a file's first layer."""
    from osgeo import ogr

    vectors = ogr.Open(path)
    reference = vectors.GetLayer(0).GetSpatialRef()
    return reference and reference.GetName()


def work(run):
    request = request_from_plain(REQUESTS[run.task], run.request)
    log = os.environ.get("FAKE_RUNNER_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as lines:
            mask = run.request.get("source", {}).get("mask")
            facts = {
                "pid": os.getpid(),
                "mask_bytes": mask and os.path.getsize(mask),
                "mask_crs": mask and crs_of(mask),
            }
            lines.write(json.dumps({**run.request, **facts}) + "\n")
    say(Log(run.job, "info", "Computing on nothing."))
    for tile in range(TILES):
        say(Progress(run.job, "tiles", tile, TILES, 3.1, 40.0))
        while FAULTS & {"slow", "hang"} and not (run.job in cancelled and "slow" in FAULTS):
            time.sleep(0.02)
        if run.job in cancelled:
            return Failed(run.job, "cancelled", "Cancelled.")
        if tile == TILES // 2:
            misbehave(run)
    if "refuse" in FAULTS:
        return Failed(run.job, "input", "The raster is made of cheese; use another.")
    if "crash" in FAULTS:
        return Failed(run.job, "internal", "ZeroDivisionError: division by zero")
    if run.task == "detect":
        write_boxes(request.output, request.source.path)
        say(Log(run.job, "warning", "This is only a pretence."))
        numbers = {"count": 2, "count_plane": 1, "count_ship": 1, "tiles": TILES, "tiles_skipped": 0, "seconds": 0.1}
        record = os.path.splitext(request.output)[0] + ".run.json"
        with open(record, "w", encoding="utf-8") as facts:
            facts.write('{"stretch": null}')
        return Finished(run.job, {"detections": request.output, "record": record}, numbers)
    return Finished(run.job)


def misbehave(run):
    if "die" in FAULTS:
        print("OSError: the disk has caught fire", file=sys.stderr, flush=True)
        os._exit(7)
    if "die-once" in FAULTS and not Path(os.environ["FAKE_RUNNER_MARK"]).exists():
        Path(os.environ["FAKE_RUNNER_MARK"]).touch()
        os.kill(os.getpid(), 9)
    if "garbage" in FAULTS:
        print("Welcome to ACME deep learning!", flush=True)
        time.sleep(30)


def main():
    if "broken" in FAULTS:
        raise ModuleNotFoundError("No module named 'torch'")
    if "child" in FAULTS:
        subprocess.Popen(["sleep", "60"])
    if "mute" in FAULTS:
        time.sleep(60)
    Thread(target=listen, daemon=True).start()
    if "chatter" in FAULTS:
        for number in range(40_000):
            print(f"warning {number}: this line is long enough to fill a pipe quickly", file=sys.stderr)
    say(Hello(PROTOCOL_VERSION, "0.0.1" if "old" in FAULTS else plugin_version(), os.getpid()))
    while True:
        while not jobs:
            time.sleep(0.01)
        say(work(jobs.pop(0)))


if __name__ == "__main__":
    main()
