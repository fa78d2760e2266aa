# SPDX-License-Identifier: GPL-2.0-or-later
import os
from math import radians

import geopandas
import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from model_runner.errors import InputError
from model_runner.features import detections_to_frame, images_to_frame, write_vector
from model_runner.raster.working_grid import WorkingGrid

NAMES = ("plane", "ship", "small-vehicle")
METRES = Affine(0.9996, 0, 5e5 - 500, 0, -0.9996, 5.8e6)  # a metre on the ground, north exactly up at column 500


def frame_of(boxes, transform=METRES, crs="EPSG:32633", labels=None, scores=None):
    grid = WorkingGrid(1000, 1000, transform, None if crs is None else CRS.from_string(crs))
    count = len(boxes)
    return detections_to_frame(
        np.array(boxes, dtype=np.float64).reshape(-1, 5),
        np.linspace(0.9, 0.1, count) if scores is None else scores,
        np.zeros(count, np.int64) if labels is None else labels,
        grid,
        NAMES,
        "a-model",
        "a-run",
    )


def bearing_difference(a, b):
    return np.abs((np.asarray(a) - b + 90) % 180 - 90)


@pytest.mark.parametrize(
    ("angle", "bearing"),
    [(0, 90), (90, 0), (-90, 0), (45, 135), (-45, 45), (30, 120), (-89.9, 0.1), (89.9, 179.9), (180, 90)],
)
def test_bearings_of_known_boxes(angle, bearing):
    frame = frame_of([(500, 500, 40, 10, radians(angle))])
    assert bearing_difference(frame["angle_deg"][0], bearing) < 1e-4
    assert 0 <= frame["angle_deg"][0] < 180


def test_the_long_side_counts_whichever_it_is():
    lying, standing = frame_of([(500, 500, 40, 10, 0), (500, 500, 10, 40, 0)]).itertuples()
    assert bearing_difference(lying.angle_deg, 90) < 1e-4
    assert bearing_difference(standing.angle_deg, 0) < 1e-4
    for each in (lying, standing):
        assert (each.length_m, each.width_m) == pytest.approx((40, 10), rel=1e-5)
        assert each.area_m2 == pytest.approx(400, rel=1e-5)


def test_the_long_side_is_the_one_on_the_ground():
    wide_pixels = Affine(3, 0, 5e5, 0, -1, 5.8e6)
    box = frame_of([(0, 500, 20, 30, 0)], wide_pixels).iloc[0]
    assert (box["length_m"], box["width_m"]) == pytest.approx((60 / 0.9996, 30 / 0.9996), rel=1e-5)
    assert bearing_difference(box["angle_deg"], 90) < 1e-3


def test_north_is_true_north_not_the_grid_s():
    east_of_meridian = Affine(1, 0, 7e5, 0, -1, 5.8e6)
    x, y = east_of_meridian @ (500, 500)
    transformer = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    here, above = transformer.transform(x, y), transformer.transform(x, y + 10)
    expected, _, _ = pyproj.Geod(ellps="WGS84").inv(*here, *above)
    assert abs(expected) > 2
    found = frame_of([(500, 500, 10, 40, 0)], east_of_meridian)["angle_deg"][0]
    assert bearing_difference(found, expected) < 1e-3


def test_degrees_and_web_mercator_are_measured_in_metres():
    for crs, transform in (
        ("EPSG:4326", Affine(1e-5, 0, 10, 0, -1e-5, 60)),
        ("EPSG:3857", Affine(1, 0, 1_113_194.9, 0, -1, 8_399_737.9)),
    ):
        box = frame_of([(500, 500, 40, 40, 0)], transform, crs).iloc[0]
        corners = shapely.get_coordinates(geopandas.GeoSeries([box.geometry], crs=crs).to_crs("EPSG:32632"))
        sides = np.linalg.norm(np.diff(corners[:3], axis=0), axis=1) / 0.99975  # the scale of UTM so far east
        assert (box["length_m"], box["width_m"]) == pytest.approx(sorted(sides, reverse=True), rel=2e-4)
        assert box["area_m2"] == pytest.approx(box["length_m"] * box["width_m"], rel=1e-4)


