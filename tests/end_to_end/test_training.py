# SPDX-License-Identifier: GPL-2.0-or-later
"""Training and measuring in QGIS with the real runner, on datasets so small that a CPU does it in seconds."""

import json
import shutil
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image

FIELD = 64  # pixels


def results_of(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["results"]


def test_what_a_model_finds_is_its_perfect_reference(qgis_process, planes, tmp_path):
    found, folder = tmp_path / "found.gpkg", tmp_path / "evaluation"
    detected = results_of(qgis_process("lwganet:detectobjects", "--json", INPUT=planes, OUTPUT=found))
    results = results_of(
        qgis_process("lwganet:evaluatemodel", "--json", INPUT=planes, REFERENCE=found, CLASS_FIELD="class_name",
                     OUTPUT=folder)
    )  # fmt: skip
    assert detected["COUNT"] > 0
    assert (results["MAP50"], results["MAP75"], results["F1"]) == (1, 1, 1)
    assert results["OBJECTS"] == detected["COUNT"]
    assert results["OUTPUT"] == str(folder)
    assert results["REPORT"] == str(folder / "report.html")
    assert "detect-ucm-l0" in Path(results["REPORT"]).read_text(encoding="utf-8")
    outcomes = pyogrio.read_dataframe(results["OUTCOMES"])
    assert (outcomes["outcome"] == "true").sum() == detected["COUNT"]
    assert outcomes.crs.to_epsg() == 26911
    assert (folder / "outcomes.qml").is_file()


@pytest.fixture
def scenes(tmp_path):
    """A dataset of two kinds of scenes that differ in brightness."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for name, level in (("dark", 40), ("bright", 180)):
            folder = tmp_path / "my scenes" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(level, level + 40, (96, 96, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "my scenes"


def test_a_model_is_trained_measured_and_used(qgis_process, scenes, planes, home, tmp_path):
    done = qgis_process("lwganet:finetunemodel", "--json", TASK="classify", DATA=scenes, EPOCHS=2, SAMPLE_SIZE=96,
                        WORKERS=1, DEVICE="cpu", OUTPUT=tmp_path / "training")  # fmt: skip
    results = results_of(done)
    assert results["MODEL"] == "my-scenes-classify"
    assert results["METRIC"] == results["TOP_1"]
    assert Path(results["REPORT"]).is_file()
    assert (home / "models" / "my-scenes-classify" / "card.json").is_file()
    measured = results_of(qgis_process("lwganet:evaluatemodel", "--json", MODEL=results["MODEL"], DATA=scenes,
                                       DEVICE="cpu", OUTPUT=tmp_path / "evaluation"))  # fmt: skip
    assert measured["TOP_1"] == results["TOP_1"]
    used = results_of(qgis_process("lwganet:classifyscenes", "--json", INPUT=planes, MODEL=results["MODEL"],
                                   CELL_PIXELS=96, OUTPUT=tmp_path / "scenes.gpkg"))  # fmt: skip
    assert used["COUNT"] == used["COUNT_DARK"] + used["COUNT_BRIGHT"] > 0


@pytest.fixture
def fields(tmp_path):
    """An image of dark and bright fields with a name that is hard on programs, and the layer that tells them apart."""
    image, labels = tmp_path / "Äcker im März.tif", tmp_path / "was wächst.gpkg"
    generator = np.random.default_rng(0)
    bright = np.add.outer(np.arange(5), np.arange(5)) % 2 == 1
    levels = np.where(bright, 180, 40).repeat(FIELD, 0).repeat(FIELD, 1)
    pixels = (levels + generator.integers(0, 40, (3, *levels.shape))).astype(np.uint8)
    to_ground = Affine(0.5, 0, 500000, 0, -0.5, 4600000)
    profile = {"width": levels.shape[1], "height": levels.shape[0], "count": 3, "dtype": "uint8"}
    with rasterio.open(image, "w", driver="GTiff", crs="EPSG:32633", transform=to_ground, **profile) as raster:
        raster.write(pixels)
    corners = FIELD * np.argwhere(np.ones_like(bright))
    polygons = [shapely.box(*(to_ground @ (x, y + FIELD)), *(to_ground @ (x + FIELD, y))) for y, x in corners]
    names = {"Frucht": np.where(bright.ravel(), "Raps/Senf", "Brache")}
    frame = geopandas.GeoDataFrame(names, geometry=polygons, crs="EPSG:32633").to_crs("EPSG:4326")
    pyogrio.write_dataframe(frame, labels)
    return str(image), str(labels)


def test_a_model_of_the_modeler_exports_trains_and_measures(pyqgis, fields, home, tmp_path):
    settings = {
        "export": {"TASK": "classify", "CLASS_FIELD": "Frucht", "CHIP_SIZE": FIELD, "OVERLAP": 0},
        "train": {"TASK": "classify", "MODEL_ID": "chained", "EPOCHS": 1, "SAMPLE_SIZE": 96, "DEVICE": "cpu"},
        "measure": {"DEVICE": "cpu"},
    }
    folder = str(tmp_path / "evaluation")
    told = pyqgis("train_in_model.py", *(json.dumps(each) for each in (*fields, folder, settings)))
    steps = told["steps"]
    assert steps["export"]["CHIPS"] == 25
    assert steps["train"]["MODEL"] == "chained"
    assert json.loads((home / "models" / "chained" / "card.json").read_text(encoding="utf-8"))["task"] == "classify"
    assert steps["measure"]["TOP_1"] == steps["train"]["TOP_1"]
    assert told["evaluation"] == folder
    assert Path(steps["measure"]["REPORT"]) == tmp_path / "evaluation" / "report.html"


def test_a_cancelled_training_leaves_its_best_model_and_goes_on(pyqgis, scenes, tmp_path):
    folder = tmp_path / "training"
    values = {"TASK": "classify", "DATA": str(scenes), "EPOCHS": 3, "SAMPLE_SIZE": 96, "DEVICE": "cpu"}
    told = pyqgis("cancel_training.py", json.dumps({**values, "OUTPUT": str(folder)}))
    assert told["error"].startswith(
        "Cancelled. The best model so far is 'my-scenes-classify', which is in the toolbox."
    )
    assert "my-scenes-classify" in told["offered"]
    assert any(text.startswith("training ") and "loss" in text for text in told["told"])
    assert told["results"]["MODEL"] == "my-scenes-classify"
    assert Path(told["results"]["REPORT"]) == folder / "report.html"


def test_what_is_wrong_with_a_dataset_is_listed_and_nothing_trained(qgis_process, scenes, tmp_path):
    shutil.copy(scenes / "train" / "dark" / "0.png", scenes / "val" / "dark" / "9.png")
    (scenes / "train" / "bright" / "1.png").write_bytes(b"no picture")
    done = qgis_process("lwganet:finetunemodel", TASK="classify", DATA=scenes, OUTPUT=tmp_path / "training")
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in told
    assert "1.png" in told
    assert "9.png" in told
    assert "nothing was trained" in done.stderr.strip().splitlines()[-1]
    assert [each.name for each in (tmp_path / "training").iterdir()] == ["check.json"]
