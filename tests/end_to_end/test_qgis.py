# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithms of the four tasks in QGIS with the real runner; where a model has no name, it is the embedded one."""

import json
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from tests.end_to_end.four_tasks import CELL, TASKS, THRESHOLD

PIXEL = 0.3
FIELDS = "class_id class_name score angle_deg length_m width_m area_m2 model run_id".split()


def box_of(raster):
    """The ground that a raster shows."""
    with rasterio.open(raster) as image:
        return shapely.box(*image.bounds)


def read_polygons(path, run_id):
    """The features of a result, of which what holds for all kinds has been checked."""
    frame = pyogrio.read_dataframe(path)
    assert frame.crs.to_epsg() == 26911
    assert frame.geometry.is_valid.all()
    assert len(frame) > 0
    assert set(frame["run_id"]) == {run_id}
    return frame


def read_raster(path, ground, nodata):
    """The pixels of a result, which must lie on the ground, each with a value."""
    with rasterio.open(path) as dataset:
        assert dataset.crs.to_epsg() == 26911
        assert dataset.bounds == pytest.approx(ground.bounds, abs=1e-6)
        assert dataset.res == pytest.approx((PIXEL, PIXEL))
        assert dataset.nodata == nodata
        pixels = dataset.read(1)
    assert (pixels != nodata).all()
    return pixels


def check_detect(results, record, square, _):
    frame = read_polygons(results["OUTPUT"], record["run_id"])
    ground = box_of(square)
    assert list(frame.columns) == [*FIELDS, "geometry"]
    assert frame.centroid.within(ground.buffer(PIXEL)).all()
    assert ground.buffer(30).contains(shapely.box(*frame.total_bounds))
    assert frame["score"].between(THRESHOLD, 1).all()
    assert frame["angle_deg"].between(0, 180, inclusive="left").all()
    assert (frame["length_m"] >= frame["width_m"]).all()
    assert frame["area_m2"].to_numpy() == pytest.approx(frame.area.to_numpy(), rel=0.01)
    counts = frame["class_name"].value_counts()
    assert {name: results[f"COUNT_{name.upper().replace('-', '_')}"] for name in counts.index} == counts.to_dict()
    assert results["COUNT"] == counts.sum()
    assert (results["TILES"], results["TILES_SKIPPED"]) == (1, 0)


def check_segment(results, record, square, _):
    classes = read_raster(results["OUTPUT"], box_of(square), 255)
    assert read_raster(results["CONFIDENCE"], box_of(square), -1).max() <= 1
    frame = read_polygons(results["POLYGONS"], record["run_id"])
    assert results["COUNT"] == len(frame)
    assert frame.union_all().symmetric_difference(box_of(square)).area < 1e-6
    numbers, pixels = np.unique(classes, return_counts=True)
    assert len(numbers) > 1
    by_class = frame.groupby(["class_id", "class_name"])["area_m2"].sum()
    assert by_class.index.get_level_values(0).to_list() == numbers.tolist()
    for (_, name), area, count in zip(by_class.index, by_class, pixels, strict=True):
        key = name.upper().replace("-", "_").replace(" ", "_")
        assert results[f"PIXELS_{key}"] == count
        assert results[f"AREA_M2_{key}"] == pytest.approx(area, rel=1e-3) == pytest.approx(count * PIXEL**2, rel=0.01)


def check_change(results, record, square, later):
    common = box_of(square) & box_of(later)
    assert (read_raster(results["OUTPUT"], common, 255) == 1).all()
    probability = read_raster(results["PROBABILITY"], common, -1)
    frame = read_polygons(results["POLYGONS"], record["run_id"])
    assert frame.total_bounds == pytest.approx(common.bounds, abs=1e-6)
    assert frame["mean_probability"].tolist() == pytest.approx([probability.mean()], abs=1e-3)
    assert results["AREA_M2_CHANGED"] == pytest.approx(common.area, rel=0.01)
    assert results["AREA_M2_CHANGED"] == pytest.approx(frame["area_m2"].sum(), rel=1e-3)
    assert (results["PIXELS_CHANGED"], results["SHARE_CHANGED"], results["COUNT"]) == (probability.size, 1, 1)


def check_classify(results, record, square, _):
    frame = read_polygons(results["OUTPUT"], record["run_id"])
    assert frame.area.to_numpy() == pytest.approx((CELL * PIXEL) ** 2)
    assert frame.union_all().symmetric_difference(box_of(square)).area < 1e-6
    assert (frame["probability"] >= frame["probability_2"]).all()
    assert (frame["class_name"] != frame["class_2"]).all()
    counts = frame["class_name"].value_counts()
    assert {name: results[f"COUNT_{name.upper()}"] for name in counts.index} == counts.to_dict()
    assert (results["COUNT"], results["LEFT_OUT"]) == (4, 0)


