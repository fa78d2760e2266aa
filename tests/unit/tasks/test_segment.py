# SPDX-License-Identifier: GPL-2.0-or-later
"""Segmentation from a raster to files, with a network that takes the brightest band for the class."""

import json
import os
import warnings
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import rasterio
import rasterio.shutil
import torch
from affine import Affine
from torch import nn

from model_runner.contract.model_card import ModelCard, ModelClass, Resolution
from model_runner.contract.task_requests import Outlines, RasterSource, SegmentRequest, Tiling
from model_runner.errors import Cancelled, InputError
from model_runner.report import Report
from model_runner.tasks.segment import segment

CARD = ModelCard(
    id="colours-l0",
    title="Colours",
    task="segment",
    network="unetformer_l0",
    classes=(ModelClass("red", "#ff0000"), ModelClass("green", "#00ff00"), ModelClass("dark blue", "#000080")),
    mean=(0.0, 0.0, 0.0),
    std=(25.0, 25.0, 25.0),
    tile_size=128,
    overlap=32,
)
ROTATED = Affine.translation(400_000.3, 5_800_000.7) @ Affine.rotation(23) @ Affine.scale(0.5, -0.5)


@pytest.fixture
def card(monkeypatch):
    """Makes the task compute with the card's model."""

    def use(card=CARD):
        monkeypatch.setattr("model_runner.tasks.segment.loaded_model", lambda *_: (card, nn.Identity()))
        return card

    use()
    return use


@pytest.fixture
def run(card, tmp_path):
    """Segments a raster and gives the classes, what rasterio says of their file, and what the task says."""

    def do(path, *, report=None, **options):
        source = {key: options.pop(key) for key in ("extent", "resolution", "mask") if key in options}
        request = SegmentRequest(RasterSource(path, **source), output=str(tmp_path / "classes.tif"), **options)
        finished = segment(request, report or Report())
        return *read(request.output), finished

    return do


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as dataset:
            return dataset.read(1), dataset


