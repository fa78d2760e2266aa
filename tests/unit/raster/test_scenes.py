# SPDX-License-Identifier: GPL-2.0-or-later
import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from model_runner.errors import InputError
from model_runner.raster.scenes import (
    Scene,
    cell_sides,
    middle_square,
    outlines,
    plan_cells,
    share_covered,
    square_scenes,
)
from model_runner.raster.source import open_source
from model_runner.raster.working_grid import WorkingGrid

UTM = CRS.from_epsg(32633)


def grid_of(width, height, metres=1.0, crs=UTM):
    return WorkingGrid(width, height, Affine(metres, 0, 500_000, 0, -metres, 5_800_000), crs)


@given(st.integers(1, 300), st.integers(1, 300), st.floats(8, 120), st.floats(8, 120))
def test_cells_lie_side_by_side_and_only_those_half_on_the_raster_are_kept(width, height, cell_width, cell_height):
    grid = grid_of(width, height)
    on_grid = {
        (row, column): min(1, (width - column * cell_width) / cell_width)
        * min(1, (height - row * cell_height) / cell_height)
        for row in range(int(np.ceil(height / cell_height)))
        for column in range(int(np.ceil(width / cell_width)))
    }
    expected = [place for place, share in on_grid.items() if share >= 0.5]
    if not expected:
        with pytest.raises(InputError, match="does not fill half of a cell"):
            plan_cells(grid, cell_width, cell_height, "a.tif")
        return
    cells = plan_cells(grid, cell_width, cell_height, "a.tif")
    assert [each.number for each in cells] == list(range(len(expected)))
    assert [(each.x, each.y) for each in cells] == [(c * cell_width, r * cell_height) for r, c in expected]
    assert {(each.width, each.height) for each in cells} == {(cell_width, cell_height)}
    area = sum(on_grid[place] for place in expected) * cell_width * cell_height
    assert share_covered(cells, grid) == pytest.approx(area / (width * height))


def test_the_raster_s_own_pixels_are_kept_where_a_cell_has_as_many_as_the_model():
    assert cell_sides(grid_of(1000, 1000, 0.3), 76.8, 256, "a.tif") == (256, 256)  # the map's scale is 0.9996
    width, height = cell_sides(grid_of(1000, 1000, 0.3), 100, 256, "a.tif")
    assert (width, height) == pytest.approx((100 / 0.3 * 0.9996, 100 / 0.3 * 0.9996), rel=1e-5)


@pytest.mark.parametrize(("metres", "crs", "text"), [(7, UTM, "only 7 pixels"), (70, None, "no coordinate reference")])
def test_cells_that_cannot_be_are_refused_in_a_line(metres, crs, text):
    with pytest.raises(InputError, match=text) as error:
        cell_sides(grid_of(100, 100, crs=crs), metres, 256, "a.tif")
    assert "\n" not in str(error.value)


@given(
    st.tuples(st.floats(-50, 90), st.floats(-50, 190)), st.tuples(st.floats(1, 100), st.floats(1, 100)), st.booleans()
)
def test_the_square_of_a_zone_holds_its_box_and_stays_on_the_raster_where_it_can(corner, sides, is_degrees):
    grid = grid_of(100, 200)
    if is_degrees:
        grid = WorkingGrid(100, 200, Affine(1e-5, 0, 10, 0, -1e-5, 60), CRS.from_epsg(4326))
    left, top, right, bottom = box = np.array([*corner, *np.add(corner, sides)])
    (scene,) = square_scenes(grid, box[None], np.array([7]))
    assert scene.number == 7
    assert scene.x <= left + 1e-9
    assert scene.y <= top + 1e-9
    assert scene.x + scene.width >= right - 1e-9
    assert scene.y + scene.height >= bottom - 1e-9
    middle = (scene.x + scene.width / 2, scene.y + scene.height / 2)
    across, down = grid.metres_along_axes_at(*middle)
    assert scene.width * across == pytest.approx(scene.height * down, rel=1e-4)
    assert scene.width == pytest.approx(sides[0]) or scene.height == pytest.approx(sides[1])
    for begin, side, low, high, length in (
        (scene.x, scene.width, left, right, grid.width),
        (scene.y, scene.height, top, bottom, grid.height),
    ):
        if low >= 0 and high <= length and side <= length:
            assert begin >= -1e-9
            assert begin + side <= length + 1e-9


