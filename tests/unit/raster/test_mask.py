# SPDX-License-Identifier: GPL-2.0-or-later
import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine

from model_runner.errors import InputError
from model_runner.raster.source import open_source
from model_runner.raster.tiling import plan_tiles

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
PIXELS = np.full((3, 40, 60), 100, np.uint8)
BOX = shapely.box(400_005, 5_799_985, 400_015, 5_799_995)  # columns 10 to 30, rows 10 to 30
LOCAL = 'LOCAL_CS["site",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
EXPECTED = np.zeros((40, 60), bool)
EXPECTED[10:30, 10:30] = True


@pytest.fixture
def make_mask(tmp_path):
    def make(geometry, crs="EPSG:32633", name="mask.gpkg"):
        path = str(tmp_path / name)
        geopandas.GeoDataFrame({"a": range(len(geometry))}, geometry=list(geometry), crs=crs).to_file(path)
        return path

    return make


def valid(path, mask, **options):
    with open_source(path, band_count=3, mask=mask, **options) as source:
        tiles = plan_tiles(source.grid.width, source.grid.height, 16, 3)
        found = np.zeros((source.grid.height + 16, source.grid.width + 16), bool)
        for tile in tiles:
            read = source.read(tile)
            assert source.has_data(tile) >= read.valid.any()
            assert not read.pixels[:, ~read.valid].any()
            found[tile.y : tile.y + 16, tile.x : tile.x + 16] |= read.valid
        return found[: source.grid.height, : source.grid.width]


def refusal(path, mask):
    with pytest.raises(InputError) as error, open_source(path, band_count=3, mask=mask):
        pass
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["mask.gpkg", "mask.geojson", "mask.shp"])
def test_pixels_outside_the_polygons_are_not_valid(make_raster, make_mask, name):
    np.testing.assert_array_equal(valid(make_raster("a.tif", PIXELS), make_mask([BOX], name=name)), EXPECTED)


def test_polygons_in_another_reference_system_are_transformed(make_raster, make_mask):
    degrees = geopandas.GeoSeries([BOX], crs="EPSG:32633").to_crs("EPSG:4326")
    np.testing.assert_array_equal(valid(make_raster("a.tif", PIXELS), make_mask(degrees, "EPSG:4326")), EXPECTED)


def test_a_polygon_of_half_the_world_covers_what_lies_in_it(make_raster, make_mask):
    world = make_mask([shapely.box(-179, -89, 179, 89)], "EPSG:4326")
    assert valid(make_raster("a.tif", PIXELS), world).all()


def test_parts_holes_and_overlaps(make_raster, make_mask):
    hole = shapely.difference(BOX, shapely.box(400_008, 5_799_988, 400_010, 5_799_990))
    parts = shapely.MultiPolygon([hole, shapely.box(400_020, 5_799_985, 400_021, 5_799_986)])
    expected = EXPECTED.copy()
    expected[20:24, 16:20] = False
    expected[28:30, 40:42] = True
    mask = make_mask([parts, shapely.box(400_005, 5_799_990, 400_006, 5_799_995)])
    np.testing.assert_array_equal(valid(make_raster("a.tif", PIXELS), mask), expected)


def test_lines_among_polygons_are_passed_over(make_raster, make_mask):
    line = shapely.LineString([(400_000, 5_800_000), (400_030, 5_799_980)])
    mixed = shapely.GeometryCollection([BOX, line])
    np.testing.assert_array_equal(
        valid(make_raster("a.tif", PIXELS), make_mask([mixed, line], name="mask.geojson")), EXPECTED
    )


def test_a_bow_tie_is_repaired(make_raster, make_mask):
    x, y = 400_005, 5_799_985
    tie = shapely.Polygon([(x, y), (x + 10, y + 10), (x + 10, y), (x, y + 10)])
    found = valid(make_raster("a.tif", PIXELS), make_mask([tie]))
    assert found.sum() == pytest.approx(200, abs=25)
    assert not found[~EXPECTED].any()


