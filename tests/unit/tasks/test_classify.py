# SPDX-License-Identifier: GPL-2.0-or-later
"""Scene classification with a network that goes by the mean colour, on rasters whose cells are painted."""

import json
from itertools import pairwise
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from torch import nn

from model_runner.contract.model_card import Licence, ModelCard, ModelClass, Resolution
from model_runner.contract.task_requests import ClassifyRequest, RasterSource
from model_runner.errors import Cancelled, InputError
from model_runner.inference.computing import Computer
from model_runner.inference.scenes import scene_probabilities
from model_runner.report import Report
from model_runner.tasks.classify import classify

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

CARD = ModelCard(
    id="colours-l0",
    title="Colours",
    task="classify",
    network="classifier_l0",
    classes=(ModelClass("red"), ModelClass("green"), ModelClass("blue")),
    mean=(127.5, 127.5, 127.5),
    std=(127.5, 127.5, 127.5),
    resolution=Resolution(0.25, 0.5, 1.0),
    tile_size=64,  # 32 m at the best resolution
    licence=Licence("CC0-1.0"),
)
NAMES = np.array(CARD.class_names)
HALF_METRES = Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)
DEGREES = Affine(1e-5, 0, 10, 0, -0.5e-5, 60)  # pixels of 0.558 x 0.557 m
PLACES = {
    "utm": (HALF_METRES, "EPSG:32633"),
    "degrees": (DEGREES, "EPSG:4326"),
    "oblong": (Affine(1e-5, 0, 10, 0, -1e-5, 60), "EPSG:4326"),
    "rotated": (Affine.translation(4e5, 5.8e6) @ Affine.rotation(25) @ Affine.scale(0.4, -0.4), "EPSG:32633"),
    "mercator": (Affine(1, 0, 1_113_194, 0, -1, 8_399_737), "EPSG:3857"),  # half a metre on the ground
    "nowhere": (Affine.identity(), None),
}


