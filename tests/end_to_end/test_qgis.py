# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithm in QGIS with the real runner and the embedded model; the threshold is low, so that much is found."""

import json

import pyogrio
import pytest
import rasterio
import shapely

THRESHOLD, PIXEL = 0.05, 0.3
FIELDS = "class_id class_name score angle_deg length_m width_m area_m2 model run_id".split()


def check_layer(path, raster):
    """Check what holds for every result, and return its features."""
    frame = pyogrio.read_dataframe(path)
    with rasterio.open(raster) as image:
        bounds = shapely.box(*image.bounds)
    assert frame.crs.to_epsg() == 26911
    assert list(frame.columns) == [*FIELDS, "geometry"]
    assert len(frame) > 0
    assert frame.geometry.is_valid.all()
    assert frame.centroid.within(bounds.buffer(PIXEL)).all()
    assert bounds.buffer(30).contains(shapely.box(*frame.total_bounds))
    assert frame["score"].between(THRESHOLD, 1).all()
    assert frame["angle_deg"].between(0, 180, inclusive="left").all()
    assert (frame["length_m"] >= frame["width_m"]).all()
    assert frame["area_m2"].to_numpy() == pytest.approx(frame.area.to_numpy(), rel=0.01)
    assert set(frame["model"]) == {"detect-ucm-l0"}
    assert frame["run_id"].nunique() == 1
    return frame


def test_qgis_process_writes_a_layer_and_its_style(qgis_process, planes, tmp_path):
    done = qgis_process("lwganet:detectobjects", INPUT=planes, OUTPUT=tmp_path / "found.gpkg", THRESHOLD=THRESHOLD)
    assert done.returncode == 0, done.stderr
    frame = check_layer(tmp_path / "found.gpkg", planes)
    assert f"COUNT:\t{len(frame)}\n" in done.stdout
    style = (tmp_path / "found.qml").read_text(encoding="utf-8")
    assert all(f'value="{name}"' in style for name in set(frame["class_name"]))
    record = json.loads((tmp_path / "found.run.json").read_text(encoding="utf-8"))
    assert record["run_id"] == frame["run_id"].iloc[0]


def test_qgis_process_gives_numbers_as_json(qgis_process, planes, tmp_path):
    output = tmp_path / "found.gpkg"
    done = qgis_process("lwganet:detectobjects", "--json", INPUT=planes, OUTPUT=output, THRESHOLD=THRESHOLD)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    counts = check_layer(output, planes)["class_name"].value_counts()
    for name, count in counts.items():
        assert results[f"COUNT_{name.upper().replace('-', '_')}"] == count
    assert results["COUNT"] == counts.sum()
    assert results["OUTPUT"] == str(output)
    assert (results["TILES"], results["TILES_SKIPPED"]) == (1, 0)


def test_a_model_goes_on_with_the_objects(pyqgis, qgis_process, planes, tmp_path):
    destination = pyqgis("make_model.py", tmp_path / "detect_and_buffer.model3")["destination"]
    output = tmp_path / "buffered.gpkg"
    done = qgis_process(tmp_path / "detect_and_buffer.model3", **{"IMAGE": planes, destination: output})
    assert done.returncode == 0, done.stderr
    frame = pyogrio.read_dataframe(output)
    assert frame.crs.to_epsg() == 26911
    assert [name for name in frame.columns if name in FIELDS] == FIELDS
    assert (frame.area > frame["area_m2"]).all()
    assert len(frame) > 0


def test_a_script_gets_a_layer_in_memory(pyqgis, planes):
    told = pyqgis("script.py", planes, THRESHOLD)
    assert told["valid"]
    assert told["crs"] == "EPSG:26911"
    assert told["fields"] == FIELDS
    assert told["features"] == told["count"] > 0
    assert told["invalid_geometries"] == 0


def test_a_batch_has_one_runner_that_loads_the_model_once(pyqgis, squares, copied_model):
    told = pyqgis("batch.py", *copied_model, *squares)
    first, second, third = told["runners"]
    assert len(first) == 1
    assert first == second == third
    assert told["counts"] == [len(pyogrio.read_dataframe(square.with_suffix(".gpkg"))) for square in squares]


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