CHECKS = {"detect": check_detect, "segment": check_segment, "change": check_change, "classify": check_classify}


@pytest.mark.usefixtures("change_model")
@pytest.mark.parametrize("name", TASKS)
def test_qgis_process_gives_files_numbers_styles_and_record(name, qgis_process, planes, later, tmp_path):
    task, files = TASKS[name], TASKS[name].files(tmp_path)
    done = qgis_process(task.algorithm, "--json", **task.parameters(planes, later), **files)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert {key: results[key] for key in files} == files
    record = json.loads(Path(files["OUTPUT"]).with_suffix(".run.json").read_text(encoding="utf-8"))
    assert record["model"] == task.model
    assert all(Path(path).with_suffix(".qml").is_file() for path in files.values())
    CHECKS[name](results, record, planes, later)


@pytest.mark.usefixtures("change_model")
def test_a_model_goes_on_with_the_polygons_of_every_task(pyqgis, qgis_process, planes, later, tmp_path):
    steps = {
        name: (
            task.algorithm,
            dict(zip(task.images, ("IMAGE", "LATER"), strict=False)),
            {"MODEL": task.model, "DEVICE": "cpu", "PRECISION": "auto", **task.settings},
            task.polygons,
        )
        for name, task in TASKS.items()
    }
    model = tmp_path / "look_and_buffer.model3"
    destinations = pyqgis("make_model.py", model, json.dumps(["IMAGE", "LATER"]), json.dumps(steps))
    outputs = {name: tmp_path / f"buffered_{name}.gpkg" for name in TASKS}
    wanted = {destinations[name]: path for name, path in outputs.items()}
    done = qgis_process(model, IMAGE=planes, LATER=later, **wanted)
    assert done.returncode == 0, done.stderr
    frames = {name: pyogrio.read_dataframe(path) for name, path in outputs.items()}
    for name, frame in frames.items():
        assert frame.crs.to_epsg() == 26911, name
        assert len(frame) > 0, name
        assert set(frame["model"]) == {TASKS[name].model}
    for name in ("detect", "segment", "change"):
        assert (frames[name].area > frames[name]["area_m2"]).all()
    assert [each for each in frames["detect"].columns if each in FIELDS] == FIELDS


@pytest.mark.usefixtures("change_model")
def test_loaded_results_have_their_names_and_the_colours_of_the_model(pyqgis, planes, later):
    jobs = {
        name: (task.algorithm, {**task.parameters(planes, later), **task.temporary()}) for name, task in TASKS.items()
    }
    told = pyqgis("script.py", json.dumps(jobs))
    layers = {(task, name): layer for task in TASKS for name, layer in told[task]["layers"].items()}
    assert set(layers) == {(name, key) for name, task in TASKS.items() for key in task.temporary()}
    assert {layer["crs"] for layer in layers.values()} == {"EPSG:26911"}
    assert all(layer["valid"] for layer in layers.values())
    assert {layer["name"] for layer in layers.values()} == {
        "Objects in planes",
        "Classes in planes",
        "Confidence of classes in planes",
        "Outlines of classes in planes",
        "Changes from planes to later",
        "Probability of change from planes to later",
        "Outlines of changes from planes to later",
        "Scenes in planes",
    }
    for task in ("detect", "segment", "classify"):
        found = layers[task, TASKS[task].polygons]
        assert (found["invalid_geometries"], found["features"]) == (0, told[task]["numbers"]["COUNT"])
        colours = colours_of(TASKS[task].model)
        assert found["legend"]
        assert all(colours[label] == colour for label, colour in found["legend"])
    assert layers["detect", "OUTPUT"]["fields"] == FIELDS
    opaque = [[name, f"#ff{colour[1:]}"] for name, colour in colours_of("segment-demo-l0").items()]
    assert layers["segment", "OUTPUT"]["legend"] == opaque
    assert layers["change", "OUTPUT"]["legend"] == [["unchanged", "#00ffffff"], ["changed", "#ffe31a1c"]]
    for raster in (layers["segment", "CONFIDENCE"], layers["change", "PROBABILITY"]):
        assert [float(label) for label, _ in raster["legend"]] == [0, 0.25, 0.5, 0.75, 1]


def colours_of(model):
    """The colours of an embedded model's classes by name."""
    path = Path(__file__).resolve().parents[2] / "resources" / "models" / model / "card.json"
    return {each["name"]: each["colour"] for each in json.loads(path.read_text(encoding="utf-8"))["classes"]}