class MeanColour(nn.Module):
    """Logits (n, 3) by the mean of each band; remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape))
        return 4 * images.mean(dim=(2, 3))


@pytest.fixture
def network(monkeypatch):
    network = MeanColour()
    monkeypatch.setattr("model_runner.tasks.classify.loaded_model", lambda model, task, device: (CARD, network))
    return network


class Lines(Report):
    def __init__(self, cancel_after=None):
        self.texts = {"info": [], "warning": []}
        self.done, self.cancel_after = 0, cancel_after

    def log(self, level, text):
        assert "\n" not in text
        self.texts[level].append(text)

    def progress(self, stage, done, total, megapixels_per_second=None, seconds_left=None):
        self.done = done

    def check_cancelled(self):
        if self.cancel_after is not None and self.done >= self.cancel_after:
            raise Cancelled


def run(tmp_path, path, report=None, output="scenes.gpkg", source=None, **options):
    """The layer that comes of a raster, and what the task returns."""
    output = str(tmp_path / output)
    request = ClassifyRequest(RasterSource(str(path), **(source or {})), output, **options)
    finished = classify(request, report or Lines())
    return pyogrio.read_dataframe(output), finished


def ground_sides(transform, crs, height, width):
    """Metres of a pixel at the middle, along x and along y, by way of geodesics."""
    middle = np.array([width / 2, height / 2])
    to_degrees = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    geod = pyproj.Geod(ellps="WGS84")
    corners = [to_degrees.transform(*(transform @ tuple(middle + step))) for step in ((0, 0), (1, 0), (0, 1))]
    return [geod.inv(*corners[0], *corner)[2] for corner in corners[1:]]


def painted(labels, width, height, pixels_across, pixels_down):
    """Pixels (3, height, width), each with the colour of its cell, and a little noise."""
    rows = (np.arange(height) + 0.5) // pixels_down
    columns = (np.arange(width) + 0.5) // pixels_across
    colours = labels[rows.astype(int)[:, None], columns.astype(int)[None]]
    pixels = np.random.default_rng(1).integers(0, 60, (3, height, width), np.uint8)
    return pixels + np.uint8(180) * (colours == np.arange(3)[:, None, None])


def sides_in_metres(polygon, crs):
    """The four sides of a polygon on the ellipsoid."""
    to_degrees = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    points = [to_degrees.transform(*point) for point in polygon.exterior.coords]
    return [pyproj.Geod(ellps="WGS84").inv(*a, *b)[2] for a, b in pairwise(points)]


LABELS = np.random.default_rng(0).integers(0, 3, (9, 9))


@pytest.mark.parametrize("cell_size", [None, 21.0])
@pytest.mark.parametrize("place", PLACES)
def test_each_cell_has_the_class_of_its_own_pixels_and_measures_true_metres(
    place, cell_size, tmp_path, make_raster, network
):
    transform, crs = PLACES[place]
    width, height = 200, 170
    options = {} if cell_size is None else {"cell_size": cell_size}
    if crs is None:
        across = down = 64 if cell_size is None else 42
        options = {} if cell_size is None else {"cell_pixels": 42}
        to_ground = Affine(1, 0, 0, 0, -1, 0)
    else:
        across, down = (np.divide(cell_size or 32, ground_sides(transform, crs, height, width))).tolist()
        to_ground = transform
    raster = make_raster("a.tif", painted(LABELS, width, height, across, down), transform=transform, crs=crs)
    frame, finished = run(tmp_path, raster, **options)

    assert frame.crs == (None if crs is None else pyproj.CRS(crs))
    centres = np.array([~to_ground @ point.coords[0] for point in shapely.centroid(frame.geometry.to_numpy())])
    columns, rows = (centres // (across, down)).astype(int).T
    assert frame["class_name"].tolist() == NAMES[LABELS[rows, columns]].tolist()
    assert frame["class_id"].tolist() == LABELS[rows, columns].tolist()
    shares = [
        np.clip((length - np.arange(20) * side) / side, 0, 1) for length, side in ((height, down), (width, across))
    ]
    expected = np.argwhere(np.outer(*shares) >= 0.52).tolist()
    possible = np.argwhere(np.outer(*shares) >= 0.48).tolist()
    found = list(map(list, zip(rows.tolist(), columns.tolist(), strict=True)))
    assert found == sorted(found)
    assert all(each in found for each in expected)
    assert all(each in possible for each in found)
    if crs is not None:
        for polygon in frame.geometry:
            assert sides_in_metres(polygon, crs) == pytest.approx([cell_size or 32] * 4, rel=0.011)
    assert finished.numbers["count"] == len(frame)
    assert finished.numbers["count_blue"] == int((frame["class_name"] == "blue").sum())
    assert {size[1:] for size in network.sizes} == {(3, 96, 96)}  # 56 of 64 pixels, padded to the smallest


def test_fields_are_those_of_the_top_classes_with_probabilities(tmp_path, make_raster, network):
    raster = make_raster("a.tif", painted(LABELS, 128, 128, 64, 64))
    frame, finished = run(tmp_path, raster, top=2)
    assert list(frame.columns) == [
        *("class_id", "class_name", "probability", "class_2", "probability_2", "model", "run_id", "geometry")
    ]
    assert (frame["probability"] > frame["probability_2"]).all()
    assert (frame["class_name"] != frame["class_2"]).all()
    record = json.loads(Path(finished.outputs["record"]).read_text())
    assert set(frame["run_id"]) == {record["run_id"]}
    assert record["numbers"]["count"] == 4


def test_more_classes_than_the_model_has_are_all_it_has(tmp_path, make_raster, network):
    frame, _ = run(tmp_path, make_raster("a.tif", painted(LABELS, 64, 64, 64, 64)), top=9)
    assert "class_3" in frame
    assert "class_4" not in frame
    assert frame[["probability", "probability_2", "probability_3"]].sum(axis=1).tolist() == pytest.approx([1])


def test_cells_with_less_than_half_of_their_pixels_are_left_out(tmp_path, make_raster, network):
    pixels = painted(LABELS, 192, 64, 64, 64)
    mask = np.ones((64, 192), np.uint8) * 255
    mask[:, 64 + 28 : 128] = 0  # 28 of 64 columns are left
    mask[:, 128 + 36 :] = 0  # 36 are left
    frame, finished = run(tmp_path, make_raster("a.tif", pixels, mask=mask))
    assert [round(x - 400_000) for x in frame.geometry.bounds["minx"]] == [0, 64]
    assert finished.numbers["left_out"] == 1


@pytest.mark.parametrize("hidden", [np.s_[:, :0], np.s_[:, :28], np.s_[34:]])
def test_a_cell_that_is_filled_in_part_is_seen_as_if_its_ground_went_on(hidden, tmp_path, make_raster, network):
    pixels = np.full((3, 64, 64 + 36), 20, np.uint8)
    pixels[1] = 120
    mask = np.full((64, 64 + 36), 255, np.uint8)
    mask[:, :64][hidden] = 0
    frame, _ = run(tmp_path, make_raster("a.tif", pixels, mask=mask))
    logits = 4 * (np.array([20, 120, 20]) / 127.5 - 1)
    expected = np.exp(logits[1]) / np.exp(logits).sum()
    assert frame["probability"].tolist() == pytest.approx([expected] * 2, rel=1e-5)


def test_a_raster_without_any_data_gives_an_empty_layer(tmp_path, make_raster, network):
    frame, finished = run(tmp_path, make_raster("a.tif", np.zeros((3, 128, 128), np.uint8), nodata=0))
    assert frame.empty
    assert finished.numbers["count"] == 0
    assert finished.numbers["left_out"] == 4
    assert pyogrio.read_info(tmp_path / "scenes.gpkg")["geometry_type"] == "Polygon"


def test_an_extent_has_cells_of_its_own_from_its_corner(tmp_path, make_raster, network):
    raster = make_raster("a.tif", painted(LABELS, 300, 300, 64, 64))
    extent = (400_032, 5_799_904, 400_096, 5_799_968)  # the cells of the second and third row and column
    frame, _ = run(tmp_path, raster, source={"extent": extent})
    assert frame["class_name"].tolist() == NAMES[LABELS[1:3, 1:3].ravel()].tolist()
    assert frame.total_bounds.tolist() == list(extent)


def test_scenes_at_a_resolution_that_the_model_does_not_know_are_told(tmp_path, make_raster, network):
    report = Lines()
    run(tmp_path, make_raster("a.tif", painted(LABELS, 600, 600, 200, 200)), report, cell_size=100)
    assert [each for each in report.texts["warning"] if "9 of 9 scenes are seen at 1.56 m a pixel" in each]


def test_the_strip_that_no_cell_covers_is_told(tmp_path, make_raster, network):
    report = Lines()
    run(tmp_path, make_raster("a.tif", painted(LABELS, 148, 128, 64, 64)), report)
    assert [each for each in report.texts["info"] if "They cover 86.5% of it" in each]
    run(tmp_path, make_raster("b.tif", painted(LABELS, 128, 128, 64, 64)), report, output="b.gpkg")
    assert len([each for each in report.texts["info"] if "They cover" in each]) == 1


def test_scenes_that_must_be_enlarged_are_told(tmp_path, make_raster, network):
    report = Lines()
    run(
        tmp_path, make_raster("a.tif", painted(LABELS, 600, 600, 200, 200)), report, cell_size=10
    )  # 20 pixels become 64
    assert [each for each in report.texts["warning"] if "900 of 900 scenes are seen at 0.156 m a pixel" in each]


def test_scenes_at_a_resolution_that_nobody_knows_are_told(tmp_path, make_raster, network):
    report = Lines()
    transform, crs = PLACES["nowhere"]
    run(tmp_path, make_raster("a.tif", painted(LABELS, 64, 64, 64, 64), transform=transform, crs=crs), report)
    assert [each for each in report.texts["warning"] if "knows 0.25 to 1 m a pixel" in each and "unknown" in each]
    assert "Looking at 1 cell of 64 x 64 pixels." in report.texts["info"]


@pytest.fixture
def zones_of(tmp_path):
    def make(geometry, crs="EPSG:32633", name="zones.gpkg", **fields):
        path = str(tmp_path / name)
        geopandas.GeoDataFrame(fields, geometry=list(geometry), crs=crs).to_file(path)
        return path

    return make


def cell_box(row, column, grow=0.0):
    west, north = 400_000 + 32 * column, 5_800_000 - 32 * row
    return shapely.box(west - grow, north - 32 - grow, west + 32 + grow, north + grow)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:25833", "EPSG:3857"])
def test_zones_of_any_reference_system_keep_geometry_and_fields_and_get_classes(
    crs, tmp_path, make_raster, network, zones_of
):
    raster = make_raster("a.tif", painted(LABELS, 300, 300, 64, 64))
    places = [(0, 0), (3, 1), (9, 9), (2, 2), (1, 3)]
    geometry = geopandas.GeoSeries([cell_box(*each, grow=-2) for each in places], crs="EPSG:32633").to_crs(crs)
    zones = zones_of(geometry, crs, name="zones.gpkg", name_=list("abcde"), class_name=["mine"] * 5)
    report = Lines()
    frame, finished = run(tmp_path, raster, report, zones=zones)
    assert frame["name_"].tolist() == list("abde")  # c lies outside
    assert frame["zone_class_name"].tolist() == ["mine"] * 4
    assert frame["class_name"].tolist() == [NAMES[LABELS[each]] for each in places if each != (9, 9)]
    assert frame.crs == pyproj.CRS(crs)
    assert shapely.equals_exact(frame.geometry.to_numpy(), np.delete(geometry.to_numpy(), 2), 0).all()
    assert [each for each in report.texts["warning"] if "1 of 5 zones lie outside" in each]
    assert finished.numbers["left_out"] == 1


def test_zones_of_several_parts_are_seen_in_the_box_around_all(tmp_path, make_raster, network, zones_of):
    labels = np.full((9, 9), 2)
    labels[0, 0] = labels[0, 2] = labels[2, 2] = 0  # red parts of a blue surrounding
    raster = make_raster("a.tif", painted(labels, 300, 300, 64, 64))
    frame, _ = run(
        tmp_path, raster, zones=zones_of([shapely.MultiPolygon([cell_box(0, 0), cell_box(0, 2)]), cell_box(2, 2)])
    )
    assert frame["class_name"].tolist() == ["blue", "red"]
    assert frame.geom_type.tolist() == ["MultiPolygon"] * 2


def test_a_narrow_zone_at_the_border_is_seen_with_what_is_beside_it(tmp_path, make_raster, network, zones_of):
    pixels = painted(LABELS * 0 + 2, 300, 300, 64, 64)
    frame, _ = run(
        tmp_path,
        make_raster("a.tif", pixels),
        zones=zones_of([shapely.box(400_000, 5_799_900, 400_004, 5_799_990)]),
    )
    assert frame["class_name"].tolist() == ["blue"]


def test_a_zone_around_the_raster_is_not_on_it(tmp_path, make_raster, network, zones_of):
    raster = make_raster("a.tif", painted(LABELS, 300, 300, 64, 64))
    ring = cell_box(2, 2, grow=300).difference(cell_box(2, 2, grow=200))
    frame, finished = run(tmp_path, raster, zones=zones_of([ring, cell_box(1, 1)], kind=["ring", "cell"]))
    assert frame["kind"].tolist() == ["cell"]
    assert finished.numbers["left_out"] == 1


@pytest.mark.parametrize(
    ("geometry", "text"),
    [
        ([], "holds no polygon"),
        ([shapely.Point(0, 0)], "holds no polygon"),
        ([cell_box(50, 50)], "None of the 1 zones"),
    ],
)
def test_a_layer_without_zones_on_the_raster_is_refused_in_a_line(
    geometry, text, tmp_path, make_raster, network, zones_of
):
    raster = make_raster("a.tif", painted(LABELS, 64, 64, 64, 64))
    zones = zones_of(geometry, name="zones.geojson" if not geometry else "zones.gpkg", a=[1] * len(geometry))
    with pytest.raises(InputError, match=text) as error:
        run(tmp_path, raster, zones=zones)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("scenes*"))


def test_cancelling_leaves_no_file(tmp_path, make_raster, network):
    raster = make_raster("a.tif", painted(LABELS, 300, 300, 64, 64))
    with pytest.raises(Cancelled):
        run(tmp_path, raster, Lines(cancel_after=16), cell_size=16)
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]


@pytest.fixture
def folder(tmp_path):
    """Images of one colour each by name, with or without a place."""

    def fill(**images):
        (tmp_path / "images").mkdir()
        for name, (label, (transform, crs)) in images.items():
            with rasterio.open(
                tmp_path / "images" / f"{name}.tif", "w", driver="GTiff", count=3, width=90, height=70,
                dtype="uint8", transform=transform, crs=crs,
            ) as dataset:  # fmt: skip
                dataset.write(painted(np.full((2, 2), label), 90, 70, 64, 64))
        return tmp_path / "images"

    return fill


def test_images_without_place_become_a_table_and_a_broken_one_is_named(tmp_path, network, folder):
    nowhere = PLACES["nowhere"]
    images = folder(b=(1, nowhere), a=(2, nowhere), c=(0, nowhere))
    (images / "broken.png").write_bytes(b"no image")
    (images / "notes.txt").write_text("no image either")
    report = Lines()
    frame, finished = run(tmp_path, images, report)
    assert frame["image"].tolist() == ["a.tif", "b.tif", "c.tif"]
    assert frame["class_name"].tolist() == ["blue", "green", "red"]
    assert not isinstance(frame, geopandas.GeoDataFrame)
    (warning,) = report.texts["warning"]
    assert "broken.png" in warning
    assert finished.numbers["left_out"] == 1
    classify(ClassifyRequest(RasterSource(str(images)), str(tmp_path / "t.csv"), top=1), Report())
    lines = (tmp_path / "t.csv").read_text("utf-8").splitlines()
    assert lines[0] == "image,class_id,class_name,probability,model,run_id"
    assert [line.split(",")[0] for line in lines[1:]] == ["a.tif", "b.tif", "c.tif"]


def test_images_that_hold_many_scenes_are_told(tmp_path, network, folder):
    nowhere = PLACES["nowhere"]
    images = folder(a=(2, nowhere), b=(1, nowhere))
    for side, warnings in ((192, 0), (193, 1)):
        with rasterio.open(
            images / "large.tif", "w", driver="GTiff", count=3, width=400, height=side, dtype="uint8"
        ) as dataset:
            dataset.write(painted(np.zeros((9, 9), int), 400, side, 64, 64))
        report = Lines()
        run(tmp_path, images, report, output=f"{side}.csv")
        told = [text for text in report.texts["warning"] if "1 of 3 images are more than 3 times as wide" in text]
        assert len(told) == warnings


def test_what_is_doubtful_about_images_is_told(tmp_path, network, folder):
    coarse = (Affine(5, 0, 400_000, 0, -5, 5_800_000), "EPSG:32633")
    images = folder(a=(2, PLACES["utm"]), b=(1, coarse))
    with rasterio.open(images / "grey.tif", "w", driver="GTiff", count=1, width=90, height=70, dtype="uint8") as grey:
        grey.write(np.full((1, 70, 90), 60, np.uint8))
    report = Lines()
    run(tmp_path, images, report)
    assert [text for text in report.texts["warning"] if "grey.tif has one band and the model wants 3" in text]
    assert [text for text in report.texts["warning"] if "1 of 2 scenes are seen at 5.4" in text]


def test_images_with_place_become_footprints_in_the_system_that_they_share(tmp_path, network, folder):
    frame, _ = run(tmp_path, folder(a=(0, PLACES["utm"]), b=(2, PLACES["rotated"])))
    assert frame.crs == pyproj.CRS("EPSG:32633")
    assert frame.geometry.area.tolist() == pytest.approx([90 * 70 * 0.25, 90 * 70 * 0.16])


def test_images_of_several_systems_become_footprints_in_degrees(tmp_path, network, folder):
    frame, _ = run(tmp_path, folder(a=(0, PLACES["utm"]), b=(2, PLACES["mercator"]), c=(1, PLACES["nowhere"])))
    assert frame.crs == pyproj.CRS("EPSG:4326")
    assert frame["class_name"].tolist() == ["red", "blue", "green"]
    assert frame.geometry.isna().tolist() == [False, False, True]
    assert sides_in_metres(frame.geometry[0], 4326)[0] == pytest.approx(45, rel=0.002)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cell_size": 30}, "leave out cell size"),
        ({"source": {"extent": (0, 0, 1, 1), "mask": "m.gpkg"}}, "leave out extent, mask"),
        ({"source": {"bands": (1, 2)}}, "needs 3 bands"),
    ],
)
def test_what_goes_with_rasters_only_is_refused_for_a_folder(options, text, tmp_path, network, folder):
    with pytest.raises(InputError, match=text):
        run(tmp_path, folder(a=(0, PLACES["utm"])), **options)


def test_folders_without_a_usable_image_are_refused_in_a_line(tmp_path, network, folder):
    images = folder()
    with pytest.raises(InputError, match="There are no images in"):
        run(tmp_path, images)
    (images / "broken.tif").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"None of the 1 images .*broken\.tif"):
        run(tmp_path, images)


def test_a_table_cannot_hold_the_cells_of_a_raster(tmp_path, make_raster, network):
    with pytest.raises(InputError, match=r"name a GeoPackage"):
        run(tmp_path, make_raster("a.tif", painted(LABELS, 64, 64, 64, 64)), output="cells.csv")


def test_a_lack_of_memory_halves_the_batch_and_loses_no_cell(tmp_path, make_raster, network, monkeypatch):
    def scarce(images):
        if len(images) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return 4 * images.mean(dim=(2, 3))

    monkeypatch.setattr(network, "forward", scarce)
    raster = make_raster("a.tif", painted(LABELS, 320, 320, 64, 64))
    frame, _ = run(tmp_path, raster)
    assert frame["class_name"].tolist() == NAMES[LABELS[:5, :5].ravel()].tolist()


def test_four_mirrored_views_are_averaged():
    def network(images):
        return images[:, :, 0, 0]  # of one corner

    corners = torch.tensor([[3.0, 0, 1], [0, 2, 0], [1, 1, 5], [0, 0, 2]])
    images = corners.T.view(1, 3, 2, 2)
    computer = Computer(torch.device("cpu"), torch.float32, 1)
    once, averaged = (scene_probabilities(network, images, computer, flips) for flips in (False, True))
    torch.testing.assert_close(once, corners[:1].softmax(1))
    torch.testing.assert_close(averaged, corners.softmax(1).mean(0, keepdim=True))


def test_a_run_takes_four_looks_if_it_is_asked_to(tmp_path, make_raster, network):
    path = make_raster("a.tif", np.full((3, 64, 64), 9, np.uint8))
    run(tmp_path, path)
    run(tmp_path, path, flips=True)
    assert len(network.sizes) == 1 + 4
