# SPDX-License-Identifier: GPL-2.0-or-later
import re

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from model_runner.errors import InputError
from model_runner.features import write_vector, zones_to_frame
from model_runner.raster.polygon_files import class_name, polygons_on_grid, read_polygon_features
from model_runner.raster.working_grid import WorkingGrid


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32660"])
def test_a_polygon_across_the_antimeridian_lies_where_it_belongs(crs):
    grid = WorkingGrid(200, 100, Affine(0.001, 0, 179.9, 0, -0.001, 0.05), CRS.from_epsg(4326))
    columns, rows = np.array([[50, 150, 150, 50], [20, 20, 80, 80]])
    longitude, latitude = grid.to_ground @ (columns, rows)
    turned = np.where(longitude > 180, longitude - 360, longitude)
    drawn = geopandas.GeoSeries([shapely.Polygon(np.stack([turned, latitude], axis=1))], crs="EPSG:4326")
    (polygon,) = polygons_on_grid(drawn.to_crs(crs), grid)
    np.testing.assert_allclose(shapely.get_coordinates(polygon)[:4], np.stack([columns, rows], axis=1), atol=1e-3)


@pytest.mark.parametrize("box", [(-180, 0, 0, 90), (-180, -90, 180, 90), (-120, 20, -80, 60)])
def test_polygons_that_reach_far_beyond_the_raster_cover_it(box):
    grid = WorkingGrid(200, 100, Affine(5, 0, 500_000, 0, -5, 5_000_000), CRS.from_epsg(26914))
    (polygon,) = polygons_on_grid(geopandas.GeoSeries([shapely.box(*box)], crs="EPSG:4326"), grid)
    assert polygon.contains(shapely.box(0, 0, 200, 100))


def test_a_ring_that_is_not_closed_is_closed(tmp_path):
    ring = '{"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2]]]}'
    (tmp_path / "a.geojson").write_text(
        f'{{"type": "FeatureCollection", "features": [{{"type": "Feature", "properties": {{}}, "geometry": {ring}}}]}}'
    )
    frame = read_polygon_features(str(tmp_path / "a.geojson"), "mask", with_fields=False)
    assert shapely.area(frame.geometry.to_numpy()).tolist() == [4]


@pytest.mark.parametrize("rotation", [0, 30])
def test_what_has_no_place_in_the_raster_s_system_is_infinite(rotation):
    to_ground = Affine(1, 0, 400_000, 0, -1, 5_800_000) @ Affine.rotation(rotation)
    grid = WorkingGrid(200, 100, to_ground, CRS.from_epsg(32633))
    boxes = [shapely.box(0, 95, 20, 99), shapely.box(13.53, 52.33, 13.54, 52.34), shapely.box(99, 95, 120, 99)]
    placed = polygons_on_grid(geopandas.GeoSeries(boxes, crs="EPSG:4326"), grid)
    assert np.isfinite(shapely.bounds(placed)).all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize("where", ["colour = 5", 'class = "'])
def test_a_condition_that_is_no_sql_is_refused_in_a_line(tmp_path, where):
    path = str(tmp_path / "a.gpkg")
    geopandas.GeoDataFrame({"class": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:4326").to_file(path)
    with pytest.raises(InputError, match=r"reference .*a\.gpkg cannot be read: .*colour|unrecognized") as refusal:
        read_polygon_features(path, "reference", with_fields=True, where=where)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["a!b.gpkg", "fields; north.shp", "!.geojson"])
def test_files_may_have_signs_in_their_names_that_have_a_meaning_elsewhere(tmp_path, name):
    drawn = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:4326")
    plain = (tmp_path / "plain").with_suffix(name[name.rindex(".") :])
    drawn.to_file(plain)
    for part in tmp_path.glob("plain.*"):
        part.rename(tmp_path / f"{name[: name.rindex('.')]}{part.suffix}")
    frame = read_polygon_features(str(tmp_path / name), "mask", with_fields=True)
    assert (frame["class"].tolist(), frame.crs.to_epsg()) == (["a"], 4326)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (3301010100.0, "3301010100"),
        (1e6 + 1, "1000001"),
        (7.0, "7"),
        (2.5, "2.5"),
        (0.1234567891, "0.1234567891"),
        (np.float64(3.0), "3"),
        (float("nan"), ""),
        (None, ""),
        (7, "7"),
        (" a/b. ", "a_b"),
        ("Con", "Con_"),  # no file or folder on Windows
        ("conifers", "conifers"),
    ],
)
def test_the_name_of_a_class_keeps_all_digits(value, name):
    assert class_name(value) == name


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
def test_whole_numbers_stay_whole_where_some_are_missing(tmp_path, suffix):
    path = str(tmp_path / f"a{suffix}")
    key = 2**53 + 1 if suffix != ".shp" else 123456789012345678
    fields = {"key": pandas.array([key, None, 3], "Int64"), "year": pandas.array([None, 2020, 2021], "Int32")}
    squares = [shapely.box(0, 0, 1, 1), shapely.Point(0, 0).buffer(1), shapely.box(2, 2, 3, 3)]
    geopandas.GeoDataFrame(fields, geometry=squares, crs="EPSG:32633").to_file(path)
    frame = read_polygon_features(path, "zones", with_fields=True, where="year > 0 OR key > 3")
    assert frame["key"].tolist() == [key, pandas.NA, 3]
    assert frame["year"].tolist() == [pandas.NA, 2020, 2021]
    write_vector(tmp_path / "b.gpkg", zones_to_frame(frame, {}), "b")
    kinds = pyogrio.read_info(tmp_path / "b.gpkg")
    assert dict(zip(kinds["fields"], kinds["dtypes"], strict=True)) == {"key": "int64", "year": "int32"}
    assert read_polygon_features(str(tmp_path / "b.gpkg"), "zones", with_fields=True)["key"].tolist()[0] == key


def test_of_several_layers_one_must_be_named(tmp_path):
    path = tmp_path / "project.gpkg"
    for number, layer in enumerate(("roads", "study area")):
        geopandas.GeoDataFrame({"n": [number]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633).to_file(
            path, layer=layer
        )
    told = f"The mask {path} holds the layers roads, study area; name one of them: {path}|layername=roads"
    with pytest.raises(InputError, match=re.escape(told)):
        read_polygon_features(str(path), "mask", with_fields=False)
    frame = read_polygon_features(f"{path}|layername=study area", "mask", with_fields=True)
    assert frame["n"].tolist() == [1]
    with pytest.raises(InputError, match=re.escape(f"The mask {path} cannot be read:")):
        read_polygon_features(f"{path}|layername=rivers", "mask", with_fields=False)