def test_a_batch_has_one_runner_that_loads_each_model_once(pyqgis, squares, demo, own_models, tmp_path):
    jobs, places = [], {}
    for name, task in TASKS.items():
        model, weights = own_models[name]
        places[name] = [task.files(tmp_path / f"{name}{number}") for number in range(len(squares))]
        rows = [
            {**task.parameters(square, demo), "MODEL": model, **files}
            for square, files in zip(squares, places[name], strict=True)
        ]
        jobs.append((name, task.algorithm, weights, rows))
        for number in range(len(squares)):
            (tmp_path / f"{name}{number}").mkdir()
    told = pyqgis("batch.py", json.dumps(jobs))
    assert len(told["runners"][0]) == 1
    assert all(runners == told["runners"][0] for runners in told["runners"])
    for name, task in TASKS.items():
        counts = [len(pyogrio.read_dataframe(files[task.polygons])) for files in places[name]]
        assert [results["COUNT"] for results in told["results"][name]] == counts
        for square, files in zip(squares, places[name], strict=True):
            for raster in task.rasters:
                assert box_of(files[raster]).equals_exact(box_of(square), 1e-6)


def test_a_cancelled_run_leaves_nothing(pyqgis, demo, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    told = pyqgis("cancel.py", demo, folder / "found.gpkg")
    assert told == {"computed": True, "error": "Cancelled.", "scratch": []}
    assert list(folder.iterdir()) == []


def test_after_a_killed_runner_the_next_run_works(pyqgis, demo, planes, tmp_path):
    told = pyqgis("killed_runner.py", demo, planes, tmp_path / "found.gpkg")
    assert len(told["killed"]) == 1
    assert told["error"].startswith("The model runner was killed by the system")
    assert "\n" not in told["error"]
    assert not told["left_over"]
    assert len(told["runners"]) == 1
    assert told["runners"] != told["killed"]
    assert told["again"] == len(pyogrio.read_dataframe(tmp_path / "found.gpkg"))


def test_a_damaged_raster_is_one_line(qgis_process, damaged, tmp_path):
    done = qgis_process("lwganet:detectobjects", INPUT=damaged, OUTPUT=tmp_path / "found.gpkg")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    *_, message = done.stderr.strip().splitlines()
    assert message.removeprefix("ERROR:").strip().startswith(f"The raster {damaged} cannot be ")
    assert not (tmp_path / "found.gpkg").exists()


@pytest.fixture
def wrong(planes, squares, two_bands, no_zones):
    """Tasks with a wrong parameter each, and what is said of it."""
    needs = "Model segment-demo-l0 needs 3 bands (red, green, blue);"
    return {
        "class": ("detect", {"CLASSES": "plane, zeppelin"}, "Model detect-ucm-l0 knows no class zeppelin; it knows "),
        "band": ("segment", {"BANDS": "1"}, f"{needs} you chose 1."),
        "bands": ("segment", {"INPUT": str(two_bands)}, f"{needs} the raster 'two_bands' has 2."),
        "task": (
            "segment",
            {"MODEL": "scene-ucm-l0"},
            "There is no model 'scene-ucm-l0' for this task here; installed",
        ),
        "model": ("change", {"MODEL": "magic"}, "There is no model 'magic' for this task here"),
        "place": ("change", {"AFTER": str(squares[2])}, "The two rasters have no ground in common: "),
        "zones": (
            "classify",
            {"ZONES": str(no_zones), "CELL_PIXELS": None},
            "The zones layer 'no_zones' holds no polygons; draw some, or check its filter and selection.",
        ),
    }


def with_parameter(name, parameter, square, folder):
    """An algorithm, and its parameters with one that is wrong."""
    task = TASKS[name]
    return task.algorithm, {**task.parameters(square, square), **task.files(folder), **parameter}


@pytest.mark.usefixtures("change_model")
def test_wrong_input_is_one_line_and_leaves_nothing(pyqgis, wrong, planes, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    jobs = [with_parameter(name, parameter, planes, folder) for name, parameter, _ in wrong.values()]
    for said, (_, _, text) in zip(pyqgis("refusals.py", json.dumps(jobs))["said"], wrong.values(), strict=True):
        assert said.removeprefix("Unable to execute algorithm\n").startswith(text)
        assert said.endswith(".")
        assert "\n" not in said.removeprefix("Unable to execute algorithm\n")
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("change_model")
@pytest.mark.parametrize("what", ["model", "place"])  # refused by the form and by the runner
def test_qgis_process_fails_with_that_line(what, qgis_process, wrong, planes, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    name, parameter, text = wrong[what]
    algorithm, parameters = with_parameter(name, parameter, planes, folder)
    done = qgis_process(algorithm, **parameters)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.strip().splitlines()[-1].removeprefix("ERROR:").strip().startswith(text)
    assert list(folder.iterdir()) == []