def test_polygons_on_a_rotated_raster(make_raster, make_mask):
    transform = Affine.translation(400_000, 5_800_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
    polygon = shapely.Polygon([transform @ corner for corner in ((10, 10), (30, 10), (30, 30), (10, 30))])
    path = make_raster("a.tif", PIXELS, transform=transform)
    np.testing.assert_array_equal(valid(path, make_mask([polygon.buffer(0.01)])), EXPECTED)


def test_polygons_on_a_coarser_grid(make_raster, make_mask):
    found = valid(make_raster("a.tif", PIXELS), make_mask([BOX]), resolution=1.0003)
    np.testing.assert_array_equal(found, EXPECTED[::2, ::2])


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_polygons_without_reference_system_on_a_raster_without_one(make_raster, make_mask):
    path = make_raster("a.tif", PIXELS, transform=Affine.identity(), crs=None)
    np.testing.assert_array_equal(valid(path, make_mask([shapely.box(10, -30, 30, -10)], None)), EXPECTED)


def test_tiles_away_from_the_polygons_have_no_data(make_raster, make_mask):
    with open_source(make_raster("a.tif", PIXELS), band_count=3, mask=make_mask([BOX])) as source:
        has_data = [source.has_data(tile) for tile in plan_tiles(60, 40, 20, 0)]
    assert has_data == [True, True, False, True, True, False]


def test_polygons_elsewhere_are_refused(make_raster, make_mask):
    assert "do not touch" in refusal(make_raster("a.tif", PIXELS), make_mask([shapely.box(0, 0, 1, 1)]))


def test_polygons_of_a_system_without_place_on_earth_are_refused(make_raster, make_mask):
    path = make_raster("a.tif", PIXELS, crs=LOCAL)
    assert "no way from WGS 84 / UTM zone 33N to site" in refusal(path, make_mask([BOX]))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4258", "EPSG:32660"])
def test_polygons_beyond_the_antimeridian_are_found(make_raster, make_mask, crs):
    path = make_raster("a.tif", PIXELS, transform=Affine(0.001, 0, 179.995, 0, -0.001, 0.02), crs="EPSG:4326")
    beyond = geopandas.GeoSeries([shapely.box(-179.995, -0.01, -179.975, 0.01)], crs="EPSG:4326").to_crs(crs)
    np.testing.assert_array_equal(valid(path, make_mask(beyond, crs)), EXPECTED)


def test_the_whole_world_covers_a_raster_across_the_antimeridian(make_raster, make_mask):
    path = make_raster("a.tif", PIXELS, transform=Affine(0.001, 0, 179.98, 0, -0.001, 0.02), crs="EPSG:4326")
    assert valid(path, make_mask([shapely.box(-180, -90, 180, 90)], "EPSG:4326")).all()


def test_polygons_outside_the_extent_are_refused(make_raster, make_mask):
    path, mask = make_raster("a.tif", PIXELS), make_mask([BOX])
    with (
        pytest.raises(InputError, match="do not touch"),
        open_source(path, band_count=3, mask=mask, extent=(400_020, 5_799_980, 400_030, 5_800_000)),
    ):
        pass


def test_a_mask_without_polygons_is_refused(make_raster, make_mask):
    assert "mask.gpkg holds no polygon" in refusal(
        make_raster("a.tif", PIXELS), make_mask([shapely.Point(400_005, 5_799_990)])
    )


def test_a_file_without_geometry_is_refused(make_raster, tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    assert "table.csv holds no polygon" in refusal(make_raster("a.tif", PIXELS), str(tmp_path / "table.csv"))


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_mask_that_is_no_vector_file_is_refused(make_raster, tmp_path, content):
    path = tmp_path / "mask.gpkg"
    if content:
        path.write_text(content)
    assert "mask.gpkg cannot be read" in refusal(make_raster("a.tif", PIXELS), str(path))