def blocks(height, width, side=25, seed=0):
    """Squares of the three colours, and which of them (h, w)."""
    generator = np.random.default_rng(seed)
    numbers = generator.integers(0, 3, (height // side + 1, width // side + 1))
    numbers = numbers.repeat(side, 0).repeat(side, 1)[:height, :width]
    pixels = np.where(numbers == np.arange(3)[:, None, None], 200, 50) + generator.integers(0, 30, (3, height, width))
    return pixels.astype(np.uint8), numbers


def test_every_pixel_gets_its_class_in_its_place_and_none_where_there_is_no_data(run, make_raster):
    pixels, numbers = blocks(300, 420)
    pixels[:, 100:180, 50:400] = 0
    found, dataset, finished = run(make_raster("a.tif", pixels, nodata=0, transform=ROTATED))
    np.testing.assert_array_equal(found, np.where((pixels == 0).all(0), 255, numbers))
    assert dataset.transform == ROTATED
    assert dataset.crs.to_epsg() == 32633
    assert dataset.nodata == 255
    assert finished.numbers["pixels_dark blue"] == (found == 2).sum()
    assert set(finished.outputs) == {"classes", "record"}


@pytest.mark.parametrize("shape", [(1, 1), (300, 1), (1, 300), (60, 50), (128, 128), (129, 128)])
def test_rasters_of_any_shape_come_out_whole(run, make_raster, shape):
    pixels, numbers = blocks(*shape, side=7)
    np.testing.assert_array_equal(run(make_raster("a.tif", pixels))[0], numbers)


def test_a_raster_without_data_or_georeference_has_a_result_too(run, make_raster):
    path = make_raster("a.tif", np.zeros((3, 200, 200), np.uint8), nodata=0, transform=Affine.identity(), crs=None)
    found, dataset, finished = run(path, polygons=str(path).replace("a.tif", "p.gpkg"))
    assert (found == 255).all()
    assert dataset.transform == Affine.identity()
    assert finished.numbers["pixels_red"] == finished.numbers["count"] == finished.numbers["tiles"] == 0


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_without_a_reference_system_nothing_is_told_in_square_metres(run, make_raster, tmp_path):
    path = str(tmp_path / "outlines.gpkg")
    found, _, finished = run(
        make_raster("a.tif", blocks(100, 120)[0], transform=Affine.identity(), crs=None), polygons=path
    )
    assert not [name for name in finished.numbers if "m2" in name]
    frame = geopandas.read_file(path)
    assert list(frame.columns) == ["class_id", "class_name", "area_pixels", "model", "run_id", "geometry"]
    assert (
        frame["area_pixels"].sum() == found.size == sum(finished.numbers[f"pixels_{name}"] for name in CARD.class_names)
    )


def test_a_part_is_the_crop_of_the_whole_at_its_place(run, make_raster):
    path = make_raster("a.tif", blocks(300, 420)[0])
    whole, _, _ = run(path)
    found, dataset, _ = run(path, extent=(400_010, 5_800_000 - 120, 400_100, 5_800_000 - 15))
    np.testing.assert_array_equal(found, whole[30:240, 20:200])
    assert (dataset.transform.c, dataset.transform.f) == (400_010, 5_800_000 - 15)


@pytest.mark.parametrize("metres", [0.9, 2.0])
def test_a_model_of_coarser_pixels_gives_the_rasters_own_ones_back(card, run, make_raster, metres):
    card(ModelCard(**{**vars(CARD), "resolution": Resolution(metres * 0.9, metres, metres * 2)}))
    pixels, numbers = blocks(300, 420, side=60)
    pixels[:, 100:181, 50:395] = 0
    path = make_raster("a.tif", pixels, nodata=0, transform=ROTATED)
    found, dataset, finished = run(path)
    assert dataset.transform == ROTATED
    np.testing.assert_array_equal(found == 255, (pixels == 0).all(0))
    assert (found != numbers)[found != 255].mean() < 0.03  # along the borders of the squares
    total = sum(finished.numbers[f"pixels_{name}"] for name in CARD.class_names)
    assert total == (found != 255).sum()
    coarse, dataset, _ = run(path, model_grid=True)
    assert coarse.shape == (round(300 * 0.5 / metres), round(420 * 0.5 / metres))
    assert np.hypot(dataset.transform.a, dataset.transform.d) == pytest.approx(metres, rel=0.01)


@pytest.mark.parametrize(
    ("transform", "crs", "square_metres"),
    [
        (Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000), "EPSG:32633", 0.25 / 0.99972**2),  # the map's scale
        (Affine(1e-5, 0, 15, 0, -1e-5, 60), "EPSG:4326", 0.5580 * 1.11412),
    ],
)
def test_areas_are_true_square_metres(run, make_raster, transform, crs, square_metres):
    found, _, finished = run(make_raster("a.tif", blocks(300, 420)[0], transform=transform, crs=crs))
    for number, name in enumerate(CARD.class_names):
        expected = (found == number).sum() * square_metres
        assert finished.numbers[f"area_m2_{name}"] == pytest.approx(expected, rel=1e-3)
    with open(finished.outputs["record"], encoding="utf-8") as record:
        assert json.load(record)["numbers"] == finished.numbers


@pytest.mark.parametrize(("name", "crs"), [("areas.csv", "EPSG:32633"), ("areas.gpkg", "EPSG:32633"), ("a.csv", None)])
def test_a_table_has_the_areas_of_all_classes(name, crs, run, make_raster, tmp_path):
    path = tmp_path / name
    found, _, finished = run(make_raster("a.tif", blocks(300, 420)[0], crs=crs), areas=str(path))
    table = pandas.read_csv(path) if path.suffix == ".csv" else pyogrio.read_dataframe(path)
    assert finished.outputs["areas"] == str(path)
    assert table["class_name"].tolist() == list(CARD.class_names)
    assert table["pixels"].tolist() == [(found == number).sum() for number in range(len(CARD.classes))]
    assert table["share"].tolist() == pytest.approx(table["pixels"] / found.size, abs=1e-5)
    areas = [finished.numbers.get(f"area_m2_{each}") for each in CARD.class_names]
    assert table["area_m2"].tolist() == areas if crs else "area_m2" not in table


def test_confidence_is_the_probability_of_the_class(run, make_raster, tmp_path):
    pixels, _ = blocks(100, 120)
    pixels[:, :10] = 0
    run(make_raster("a.tif", pixels, nodata=0), confidence=str(tmp_path / "sure.tif"))
    sure, dataset = read(tmp_path / "sure.tif")
    expected = torch.from_numpy(pixels / 25.0).softmax(0).amax(0).numpy()
    np.testing.assert_allclose(sure[10:], expected[10:], atol=1 / 1024)
    assert (sure[:10] == -1).all()
    assert dataset.nodata == -1


def test_outlines_cover_what_the_raster_says(run, make_raster, tmp_path):
    pixels, _ = blocks(200, 260)
    pixels[:, 50:60, 50:60] = 0
    path = str(tmp_path / "outlines.gpkg")
    _, _, finished = run(make_raster("a.tif", pixels, nodata=0, transform=ROTATED), polygons=path)
    frame = geopandas.read_file(path)
    assert list(frame.columns) == ["class_id", "class_name", "area_m2", "model", "run_id", "geometry"]
    assert len(frame) == finished.numbers["count"]
    for number, name in enumerate(CARD.class_names):
        of_class = frame[frame["class_name"] == name]
        assert (of_class["class_id"] == number).all()
        assert of_class["area_m2"].sum() == pytest.approx(finished.numbers[f"area_m2_{name}"], rel=1e-4)
        assert of_class.area.sum() == pytest.approx(finished.numbers[f"pixels_{name}"] * 0.25)
    run(make_raster("a.tif", pixels), polygons=path, outlines=Outlines(minimum_area=1e9))
    assert len(geopandas.read_file(path)) == 0


class Cancelling(Report):
    """Asks to stop at the so manieth question."""

    def __init__(self, after):
        self.questions = after

    def check_cancelled(self):
        self.questions -= 1
        if self.questions < 0:
            raise Cancelled


def test_a_cancelled_run_leaves_no_file(run, make_raster, tmp_path):
    path = make_raster("a.tif", blocks(200, 300)[0])
    questions = Cancelling(10**6)
    files = {"confidence": str(tmp_path / "c.tif"), "polygons": str(tmp_path / "p.gpkg"), "tiling": Tiling(128, 32)}
    run(path, report=questions, **files)
    made = {"classes.tif", "classes.tif.aux.xml", "classes.run.json", "c.tif", "p.gpkg"}
    assert set(os.listdir(tmp_path)) == {"a.tif", *made}
    for name in made:
        os.remove(tmp_path / name)
    for after in range(10**6 - questions.questions):
        with pytest.raises(Cancelled):
            run(path, report=Cancelling(after), **files)
        assert os.listdir(tmp_path) == ["a.tif"]


@pytest.mark.parametrize("name", ["output", "confidence", "polygons"])
def test_a_file_that_could_not_be_written_is_refused_before_anything_else(tmp_path, name):
    endings = {"output": "a.tif", "confidence": "b.tif", "polygons": "c.gpkg"}
    files = {each: str(tmp_path / ("no" if each == name else "") / file) for each, file in endings.items()}
    with pytest.raises(InputError, match="there is no folder"):
        segment(SegmentRequest(RasterSource("no raster"), model="no model", **files), Report())


def test_the_parts_of_a_mosaic_are_not_written_over(run, make_raster, tmp_path):
    pixels, _ = blocks(128, 128)
    part = Path(make_raster("classes.tif", pixels))
    before = part.read_bytes()
    mosaic = tmp_path / "mosaic.vrt"
    rasterio.shutil.copy(part, mosaic, driver="VRT")
    with pytest.raises(InputError, match=r"written over .*classes\.tif, which is read"):
        run(str(mosaic))
    assert part.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.tif", "mosaic.vrt"]


@pytest.mark.parametrize("name", ["(draft) lakes", "gpkg_lakes", "_", "Seen – 2"])
def test_a_geopackage_may_have_any_name(run, make_raster, tmp_path, name):
    pixels, _ = blocks(128, 128)
    run(make_raster("a.tif", pixels), polygons=str(tmp_path / f"{name}.gpkg"))
    assert len(geopandas.read_file(tmp_path / f"{name}.gpkg"))
