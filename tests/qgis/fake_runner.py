# SPDX-License-Identifier: GPL-2.0-or-later
"""A runner that speaks the real contract and pretends to compute.

The variable FAKE_RUNNER holds its faults, separated by commas: ``hang`` (never ends a job nor hears a cancel),
``slow`` (works until it is cancelled), ``tidy`` (when cancelled, takes two seconds to leave a model), ``child`` (starts
another process), ``die`` and ``die-once`` (ends in the middle of a job), ``mute`` (never says hello), ``broken`` (ends
before hello), ``old`` (another version), ``chatter`` (floods standard error), ``garbage`` (writes what is no message),
``refuse`` and ``crash`` (answers Failed), ``unreadable`` (cannot read what a dataset is made of). Requests go to
the file FAKE_RUNNER_LOG.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from model_runner.contract.finetune_request import REPORT_FILE
from model_runner.contract.folders import plugin_version, user_models_folder
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
from model_runner.contract.model_card import CARD_FILE, WEIGHTS_FILE, ModelCard, ModelClass
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


def write_areas(path, *rows):
    """A table in a GeoPackage, as the runner writes it."""
    from osgeo import ogr

    source = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    table = source.CreateLayer("areas", geom_type=ogr.wkbNone)
    table.CreateField(ogr.FieldDefn("class_name", ogr.OFTString))
    table.CreateField(ogr.FieldDefn("area_m2", ogr.OFTReal))
    for name, area in rows:
        row = ogr.Feature(table.GetLayerDefn())
        row["class_name"], row["area_m2"] = name, area
        table.CreateFeature(row)


def write_polygons(path, raster, *rows):
    """A diamond for each row of attributes, by name, side by side in the middle of the raster."""
    from osgeo import gdal, ogr, osr

    image = gdal.Open(raster)
    x0, dx, _, y0, _, dy = image.GetGeoTransform()
    reference = osr.SpatialReference(wkt=image.GetProjection()) if image.GetProjection() else None
    vectors = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    layer = vectors.CreateLayer(Path(path).stem, reference, ogr.wkbPolygon)
    kinds = {int: ogr.OFTInteger, float: ogr.OFTReal, str: ogr.OFTString}
    for name, value in rows[0].items():
        layer.CreateField(ogr.FieldDefn(name, kinds[type(value)]))
    for number, row in enumerate(rows):
        column, middle = image.RasterXSize * (1 + number) / 3, image.RasterYSize / 2
        corners = [(-4, 0), (0, -2), (4, 0), (0, 2), (-4, 0)]
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for x, y in corners:
            ring.AddPoint_2D(x0 + (column + x) * dx, y0 + (middle + y) * dy)
        polygon = ogr.Geometry(ogr.wkbPolygon)
        polygon.AddGeometry(ring)
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(polygon)
        for name, value in row.items():
            feature.SetField(name, value)
        layer.CreateFeature(feature)


def write_raster(path, like, kind, left, right):
    """A raster of one band on the grid of another, whose halves have these values."""
    from osgeo import gdal

    image = gdal.Open(like)
    width, height = image.RasterXSize, image.RasterYSize
    raster = gdal.GetDriverByName("GTiff").Create(path, width, height, 1, kind)
    raster.SetGeoTransform(image.GetGeoTransform())
    raster.SetProjection(image.GetProjection())
    band = raster.GetRasterBand(1)
    band.Fill(left)
    half = gdal.GetDriverByName("MEM").Create("", width - width // 2, height, 1, kind)
    half.GetRasterBand(1).Fill(right)
    band.WriteRaster(width // 2, 0, width - width // 2, height, half.GetRasterBand(1).ReadRaster())


def crs_of(path):
    """The name of the reference system of a file's first layer."""
    from osgeo import ogr

    vectors = ogr.Open(path)
    reference = vectors.GetLayer(0).GetSpatialRef()
    return reference and reference.GetName()


def count_of(path):
    """The number of features in a file's first layer."""
    from osgeo import ogr

    vectors = ogr.Open(path)
    return vectors.GetLayer(0).GetFeatureCount()


def fields_of(path):
    """The names of the fields of a file's first layer."""
    from osgeo import ogr

    vectors = ogr.Open(path)
    return [each.GetName() for each in vectors.GetLayer(0).schema]


