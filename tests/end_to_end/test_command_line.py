# SPDX-License-Identifier: GPL-2.0-or-later
"""The runner's command line with the embedded model."""

import json

import pyogrio
import pytest
import rasterio
import shapely

from tests.end_to_end.four_tasks import CHANGE_MODEL


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


def test_what_gdal_remarks_of_a_file_stays_out_of_the_output(runner, with_preview, tmp_path):
    done = runner("segment", with_preview, "--output", tmp_path / "classes.tif")
    assert done.returncode == 0, done.stderr
    assert "Share of the ground" in done.stderr
    assert "RowsPerStrip" not in done.stderr


@pytest.mark.usefixtures("change_model")
@pytest.mark.parametrize(
    ("command", "options", "text"),
    [
        ("segment", ("--bands", "1"), "Model segment-demo-l0 needs 3 bands (red, green, blue); you chose 1"),
        ("segment", ("--model", "magic"), "There is no model 'magic'"),
        ("change", ("--model", CHANGE_MODEL), "The two rasters have no ground in common: "),
        ("classify", ("--zones", "{no_zones}"), "The zones file {no_zones} holds no polygon"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    command, options, text, runner, planes, squares, no_zones, tmp_path
):
    folder = tmp_path / "results"
    folder.mkdir()
    images = (planes, squares[2]) if command == "change" else (planes,)
    output = folder / ("scenes.gpkg" if command == "classify" else "result.tif")
    options = [option.format(no_zones=no_zones) for option in options]
    done = runner(command, *images, "--output", output, *options)
    assert done.returncode == 2
    assert done.stdout == ""
    *before, last = done.stderr.splitlines()
    assert last.startswith("error: ")
    assert text.format(no_zones=no_zones) in last
    assert not [line for line in before if line.startswith(("error", "Traceback", "warning"))]
    assert list(folder.iterdir()) == []
