# SPDX-License-Identifier: GPL-2.0-or-later
"""Two rasters in, maps and outlines of change out."""

import json

import numpy as np
import pyogrio
import pytest
import rasterio
import torch
from affine import Affine

from model_runner.contract.model_card import Licence, ModelCard, ModelClass
from model_runner.contract.task_requests import ChangeRequest, Compute, Outlines, RasterSource, Tiling
from model_runner.errors import InputError
from model_runner.model_store.store import save_model
from model_runner.networks import build_network
from model_runner.report import Report
from model_runner.tasks import change as task
from model_runner.tasks.change import change
from tests.lines import Lines

GROUND = Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)
WIDTH, HEIGHT = 260, 170
SQUARE = slice(40, 72), slice(100, 148)  # rows and columns of what changes: 16 m by 24 m


def card_of(network="a2net_l0", **facts):
    return ModelCard(
        id="tiny",
        title="Tiny",
        task="change",
        network=network,
        classes=(ModelClass("unchanged", "#000000"), ModelClass("changed", "#e31a1c")),
        tile_size=96,
        overlap=32,
        threshold=0.5,
        licence=Licence("CC0-1.0"),
        **facts,
    )


class Difference(torch.nn.Module):
    """Calls changed what differs by more than a standard deviation, with a probability of 0.88."""

    def forward(self, before, after):
        return torch.where((before - after).abs().mean(1, keepdim=True) > 1, 2.0, -2.0)


@pytest.fixture
def difference(monkeypatch):
    monkeypatch.setattr(task, "loaded_model", lambda *_: (card_of(), Difference()))


def read_bands(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


@pytest.fixture
def pair(make_raster):
    """A field at two dates, the later one with a bright square and on another grid."""
    random = np.random.default_rng(0)
    before = random.integers(60, 100, (3, HEIGHT, WIDTH)).astype(np.uint8)
    after = before.copy()
    after[(slice(None), *SQUARE)] = 250
    further = np.pad(after, ((0, 0), (10, 0), (20, 0)), constant_values=80)
    return (
        make_raster("before.tif", before, transform=GROUND),
        make_raster("after.tif", further, transform=GROUND @ Affine.translation(-20, -10)),
    )


@pytest.fixture
def run(tmp_path):
    def run(before, after, report=None, **options):
        source = RasterSource(before, **{key: options.pop(key) for key in ("extent", "resolution") if key in options})
        request = ChangeRequest(source, after, str(tmp_path / "change.tif"), compute=Compute("cpu"), **options)
        finished = change(request, report or Report())
        with rasterio.open(request.output) as dataset:
            return finished, dataset.read(1), dataset.transform

    return run


@pytest.mark.usefixtures("difference")
def test_what_changed_is_found_where_it_is_with_its_size(pair, run, tmp_path):
    files = {"probability": str(tmp_path / "p.tif"), "polygons": str(tmp_path / "change.gpkg")}
    finished, found, transform = run(*pair, **files)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[SQUARE] = 1
    np.testing.assert_array_equal(found, expected)
    assert transform == GROUND
    with rasterio.open(files["probability"]) as dataset:
        np.testing.assert_allclose(dataset.read(1), np.where(expected, 0.881, 0.119), atol=1e-3)

    frame = pyogrio.read_dataframe(files["polygons"])
    assert list(frame.columns) == ["area_m2", "mean_probability", "model", "run_id", "geometry"]
    assert frame.crs.to_epsg() == 32633
    assert frame["area_m2"].tolist() == pytest.approx([16 * 24], rel=2e-3)  # the map's scale
    assert frame["mean_probability"].tolist() == pytest.approx([0.881], abs=1e-3)
    assert frame.total_bounds.tolist() == [400_050, 5_800_000 - 36, 400_074, 5_800_000 - 20]

    numbers = finished.numbers
    assert numbers["count"] == 1
    assert numbers["pixels_changed"] == 32 * 48
    assert numbers["area_m2_changed"] == pytest.approx(16 * 24, rel=2e-3)
    assert numbers["share_changed"] == pytest.approx(32 * 48 / WIDTH / HEIGHT, abs=1e-5)
    record = json.loads((tmp_path / "change.run.json").read_text(encoding="utf-8"))
    assert set(frame["run_id"]) == {record["run_id"]}
    assert [record["rasters"][date]["path"] for date in ("before", "after")] == list(pair)
    assert record["checks"]["metres_after"] == pytest.approx(0.5, rel=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".aux.xml")) == sorted(
        ["before.tif", "after.tif", "change.tif", "change.run.json", "change.gpkg", "p.tif"]
    )


@pytest.mark.usefixtures("difference")
def test_nothing_changes_between_a_raster_and_itself(pair, run, tmp_path):
    report = Lines()
    finished, found, _ = run(pair[0], pair[0], report, polygons=str(tmp_path / "change.gpkg"))
    assert not found.any()
    (warning,) = report.warnings
    assert f"are the same one, {pair[0]}" in warning
    assert finished.numbers["count"] == finished.numbers["area_m2_changed"] == 0


@pytest.mark.usefixtures("difference")
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_without_a_reference_system_nothing_is_told_in_square_metres(pair, make_raster, run, tmp_path):
    pixels = read_bands(pair[0])
    changed = pixels.copy()
    changed[(slice(None), *SQUARE)] = 250
    images = [
        make_raster(f"{name}.tif", date, transform=Affine.identity(), crs=None)
        for name, date in (("earlier", pixels), ("later", changed))
    ]
    finished, _, _ = run(*images, polygons=str(tmp_path / "change.gpkg"))
    assert not [name for name in finished.numbers if "m2" in name]
    assert finished.numbers["pixels_changed"] == 32 * 48
    frame = pyogrio.read_dataframe(tmp_path / "change.gpkg")
    assert list(frame.columns) == ["area_pixels", "mean_probability", "model", "run_id", "geometry"]
    assert frame["area_pixels"].tolist() == [32 * 48]