def test_outlines_are_the_windows_on_the_ground():
    grid = WorkingGrid(100, 100, Affine.translation(100, 200) @ Affine.rotation(30) @ Affine.scale(2, -2), UTM)
    scene = Scene(0, 10, 20, 30, 40)
    expected = [grid.to_ground @ corner for corner in ((10, 20), (40, 20), (40, 60), (10, 60))]
    np.testing.assert_allclose(outlines(grid, [scene])[0], expected)
    assert shapely.polygons(outlines(grid, [scene]))[0].area == pytest.approx(30 * 40 * 4)


def test_the_middle_of_an_image_is_a_square_of_its_shorter_side():
    assert middle_square(grid_of(300, 200)) == Scene(0, 50, 0, 200, 200)
    assert middle_square(grid_of(201, 300)) == Scene(0, 0, 49, 201, 201)


@pytest.mark.parametrize("overviews", [(), (2, 4)])
@pytest.mark.parametrize("extent", [None, (400_020, 5_799_940, 400_100, 5_799_990)])
def test_a_scene_is_averaged_from_the_pixels_under_it_and_has_none_beyond(make_raster, overviews, extent):
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (3, 160, 240), np.uint8)
    raster = make_raster("a.tif", pixels, overviews=overviews)
    with open_source(raster, band_count=3, extent=extent) as source:
        column, row = (0, 0) if extent is None else (40, 20)
        seen = pixels[:, row : row + source.grid.height, column : column + source.grid.width]
        read = source.read_scene(Scene(0, -32, 16, 128, 64), 16)  # 8 x 4 pixels each
        assert not read.valid[:, :4].any()
        assert read.valid[:, 4:].all()
        assert not read.pixels[:, ~read.valid].any()
        window = seen[:, 16:80, :96].astype(np.float64)
        expected = window.reshape(3, 16, 4, 12, 8).mean(axis=(2, 4))
        np.testing.assert_allclose(read.pixels[:, :, 4:], expected, atol=1.0 if overviews else 1e-3)
        assert source.scene_has_data(Scene(0, -32, 16, 128, 64), 16)
        assert not source.scene_has_data(Scene(0, -128, 16, 128, 64), 16)


def test_a_scene_on_the_raster_s_own_pixels_is_not_resampled(make_raster):
    pixels = np.random.default_rng(4).integers(0, 255, (3, 64, 64), np.uint8)
    with open_source(make_raster("a.tif", pixels), band_count=3) as source:
        read = source.read_scene(Scene(0, 8, 40, 32, 32), 32)
    np.testing.assert_array_equal(read.pixels[:, :24], pixels[:, 40:, 8:40])
    np.testing.assert_array_equal(read.valid, (np.arange(32) < 24)[:, None].repeat(32, axis=1))


def test_a_mask_hides_the_same_ground_from_scenes_as_from_tiles(make_raster, tmp_path):
    raster = make_raster("a.tif", np.full((3, 64, 64), 100, np.uint8))
    box = shapely.box(400_004, 5_799_980, 400_012, 5_799_996)  # columns 8 to 24, rows 8 to 40
    geopandas.GeoSeries([box], crs="EPSG:32633").to_file(tmp_path / "mask.gpkg")
    expected = np.zeros((32, 32), bool)
    expected[4:20, 4:12] = True
    with open_source(raster, band_count=3, mask=str(tmp_path / "mask.gpkg")) as source:
        np.testing.assert_array_equal(source.read_scene(Scene(0, 0, 0, 64, 64), 32).valid, expected)
        np.testing.assert_array_equal(source.read_scene(Scene(0, -8, 0, 64, 64), 32).valid[:, 4:], expected[:, :28])
        assert not source.scene_has_data(Scene(0, 32, 0, 32, 32), 32)
