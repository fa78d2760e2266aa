# SPDX-License-Identifier: GPL-2.0-or-later
import json
from dataclasses import asdict

import pytest

from model_runner.contract.data_requests import ExportDataRequest
from model_runner.contract.errors import InputError
from model_runner.contract.task_requests import (
    ChangeRequest,
    ClassifyRequest,
    Compute,
    DetectRequest,
    FinetuneRequest,
    RasterSource,
    SegmentRequest,
    Tiling,
    request_from_plain,
)


def test_a_request_survives_json():
    request = DetectRequest(
        RasterSource("a.tif", bands=(3, 2, 1), extent=(0, 1, 2, 3), extent_crs="EPSG:4326", resolution=0.3),
        output="boxes.gpkg",
        classes=("plane",),
        tiling=Tiling(512, 100),
        compute=Compute("cuda:1", "fp16", 8),
    )
    assert request_from_plain(DetectRequest, json.loads(json.dumps(asdict(request)))) == request


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"bands": (0,)}, "counted from 1"),
        ({"extent": (5, 0, 5, 1)}, "extent 5,0,5,1 is empty"),
        ({"extent": (1, 2, 3)}, "incomplete"),
        ({"extent": (0, 0, float("inf"), 1)}, "extent 0,0,inf,1 is empty"),
        ({"resolution": 0}, "above 0 metres"),
        ({"resolution": float("inf")}, "above 0 metres per pixel; inf"),
    ],
)
def test_a_raster_source_refuses_what_cannot_be(values, words):
    with pytest.raises(InputError, match=words):
        RasterSource("a.tif", **values)


TRAINING = {"task": "detect", "data": "ships", "output": "trained"}
EXPORT = {"rasters": ("a.tif",), "task": "segment", "labels": "b.gpkg", "output": "chips", "chip_size": 256}


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (Tiling, {"tile_size": 1000}, "multiple of 32"),
        (Tiling, {"tile_size": 64}, "from 96 pixels on; 64"),
        (Tiling, {"overlap": -1}, "below 0"),
        (Compute, {"device": "gpu"}, "'gpu' is unknown; use auto, cpu, cuda, mps"),
        (Compute, {"precision": "int8"}, "'int8' is unknown"),
        (Compute, {"batch_size": 0}, "1 or more"),
        (FinetuneRequest, {**TRAINING, "network": "oriented_rcnn_l2"}, "say so with --init none, or leave"),
        (FinetuneRequest, {**TRAINING, "init": "mine", "backbone": "b.pth"}, "leave --network and --backbone away"),
        (FinetuneRequest, {**TRAINING, "epochs": 0}, "epochs must be above 0; 0"),
        (FinetuneRequest, {**TRAINING, "batch_size": -2}, "batch size must be above 0; -2"),
        (FinetuneRequest, {**TRAINING, "learning_rate": float("nan")}, "learning rate must be above 0; nan"),
        (FinetuneRequest, {**TRAINING, "patience": -1}, "0 or more epochs; -1"),
        (FinetuneRequest, {**TRAINING, "workers": -1}, "0 or more processes; -1"),
        (FinetuneRequest, {**TRAINING, "seed": -1}, "seed must be 0 or more; -1"),
        (FinetuneRequest, {**TRAINING, "frozen_stages": 5}, "4 stages to freeze, 0 to 4; 5"),
        (FinetuneRequest, {**TRAINING, "sample_size": 100}, "multiple of 32 from 96 pixels on; 100"),
        (FinetuneRequest, {**TRAINING, "scale": (2, 1)}, "smallest,largest, such as 0.5,2; 2,1"),
        (FinetuneRequest, {**TRAINING, "mixing": 2}, "between 0 and 1; 2"),
        (ExportDataRequest, {**EXPORT, "seed": -1}, "seed must be 0 or more; -1"),
        (ExportDataRequest, {**EXPORT, "chip_size": 31}, "32 pixels or more; 31"),
        (ExportDataRequest, {**EXPORT, "overlap": 300}, "300 pixels, must be at least 0 and smaller"),
        (ExportDataRequest, {**EXPORT, "empty": -1}, "ratio of empty chips must be 0 or more; -1"),
        (ExportDataRequest, {**EXPORT, "block": 0}, "1 or more chips wide; 0"),
    ],
)
def test_options_refuse_what_cannot_be(kind, values, words):
    with pytest.raises(InputError, match=words):
        kind(**values)


@pytest.mark.parametrize(("given", "overlap"), [({}, 32), ({"chip_size": 64}, 8), ({"overlap": 0}, 0)])
def test_chips_overlap_by_an_eighth_unless_told(given, overlap):
    assert ExportDataRequest(**{**EXPORT, **given}).overlap_of_chips() == overlap


def test_detect_refuses_a_threshold_in_percent_and_a_shapefile():
    source = RasterSource("a.tif")
    with pytest.raises(InputError, match="between 0 and 1; 30 was given"):
        DetectRequest(source, "a.gpkg", threshold=30)
    with pytest.raises(InputError, match=r"GeoPackage \(.gpkg\); 'a.shp'"):
        DetectRequest(source, "a.shp")


@pytest.mark.parametrize(
    ("source", "values", "words"),
    [
        ({}, {"output": "a.tif"}, "'a.tif' was given"),
        ({}, {"top": 0}, "1 or more; 0"),
        ({}, {"cell_size": -1}, "cell size must be above 0; -1"),
        ({}, {"zones": "z.gpkg", "cell_size": 10}, "zones and cell size were given"),
        ({"resolution": 0.3}, {"cell_pixels": 100}, "cell pixels and resolution were given"),
    ],
)
def test_classify_refuses_what_contradicts_itself(source, values, words):
    with pytest.raises(InputError, match=words):
        ClassifyRequest(RasterSource("a.tif", **source), **{"output": "a.gpkg", **values})


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (SegmentRequest, {"source": RasterSource("a.tif"), "output": "./a.tif"}),
        (SegmentRequest, {"source": RasterSource("a.tif"), "output": "b.tif", "confidence": "folder/../a.tif"}),
        (DetectRequest, {"source": RasterSource("a.tif", mask="m.gpkg"), "output": "m.gpkg"}),
        (ChangeRequest, {"before": RasterSource("a.tif"), "after": "b.tif", "output": "b.tif"}),
        (ClassifyRequest, {"source": RasterSource("a.tif"), "zones": "z.gpkg", "output": "z.gpkg"}),
    ],
)
def test_no_result_is_written_over_what_is_read(kind, values):
    with pytest.raises(InputError, match="which is read; name another file"):
        kind(**values)


def test_no_two_results_are_written_to_one_file_however_it_is_spelled():
    with pytest.raises(InputError, match=r"to one file: b\.tif, \./b\.tif"):
        SegmentRequest(RasterSource("a.tif"), "b.tif", confidence="./b.tif")


def test_unknown_and_missing_fields_are_named():
    with pytest.raises(InputError, match=r"lacks \['source'\] and does not know \['colour'\]"):
        request_from_plain(DetectRequest, {"output": "a.gpkg", "colour": "red"})