@pytest.mark.usefixtures("difference")
def test_a_part_is_the_crop_of_the_whole(pair, run):
    left, top = GROUND @ (90, 30)
    _, found, transform = run(*pair, extent=(left, top - 40, left + 50, top))
    assert transform == GROUND @ Affine.translation(90, 30)
    assert found.shape == (80, 100)
    assert found[10:42, 10:58].all()
    assert found.sum() == 32 * 48


@pytest.mark.usefixtures("difference")
def test_pixels_without_data_at_either_date_have_none_in_the_result(pair, make_raster, run):
    pixels = read_bands(pair[0])
    pixels[:, :, :30] = 0
    after = make_raster("gaps.tif", pixels, nodata=0, transform=GROUND @ Affine.translation(15, 0))
    _, found, transform = run(pair[0], after)
    assert transform == GROUND @ Affine.translation(15, 0)
    assert found.shape == (HEIGHT, WIDTH - 15)
    assert (found[:, :30] == 255).all()
    assert (found[:, 30:] != 255).all()


@pytest.mark.usefixtures("difference")
@pytest.mark.parametrize("metres", [0.9, 2.0])
def test_work_on_coarser_pixels_gives_the_earlier_rasters_own_ones_back(pair, make_raster, run, metres, tmp_path):
    gaps = np.zeros((2, HEIGHT, WIDTH), bool)
    gaps[0, 130:150, 30:90] = gaps[1, :25, 201:] = True
    before, after = (read_bands(path) for path in pair)
    before[:, gaps[0]] = after[:, 10:, 20:][:, gaps[1]] = 0
    before = make_raster("b.tif", before, nodata=0, transform=GROUND)
    after = make_raster("a.tif", after, nodata=0, transform=GROUND @ Affine.translation(-20, -10))
    polygons = str(tmp_path / "change.gpkg")
    finished, found, transform = run(before, after, resolution=metres, polygons=polygons)
    assert transform == GROUND
    np.testing.assert_array_equal(found == 255, gaps.any(0))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[SQUARE] = True
    assert ((found == 1) != expected).mean() < 0.01  # along the border of the square
    assert finished.numbers["pixels_changed"] == (found == 1).sum()
    assert pyogrio.read_dataframe(polygons)["area_m2"].sum() == pytest.approx(
        finished.numbers["area_m2_changed"], rel=1e-4
    )

    _, coarse, transform = run(before, after, resolution=metres, model_grid=True)
    assert coarse.shape == pytest.approx((HEIGHT * 0.5 / metres, WIDTH * 0.5 / metres), abs=1)
    assert transform.a == pytest.approx(metres, rel=0.01)


@pytest.mark.usefixtures("difference")
def test_rasters_without_a_pixel_in_common_that_has_data_are_told(pair, make_raster, run):
    report = Lines()
    finished, found, _ = run(
        pair[0], make_raster("empty.tif", np.zeros((3, HEIGHT, WIDTH), np.uint8), nodata=0), report
    )
    assert (found == 255).all()
    assert finished.numbers["share_changed"] == 0
    assert report.warnings == ["No pixel has data at both dates."]


@pytest.mark.usefixtures("difference")
def test_matched_colours_hide_a_change_of_light(pair, make_raster, run):
    brighter = (read_bands(pair[0]) * 1.6 + 60).astype(np.uint8)
    brighter = make_raster("brighter.tif", brighter, transform=GROUND)
    report = Lines()
    assert run(pair[0], brighter, report)[0].numbers["share_changed"] > 0.9
    assert any("colours are matched" in warning for warning in report.warnings)
    assert run(pair[0], brighter, match_colours=True)[0].numbers["share_changed"] == 0


@pytest.mark.usefixtures("difference")
def test_small_changes_are_no_polygons_if_that_is_wished(pair, run, tmp_path):
    polygons = str(tmp_path / "change.gpkg")
    finished, found, _ = run(*pair, polygons=polygons, outlines=Outlines(minimum_area=500))
    assert found.any()
    assert finished.numbers["count"] == len(pyogrio.read_dataframe(polygons)) == 0


@pytest.mark.parametrize("network", ["a2net_l0", "clafa_l0"])
def test_the_networks_answer_with_and_without_flips(network, pair, run, tmp_path, monkeypatch):
    monkeypatch.setenv("LWGANET_HOME", str(tmp_path / "home"))
    torch.manual_seed(0)
    save_model(card_of(network), build_network(network).state_dict())
    maps = []
    for flips in (False, True):
        path = str(tmp_path / f"{flips}.tif")
        run(*pair, model="tiny", probability=path, flips=flips, tiling=Tiling(160, 32))
        with rasterio.open(path) as dataset:
            maps.append(dataset.read(1))
    assert all(0 <= each.min() < each.max() <= 1 for each in maps)
    assert 0 < np.abs(maps[0] - maps[1]).max() < 0.5


@pytest.mark.usefixtures("difference")
@pytest.mark.parametrize(
    ("options", "message"), [({"after_bands": (1,)}, "needs 3 bands"), ({"after_bands": (1, 2, 7)}, "no band 7")]
)
def test_bands_that_the_later_raster_does_not_have_are_refused(pair, run, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(*pair, **options)
    assert not (tmp_path / "change.tif").exists()


def test_a_result_that_could_not_be_written_is_refused_before_anything_else(tmp_path):
    request = ChangeRequest(RasterSource("none"), "none", str(tmp_path / "no" / "change.tif"), "no model")
    with pytest.raises(InputError, match="there is no folder"):
        change(request, Report())
