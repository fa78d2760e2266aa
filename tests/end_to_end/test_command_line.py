# SPDX-License-Identifier: GPL-2.0-or-later
"""The runner's command line with the embedded model."""

import json

import pyogrio
import rasterio
import shapely


def test_the_same_raster_gives_the_same_objects(runner, planes, tmp_path):
    frames = []
    for name in ("first", "second"):
        done = runner("detect", planes, "--output", tmp_path / f"{name}.gpkg", "--threshold", "0.05")
        assert done.returncode == 0, done.stderr
        frames.append(pyogrio.read_dataframe(tmp_path / f"{name}.gpkg"))
        assert json.loads(done.stdout)["count"] == len(frames[-1]) > 0
    first, second = frames
    with rasterio.open(planes) as image:
        assert first.centroid.within(shapely.box(*image.bounds).buffer(image.res[0])).all()
    assert first.crs.to_epsg() == 26911
    assert list(first.columns) == (
        "class_id class_name score angle_deg length_m width_m area_m2 model run_id geometry".split()
    )
    assert first.drop(columns="run_id").equals(second.drop(columns="run_id"))
    assert set(first["run_id"]).isdisjoint(second["run_id"])
    record = json.loads((tmp_path / "first.run.json").read_text(encoding="utf-8"))
    assert record["numbers"]["count"] == len(first)
    assert record["request"]["source"]["path"] == str(planes)
    assert set(first["run_id"]) == {record["run_id"]}


def test_a_damaged_raster_is_one_line_and_leaves_nothing(runner, damaged, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    done = runner("detect", damaged, "--output", folder / "found.gpkg")
    assert done.returncode == 2
    assert done.stdout == ""
    *before, last = done.stderr.splitlines()
    assert last.startswith("error: ")
    assert str(damaged) in last
    assert not [line for line in before if line.startswith(("error", "Traceback", "warning"))]
    assert list(folder.iterdir()) == []