@settings(max_examples=30)
@given(
    st.floats(-1.5, 1.5), st.floats(5, 60), st.floats(5, 60), st.floats(0.2, 2), st.floats(-0.5, 0.5), st.floats(0, 6)
)
def test_polygons_are_the_mapped_corners_and_measures_are_theirs(angle, width, height, scale, shear, turn):
    transform = (
        Affine.translation(5e5, 5.8e6)
        @ Affine.rotation(np.degrees(turn))
        @ Affine(1, shear, 0, 0, 1, 0)
        @ Affine.scale(scale, -0.7)
    )
    frame = frame_of([(20, 30, width, height, angle)], transform)
    cosine, sine = np.cos(angle), np.sin(angle)
    corners = [
        transform @ (20 + cosine * x - sine * y, 30 + sine * x + cosine * y)
        for x, y in (
            (-width / 2, -height / 2), (width / 2, -height / 2), (width / 2, height / 2), (-width / 2, height / 2)
        )
    ]  # fmt: skip
    found = shapely.get_coordinates(frame.geometry[0])
    np.testing.assert_allclose(found, [*corners, corners[0]], rtol=0, atol=1e-6)
    sides = np.linalg.norm(np.diff(found[:3], axis=0), axis=1) / 0.9996
    np.testing.assert_allclose([frame["length_m"][0], frame["width_m"][0]], sorted(sides)[::-1], rtol=1e-5)
    assert frame["area_m2"][0] == pytest.approx(frame.geometry[0].area / 0.9996**2, rel=1e-5, abs=1e-3)


def test_without_a_reference_system_pixels_are_counted():
    frame = frame_of([(100, 50, 40, 10, radians(30))], Affine(1, 0, 0, 0, -1, 0), None)
    assert frame.crs is None
    row = frame.iloc[0]
    assert (row["angle_deg"], row["length_m"], row["width_m"], row["area_m2"]) == pytest.approx((120, 40, 10, 400))
    assert (row.geometry.centroid.x, row.geometry.centroid.y) == pytest.approx((100, -50))


def test_columns_tell_class_score_model_and_run():
    frame = frame_of([(1, 2, 3, 4, 0), (5, 6, 7, 8, 1)], labels=np.array([2, 0]), scores=np.array([0.5, 0.25]))
    assert list(frame.columns) == [
        "class_id", "class_name", "score", "angle_deg", "length_m", "width_m", "area_m2", "model", "run_id", "geometry",
    ]  # fmt: skip
    assert frame["class_id"].dtype == np.int32
    assert frame["class_id"].tolist() == [2, 0]
    assert frame["class_name"].tolist() == ["small-vehicle", "plane"]
    assert frame["score"].tolist() == [0.5, 0.25]
    assert set(frame["model"]) == {"a-model"}
    assert set(frame["run_id"]) == {"a-run"}


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", None])
@pytest.mark.parametrize("count", [0, 2])
def test_a_geopackage_has_schema_and_reference_system_also_when_empty(tmp_path, crs, count):
    path = tmp_path / "found.gpkg"
    frame = frame_of([(50, 60, 30, 20, 0.5)] * count, crs=crs)
    write_vector(path, frame, "found")
    info = pyogrio.read_info(path, layer="found")
    assert info["crs"] == crs
    assert info["geometry_type"] == "Polygon"
    assert info["features"] == count
    assert dict(zip(info["fields"], info["ogr_types"], strict=True)) == {
        "class_id": "OFTInteger", "class_name": "OFTString", "score": "OFTReal", "angle_deg": "OFTReal",
        "length_m": "OFTReal", "width_m": "OFTReal", "area_m2": "OFTReal", "model": "OFTString", "run_id": "OFTString",
    }  # fmt: skip
    again = geopandas.read_file(path)
    assert again.geometry.geom_equals_exact(frame.geometry, 1e-9).all()


def test_any_name_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "a!b;c#d%20?.gpkg" if os.name == "posix" else "a!b;c#d%20.gpkg"  # Windows has no question marks in names
    path = tmp_path / "!mine; all" / name
    path.parent.mkdir()
    write_vector(path, frame_of([(50, 60, 30, 20, 0.5)]), "found")
    assert [each.name for each in tmp_path.iterdir()] == ["!mine; all"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be written") as refusal:
        write_vector(tmp_path / "no" / "found.gpkg", frame_of([]), "found")
    assert "\n" not in str(refusal.value)


def test_images_without_a_place_on_earth_have_no_footprint():
    systems = [CRS.from_epsg(32633), CRS.from_wkt('LOCAL_CS["unnamed",UNIT["metre",1]]'), None]
    grids = [WorkingGrid(10, 10, METRES, system) for system in systems]
    frame = images_to_frame(["a", "b", "c"], grids, {"score": np.ones(3)})
    assert frame.crs == "EPSG:4326"
    assert frame.geometry.isna().tolist() == [False, True, True]
    assert frame["image"].tolist() == ["a", "b", "c"]