def work(run):
    request = request_from_plain(REQUESTS[run.task], run.request)
    log = os.environ.get("FAKE_RUNNER_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as lines:
            mask = (run.request.get("source") or run.request.get("before") or {}).get("mask")
            zones, labels, area, reference = (
                run.request.get(name) for name in ("zones", "labels", "area", "reference")
            )
            facts = {
                "pid": os.getpid(),
                "mask_bytes": mask and os.path.getsize(mask),
                "mask_crs": mask and crs_of(mask),
                "mask_count": mask and count_of(mask),
                "mask_fields": mask and fields_of(mask),
                "zones_fields": zones and fields_of(zones),
                "labels_count": labels and count_of(labels),
                "labels_fields": labels and fields_of(labels),
                "area_crs": area and crs_of(area),
                "area_fields": area and fields_of(area),
                "reference_fields": reference and reference.endswith(".gpkg") and fields_of(reference),
            }
            lines.write(json.dumps({**run.request, **facts}) + "\n")
    say(Log(run.job, "info", "Computing on nothing."))
    for tile in range(TILES):
        say(Progress(run.job, "tiles", tile, TILES, 3.1, 40.0))
        while FAULTS & {"slow", "hang"} and not (run.job in cancelled and "slow" in FAULTS):
            time.sleep(0.02)
        if run.job in cancelled:
            if "tidy" in FAULTS:
                time.sleep(2)
                leave_model(request)
            return Failed(run.job, "cancelled", "Cancelled.")
        if tile == TILES // 2:
            misbehave(run)
    if "refuse" in FAULTS:
        return Failed(run.job, "input", "The raster is made of cheese; use another.")
    if "crash" in FAULTS:
        return Failed(run.job, "internal", "ZeroDivisionError: division by zero")
    say(Log(run.job, "warning", "This is only a pretence."))
    return PRETENCES[run.task](run.job, request) if run.task in PRETENCES else Finished(run.job)


def detect(job, request):
    plane = {"class_id": 0, "class_name": "plane", "score": 0.9, "angle_deg": 90.0}
    ship = {"class_id": 1, "class_name": "ship", "score": 0.5, "angle_deg": 90.0}
    write_polygons(request.output, request.source.path, plane, ship)
    numbers = {"count": 2, "count_plane": 1, "count_ship": 1, "tiles": TILES, "tiles_skipped": 0, "seconds": 0.1}
    return finished(job, request, numbers, detections=request.output)


def segment(job, request):
    from osgeo import gdal

    path = request.source.path
    write_raster(request.output, path, gdal.GDT_Byte, 0, 1)
    if request.confidence:
        write_raster(request.confidence, path, gdal.GDT_Float32, 0.5, 0.9)
    if request.polygons:
        forest = {"class_id": 0, "class_name": "forest", "area_m2": 9.0}
        water = {"class_id": 1, "class_name": "open water", "area_m2": 7.0}
        write_polygons(request.polygons, path, forest, water)
    if request.areas:
        write_areas(request.areas, ("forest", 243.5), ("open water", 1243000.25))
    numbers = {"pixels_forest": 2700, "area_m2_forest": 243.0, "area_m2_open water": 243.0, "seconds": 0.1}
    outputs = {"classes": request.output, "confidence": request.confidence, "polygons": request.polygons}
    outputs["areas"] = request.areas
    return finished(job, request, numbers, **outputs)


def change(job, request):
    from osgeo import gdal

    path = request.before.path
    write_raster(request.output, path, gdal.GDT_Byte, 0, 1)
    if request.probability:
        write_raster(request.probability, path, gdal.GDT_Float32, 0.1, 0.9)
    if request.polygons:
        write_polygons(request.polygons, path, {"area_m2": 9.0, "mean_probability": 0.8})
    numbers = {"area_m2_changed": 243.0, "pixels_changed": 2700, "share_changed": 0.5, "count": 1}
    outputs = {"changes": request.output, "probability": request.probability, "polygons": request.polygons}
    return finished(job, request, numbers, **outputs)


def classify(job, request):
    harbor = {"class_id": 0, "class_name": "harbor", "probability": 0.8, "class_2": "beach", "probability_2": 0.1}
    beach = {"class_id": 1, "class_name": "beach", "probability": 0.6, "class_2": "harbor", "probability_2": 0.3}
    write_polygons(request.output, request.source.path, harbor, beach)
    numbers = {"count": 2, "count_harbor": 1, "count_beach": 1, "count_forest": 0, "left_out": 0, "seconds": 0.1}
    return finished(job, request, numbers, scenes=request.output)


def export_data(job, request):
    if "unreadable" in FAULTS:
        return Failed(job, "input", f"The label layer {request.labels} makes no sense.")
    folder = Path(request.output)
    folder.mkdir()
    (folder / "report.html").write_text("<html></html>", encoding="utf-8")
    numbers = {"chips": 7, "chips_train": 5, "chips_val": 1, "chips_test": 1, "chips_empty": 2, "classes": 2}
    outputs = {"dataset": str(folder), "report": str(folder / "report.html"), "record": str(folder / "dataset.json")}
    return Finished(job, outputs, numbers)


def load_data(job, request):
    raster = str(next(Path(request.data).glob("*.tif")))
    write_polygons(request.output, raster, {"class_name": "ship", "difficult": 0, "split": "train", "image": "a.tif"})
    outputs = {"labels": request.output}
    if request.chips:
        write_polygons(request.chips, raster, {"split": "train", "labels": 1, "image": "a.tif"})
        outputs["chips"] = request.chips
    return Finished(job, outputs, {"images": 1, "labels": 1, "without_georeference": 0, "count_ship": 1})


def evaluate(job, request):
    from osgeo import gdal

    folder = Path(request.output)
    folder.mkdir(parents=True, exist_ok=True)
    files = {"report": "report.html", "metrics": "metrics.json", "outcomes": "outcomes"}
    (folder / "report.html").write_text("<html></html>", encoding="utf-8")
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    raster = request.data if request.reference else str(next(Path(request.data).glob("*.tif")))
    if request.task in ("detect", "classify"):
        files["outcomes"] = "outcomes.gpkg"
        write_polygons(str(folder / "outcomes.gpkg"), raster, {"outcome": "true"}, {"outcome": "missed"})
    elif request.reference:
        files["outcomes"] = "outcomes.tif"
        write_raster(str(folder / "outcomes.tif"), raster, gdal.GDT_Byte, 1, 3)
    else:
        (folder / "outcomes").mkdir()
    numbers = {"mAP (area)": 0.8, "mAP50": 0.81, "F1": 0.7, "best threshold": 0.35, "top-1": 0.9, "seconds": 0.1}
    return Finished(job, {name: str(folder / file) for name, file in files.items()}, numbers)


def leave_model(request):
    """Write a model without weights into a training's folder, with a report, and among the user's models."""
    card = ModelCard(
        id=request.model_id,
        title="Trained on nothing",
        task=request.task,
        network="none",
        classes=(ModelClass("ship"),),
        metrics={"mAP50": 0.62, "AP50 ship": 0.62},
    )
    for folder in (Path(request.output), user_models_folder() / card.id):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        (folder / WEIGHTS_FILE).touch()
    (Path(request.output) / REPORT_FILE).write_text("<html></html>", encoding="utf-8")


def finetune(job, request):
    folder = Path(request.output)
    if request.check:
        return Finished(job, {"check": str(folder / "check.json")}, {"images train": 12, "warnings": 1})
    if "unreadable" in FAULTS:
        say(Log(job, "info", "Go on with --resume."))
        return Failed(job, "input", "a.tif is no image. Leave such images out by --skip-unreadable.")
    say(Progress(job, "training", 3, 90, None, 600.0, "epoch 2 of 30, loss 0.412"))
    leave_model(request)
    installed = str(user_models_folder() / request.model_id)
    outputs = {"model": installed, "folder": str(folder), "report": str(folder / REPORT_FILE)}
    return Finished(job, outputs, {"mAP50": 0.62, "AP50 ship": 0.62, "epoch": 4, "seconds": 0.1})


PRETENCES = {
    "detect": detect,
    "segment": segment,
    "change": change,
    "classify": classify,
    "export-data": export_data,
    "load-data": load_data,
    "evaluate": evaluate,
    "finetune": finetune,
}


def finished(job, request, numbers, **outputs):
    """The answer, after the run record is written beside the main output; outputs that are None are left out."""
    record = os.path.splitext(request.output)[0] + ".run.json"
    with open(record, "w", encoding="utf-8") as facts:
        facts.write('{"stretch": null}')
    return Finished(job, {**{key: path for key, path in outputs.items() if path}, "record": record}, numbers)


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
