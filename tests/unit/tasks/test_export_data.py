# SPDX-License-Identifier: GPL-2.0-or-later
"""Datasets cut out of a raster whose labels are painted into it, read back by what trains on them."""

import json
import re
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image

from model_runner.contract.data_requests import ExportDataRequest, LoadDataRequest
from model_runner.contract.finetune_request import FinetuneRequest
from model_runner.errors import Cancelled, InputError
from model_runner.rotated_boxes.geometry import corners
from model_runner.tasks.data_check import check_data
from model_runner.tasks.export_data import export_data
from model_runner.tasks.load_data import load_data
from model_runner.training.datasets.maps import open_masks, open_pairs
from model_runner.training.datasets.objects import ObjectDataset
from model_runner.training.datasets.scenes import SceneDataset
from tests.lines import Lines

HALF_METRES = Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)
SPLITS = ("train", "val", "test")
SIZE = 512


def rectangles(count=40, seed=0, size=SIZE):
    """Turned rectangles in pixels, no two of which touch."""
    generator, found = np.random.default_rng(seed), []
    while len(found) < count:
        x, y = generator.uniform(20, size - 20, 2)
        angle = generator.uniform(0, 180)
        box = shapely.affinity.rotate(shapely.box(x - 11, y - 5, x + 11, y + 5), angle)
        if not any(box.buffer(3).intersects(other) for other in found):
            found.append(box)
    return found


def on_ground(polygons, transform=HALF_METRES):
    return [
        shapely.transform(each, lambda points: np.stack(transform @ (points[:, 0], points[:, 1]), axis=1))
        for each in polygons
    ]


@pytest.fixture
def layer(tmp_path):
    """Writes polygons in pixels, with a class each, as a file in a reference system; returns its path."""

    def write(polygons, classes, name="labels", crs="EPSG:32633", transform=HALF_METRES, drawn_in="EPSG:32633"):
        frame = geopandas.GeoDataFrame({"kind": classes}, geometry=on_ground(polygons, transform), crs=drawn_in)
        path = tmp_path / f"{name}.gpkg"
        frame.to_crs(crs).to_file(path)
        return str(path)

    return write


@pytest.fixture
def town(make_raster):
    """A raster of noise."""
    return make_raster("town.tif", np.random.default_rng(0).integers(1, 255, (3, SIZE, SIZE), dtype=np.uint8))


@pytest.fixture
def export(tmp_path):
    """Exports chips of 64 pixels and returns the folder and the record."""

    def run(*rasters, report=None, **options):
        folder = tmp_path / "dataset"
        values = {"class_field": "kind", "chip_size": 64, "overlap": 16, "output": str(folder), **options}
        finished = export_data(ExportDataRequest(rasters, **values), report or Lines())
        return Path(finished.outputs["dataset"]), json.loads(Path(finished.outputs["record"]).read_text("utf-8"))

    return run


def footprints(folder, pattern):
    """The ground of the images of each split."""
    found = {}
    for split in SPLITS:
        found[split] = []
        for path in sorted((folder / split).glob(pattern)):
            with rasterio.open(path) as image:
                outline = geopandas.GeoSeries([shapely.box(*image.bounds)], crs=image.crs).to_crs("EPSG:32633")
            found[split].append(outline.iloc[0])
    return found


def assert_no_common_ground(found):
    for one in SPLITS:
        for other in SPLITS[SPLITS.index(one) + 1 :]:
            common = [a.intersection(b).area for a in found[one] for b in found[other]]
            assert max(common, default=0) < 1e-3


def boxes_on_ground(folder, split, names):
    """Boxes and the outline of the image that shows each, on the ground."""
    samples = ObjectDataset(folder, split, names)
    for path, sample in zip(samples.paths, map(samples.__getitem__, range(len(samples))), strict=True):
        with rasterio.open(path) as image:
            for box, label in zip(corners(sample.boxes).double().numpy(), sample.labels.tolist(), strict=True):
                points = np.stack(image.transform @ (box[:, 0], box[:, 1]), axis=1)
                yield shapely.Polygon(points), shapely.box(*image.bounds), names[label]


def test_boxes_read_back_are_the_same_rectangles_on_the_ground_and_splits_share_no_pixel(town, layer, export):
    drawn = rectangles()
    kinds = ["storage tank" if number % 4 else "ship" for number in range(len(drawn))]
    folder, record = export(town, task="detect", labels=layer(drawn, kinds, crs="EPSG:4326"), visible=0.7)
    truth, names = np.array(on_ground(drawn)), ("ship", "storage-tank")
    seen = set()
    for split in SPLITS:
        for box, image, name in boxes_on_ground(folder, split, names):
            number = int(np.argmin(shapely.distance(shapely.centroid(truth), box.centroid)))
            assert shapely.hausdorff_distance(truth[number], box) < 0.25  # half a pixel
            assert truth[number].intersection(image).area >= 0.69 * truth[number].area
            assert name == kinds[number].replace(" ", "-")
            seen.add(number)
    assert len(seen) > 30
    assert_no_common_ground(footprints(folder, "images/*.tif"))
    assert [each["name"] for each in record["classes"]] == list(names)
    assert all(record["splits"][split]["classes"]["ship"]["count"] for split in SPLITS)
    length = record["sizes"]["ship"]["length (m)"]
    assert length["median"] == pytest.approx(11, rel=2e-3)  # on the ellipsoid


def test_every_object_that_a_chip_shows_enough_of_is_labelled_and_pieces_make_no_background(town, layer, export):
    drawn = rectangles()
    folder, _ = export(town, task="detect", labels=layer(drawn, ["a"] * len(drawn)), visible=0.5, empty=100)
    truth = np.array(on_ground(drawn))
    for split in SPLITS:
        for path in sorted((folder / split / "images").iterdir()):
            with rasterio.open(path) as image:
                shares = shapely.area(shapely.intersection(truth, shapely.box(*image.bounds))) / shapely.area(truth)
            lines = (folder / split / "labelTxt" / f"{path.stem}.txt").read_text(encoding="utf-8").splitlines()
            assert (shares > 0.51).sum() <= len(lines) <= (shares > 0.49).sum()
            assert lines or not shares.any()


def test_outside_of_the_area_objects_are_neither_labelled_nor_seen(town, layer, export):
    drawn = rectangles()
    half = shapely.box(0, 0, 200, SIZE)
    area = layer([half], ["x"], name="area")
    folder, _ = export(town, task="detect", labels=layer(drawn, ["a"] * len(drawn)), area=area)
    inside = on_ground([half])[0].buffer(0.01)
    for split in SPLITS:
        for box, _, _ in boxes_on_ground(folder, split, ("a",)):
            assert box.intersection(inside).area > 0.49 * box.area
        for path in (folder / split / "images").iterdir():
            with rasterio.open(path) as image:
                pixels, valid = image.read(), image.dataset_mask() > 0
                columns = image.transform.c + 0.5 * (np.arange(64) + 0.5)
            assert (valid == (columns < inside.bounds[2])).all()
            assert not pixels[:, ~valid].any()
            assert pixels[:, valid].all()


def test_burnt_polygons_have_their_area_and_what_is_not_of_interest_is_ignored(town, layer, export):
    pond = shapely.Point(130, 130).buffer(60)
    island = shapely.Point(130, 130).buffer(20)
    labels = layer([island, pond, shapely.box(300, 300, 460, 420)], ["wood", "water", "wood"], crs="EPSG:3857")
    area = layer([shapely.box(0, 0, SIZE, 360)], ["x"], name="area")
    folder, record = export(town, task="segment", labels=labels, area=area, overlap=0, empty=1000)
    names = ("background", "water", "wood")
    assert [each["name"] for each in json.loads((folder / "classes.json").read_text("utf-8"))] == list(names)
    counts, ignored = np.zeros(3), 0
    for split in SPLITS:
        samples = open_masks(folder, split, names)
        for number in range(len(samples)):
            sample = samples[number]
            counts += np.bincount(sample.labels.numpy().ravel(), minlength=256)[:3]
            ignored += int((sample.labels == 255).sum())
            assert (sample.images > 0).all()  # pixels that do not count stay to be seen
    assert counts[1] == pytest.approx(pond.area - island.area, rel=0.01)
    assert counts[2] == pytest.approx(island.area + 160 * 60, rel=0.01)
    assert counts.sum() == SIZE * 360
    assert ignored == SIZE * 24  # the rest of the chips that the area cuts
    assert counts.tolist() == [sum(record["splits"][s]["classes"][n]["count"] for s in SPLITS) for n in names]


def test_pixels_in_no_polygon_can_be_ignored(town, layer, export):
    labels = layer([shapely.box(0, 0, 250, 512), shapely.box(250, 0, 500, 512)], [1, 10])
    folder, _ = export(town, task="segment", labels=labels, background="none", overlap=0)
    found = [open_masks(folder, split, ("1", "10")) for split in SPLITS]
    values = np.concatenate([each[number].labels.numpy().ravel() for each in found for number in range(len(each))])
    assert np.bincount(values, minlength=256)[[0, 1, 255]].tolist() == [250 * 512, 250 * 512, 12 * 512]


def test_two_dates_on_other_grids_become_pairs_with_labels(town, make_raster, layer, export):
    later = make_raster(
        "later.tif",
        np.full((3, 256, 224), 200, np.uint8),
        transform=HALF_METRES @ Affine.translation(3, 0) @ Affine.scale(2),
    )
    changed = rectangles(20)
    labels = layer(changed, ["x"] * 20, crs="EPSG:4326")
    folder, record = export(town, after=(later,), task="change", labels=labels, overlap=0, class_field="", empty=100)
    pixels = 0
    for split in SPLITS:
        samples = open_pairs(folder, split)
        for number in range(len(samples)):
            sample = samples[number]
            pixels += int((sample.labels == 1).sum())
            blank = (sample.images == 0).all(dim=1)
            assert (blank[0] == blank[1]).all()
            assert not sample.labels[blank[0]].any()
    shown = shapely.intersection(shapely.box(3, 0, 451, SIZE), shapely.union_all(changed))
    assert pixels == pytest.approx(shown.area, rel=0.02)
    assert record["splits"]["train"]["classes"]["changed"]["count"] > 0
    assert_no_common_ground(footprints(folder, "A/*.tif"))


def test_scenes_are_polygons_with_their_surroundings_or_cells_that_a_class_covers(town, layer, export, tmp_path):
    squares = [shapely.box(x, y, x + 40, y + 40) for x in range(0, 480, 60) for y in range(0, 480, 60)]
    kinds = ["field" if number % 3 else "wood" for number in range(len(squares))]
    labels = layer(squares, kinds)
    folder, record = export(town, task="classify", labels=labels)
    scenes = [SceneDataset(folder, split, ("field", "wood")) for split in SPLITS]
    assert sum(map(len, scenes)) == len(squares)
    assert {scenes[0][number].image.shape for number in range(3)} == {(3, 40, 40)}
    assert_no_common_ground(footprints(folder, "*/*.tif"))
    assert all(record["splits"][split]["classes"]["wood"]["count"] for split in SPLITS)
    halves = layer([shapely.box(0, 0, 256, 512), shapely.box(256, 0, 512, 280)], ["field", "wood"], name="halves")
    folder, _ = export(
        town, task="classify", labels=halves, scenes="grid", overlap=0, visible=0.9, output=str(tmp_path / "grid")
    )
    cells = [len(list((tmp_path / "grid").glob(f"*/{name}/*.tif"))) for name in ("field", "wood")]
    assert cells == [4 * 8, 4 * 4]  # a class covers others by less than nine tenths


def test_a_second_image_of_the_ground_goes_to_the_same_splits(town, make_raster, layer, export):
    pixels = np.full((3, 400, 400), 90, np.uint8)
    again = make_raster("again.tif", pixels, transform=HALF_METRES)
    turned = make_raster("turned.tif", pixels, crs="EPSG:32632", transform=Affine(0.5, 0, 808_690, 0, -0.5, 5_808_640))
    far = make_raster("far.tif", pixels, transform=Affine(0.5, 0, 500_000, 0, -0.5, 5_800_000))
    drawn = rectangles()
    folder, record = export(town, again, turned, far, task="detect", labels=layer(drawn, ["a"] * len(drawn)))
    assert_no_common_ground(footprints(folder, "images/*.tif"))
    used = {Path(each["path"]).name: each["chips"] for each in record["rasters"]}
    assert list(used) == ["town.tif", "again.tif", "turned.tif"]
    assert min(used.values()) > 10
    assert record["left_out"]["on_ground_of_another_split"] > 0
    assert any("far.tif, which is left out" in text for text in record["warnings"])


def test_chips_of_rasters_of_one_name_do_not_meet(make_raster, layer, export, tmp_path):
    pixels, drawn = np.random.default_rng(0).integers(1, 255, (3, SIZE, SIZE), dtype=np.uint8), rectangles()
    names = ["a/town.tif", "b/Town.tif", "town-1.tif"]
    paths = []
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        paths.append(make_raster(name, pixels, transform=Affine(0.5, 0, 400_000 + 1000 * number, 0, -0.5, 5_800_000)))
    places = [Affine(0.5, 0, 400_000 + 1000 * number, 0, -0.5, 5_800_000) for number in range(3)]
    labels = geopandas.GeoSeries([each for place in places for each in on_ground(drawn, place)])
    labels = layer([*labels], ["a"] * len(labels), transform=Affine.identity())
    folder, record = export(*paths, task="detect", labels=labels)
    assert len(list(folder.glob("*/images/*.tif"))) == finished_chips(record)
    assert {path.name.casefold()[:7] for path in folder.glob("*/images/*.tif")} == {"town-1_", "town-2_", "town-1-"}


def test_each_place_has_its_share_in_each_split(town, make_raster, layer, export):
    elsewhere = Affine(0.5, 0, 501_000, 0, -0.5, 5_800_000)
    village = make_raster("village.tif", np.full((3, SIZE, SIZE), 90, np.uint8), transform=elsewhere)
    many, few = rectangles(60, seed=1), rectangles(15, seed=2)
    drawn = geopandas.GeoSeries([*on_ground(many), *on_ground(few, elsewhere)])
    labels = layer([*drawn], ["a"] * len(drawn), transform=Affine.identity())
    folder, _ = export(town, village, task="detect", labels=labels, block=1, val=0.25, test=0)
    for name in ("town", "village"):
        counts = [len(list((folder / split / "images").glob(f"{name}*"))) for split in ("train", "val")]
        assert 0.1 < counts[1] / sum(counts) < 0.5


def test_empty_chips_are_kept_by_ratio(town, layer, export):
    corner = layer([shapely.box(x, 10, x + 20, 30) for x in range(10, 400, 60)], ["a"] * 7)
    _, record = export(town, task="detect", labels=corner, overlap=0, empty=0.5, val=0.3, test=0)
    assert set(record["splits"]) == {"train", "val"}
    for split in record["splits"].values():
        assert split["empty"] == round(0.5 * (split["chips"] - split["empty"]))


def test_another_resolution_and_16_bits_become_chips_of_8_bits_at_it(make_raster, layer, export):
    values = np.random.default_rng(0).integers(200, 3000, (4, SIZE, SIZE), dtype=np.uint16)
    deep = make_raster("deep.tif", values)
    drawn = [shapely.box(x, y, x + 40, y + 40) for x in range(10, 450, 90) for y in range(10, 450, 90)]
    folder, _ = export(
        deep, task="detect", labels=layer(drawn, ["a"] * len(drawn)), bands=(4, 3, 2, 1), resolution=1.0, overlap=0
    )
    with rasterio.open(next(folder.glob("train/images/*.tif"))) as image:
        assert (image.count, image.dtypes[0]) == (4, "uint8")
        assert image.res == pytest.approx((1, 1), rel=1e-3)  # true metres, which those of UTM nearly are
        assert image.read().std() > 20
        assert image.descriptions == ("band 4", "blue", "green", "red")


def test_an_object_is_labelled_by_what_a_chip_shows_of_it_wherever_its_middle_is(town, layer, export):
    angle = shapely.Polygon(
        [(30, 30), (60, 30), (60, 34), (34, 34), (34, 60), (30, 60)]
    )  # its box's middle is beside it
    beyond = shapely.affinity.translate(angle, 64 - 44, 0)  # 55 % in the first chip, with neither middle
    others = [shapely.box(x, 300, x + 20, 320) for x in range(10, 480, 50)]
    kinds = ["cut", *["whole"] * len(others)]
    options = {"labels": layer([beyond, *others], kinds), "overlap": 0, "block": 1, "visible": 0.5}
    folder, _ = export(town, task="detect", **options, val=0.2, test=0)
    ((box, image, _),) = (
        each
        for split in ("train", "val")
        for each in boxes_on_ground(folder, split, ("cut", "whole"))
        if each[2] == "cut"
    )
    (shown,) = on_ground([beyond])
    assert shown.intersection(image).area > 0.5 * shown.area
    assert shapely.hausdorff_distance(box, shown.intersection(image).envelope) < 0.25  # half a pixel


def test_objects_in_the_middle_of_a_chip_s_edge_make_no_fault(make_raster, layer, export):
    transform = Affine(0.3, 0, 400_000.1, 0, -0.3, 5_800_000.7)  # in which whole pixels have no round coordinates
    town = make_raster(
        "odd.tif", np.random.default_rng(0).integers(1, 255, (3, SIZE, SIZE), np.uint8), transform=transform
    )
    places = [(x, y) for x in range(64, SIZE, 64) for y in range(32, SIZE, 64)]
    drawn = [
        shapely.affinity.rotate(shapely.box(x - 5, y - 3, x + 5, y + 3), 7 * number)
        for number, place in enumerate(places)
        for x, y in (place, place[::-1])
    ]
    labels = layer(drawn, ["a"] * len(drawn), transform=transform)
    folder, _ = export(town, task="detect", labels=labels, overlap=0, visible=0.4)
    checked = check_data(FinetuneRequest("detect", str(folder), check=True), Lines())
    assert (checked.numbers["errors"], checked.numbers["warnings"]) == (0, 0)


def test_slivers_and_different_scales_are_told(town, make_raster, layer, export):
    coarse = make_raster("coarse.tif", np.full((3, 128, 128), 90, np.uint8), transform=HALF_METRES @ Affine.scale(4))
    drawn = [*rectangles(20), shapely.box(100, 100, 140, 100.3)]
    lines = Lines()
    _, record = export(town, coarse, task="detect", labels=layer(drawn, ["a"] * len(drawn)), report=lines)
    sliver, *_, scales = record["warnings"]
    assert sliver == f"1 of the polygons on {town} are narrower than half a pixel and are left out."
    assert f"({town} 0.5 m, {coarse} 2 m); name a resolution" in scales
    assert record["warnings"] == lines.warnings


def test_the_report_needs_nothing_else_and_the_labels_come_back_as_a_layer(town, layer, export, tmp_path):
    drawn = rectangles()
    folder, record = export(town, task="detect", labels=layer(drawn, ["<plane>"] * len(drawn)))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "&lt;plane&gt;" not in page  # names of classes can be names of folders
    assert "_plane_" in page
    assert page.count("data:image/jpeg;base64,") >= 10
    assert "http" not in page
    outlines = tmp_path / "chips.gpkg"
    finished = load_data(LoadDataRequest(str(folder), str(tmp_path / "back.gpkg"), str(outlines)), Lines())
    back = pyogrio.read_dataframe(tmp_path / "back.gpkg")
    assert back.crs.to_epsg() == 32633
    truth = np.array(on_ground(drawn))
    for box in back.geometry:
        assert min(shapely.hausdorff_distance(truth, box)) < 0.25
    assert set(back["split"]) == set(SPLITS)
    assert len(pyogrio.read_dataframe(outlines)) == finished.numbers["images"] == finished_chips(record)


def finished_chips(record):
    return sum(split["chips"] for split in record["splits"].values())


@pytest.mark.parametrize(("task", "expected"), [("segment", {"background", "a"}), ("classify", {"a", "b"})])
def test_labels_of_other_layouts_come_back_too(task, expected, town, layer, export, tmp_path):
    drawn = [shapely.box(x, y, x + 60, y + 60) for x in range(0, 500, 100) for y in range(0, 500, 100)]
    kinds = ["a" if task == "segment" or number % 2 else "b" for number in range(len(drawn))]
    folder, _ = export(town, task=task, labels=layer(drawn, kinds), overlap=0)
    load_data(LoadDataRequest(str(folder), str(tmp_path / "back.gpkg")), Lines())
    back = pyogrio.read_dataframe(tmp_path / "back.gpkg")
    assert set(back["class_name"]) == expected
    area = back[back["class_name"] == "a"].area.sum()
    assert area == pytest.approx(sum(kind == "a" for kind in kinds) * 60 * 60 / 4, rel=0.01)


def test_labels_come_back_of_images_of_any_depth(make_raster, layer, export, tmp_path):
    deep = make_raster("deep.tif", np.full((4, SIZE, SIZE), 3000, np.uint16), photometric="MINISBLACK")
    drawn = rectangles()
    folder, _ = export(deep, task="segment", labels=layer(drawn, ["a"] * len(drawn)), overlap=0)
    for path in folder.glob("*/images/*.tif"):
        with rasterio.open(path) as chip:
            profile = {**chip.profile, "dtype": "uint16", "count": 1, "photometric": "MINISBLACK"}
        path.unlink()
        with rasterio.open(path, "w", **profile) as chip:
            chip.write(np.full((1, chip.height, chip.width), 3000, np.uint16))
    finished = load_data(LoadDataRequest(str(folder), str(tmp_path / "back.gpkg")), Lines())
    assert finished.numbers["count_a"] > 0


def test_boxes_in_coco_are_shown_where_they_lie(make_raster, tmp_path):
    folder, images = tmp_path / "coco", {"train": "one.tif", "valid": "two.tif"}
    for number, (split, name) in enumerate(images.items()):
        place = HALF_METRES @ Affine.translation(200 * number, 0)
        image = make_raster(name, np.zeros((3, 100, 100), np.uint16), transform=place)
        (folder / split).mkdir(parents=True)
        Path(image).rename(folder / split / name)
        content = {
            "images": [{"id": 1, "file_name": name}],
            "categories": [{"id": 4, "name": "roof"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 4, "bbox": [50, 40, 20, 10, 90]}],
        }
        (folder / split / "_annotations.coco.json").write_text(json.dumps(content))
    finished = load_data(LoadDataRequest(str(folder), str(tmp_path / "back.gpkg")), Lines())
    assert (finished.numbers["images"], finished.numbers["count_roof"]) == (2, 2)
    back = pyogrio.read_dataframe(tmp_path / "back.gpkg").sort_values("split")
    assert back["split"].tolist() == ["train", "val"]
    assert back["image"].tolist() == ["train/one.tif", "valid/two.tif"]
    for box, left in zip(back.geometry, (400_000, 400_100), strict=True):
        assert box.bounds == pytest.approx((left + 22.5, 5_800_000 - 25, left + 27.5, 5_800_000 - 15), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"class_field": "sort"}, "no field 'sort'; its fields are kind"),
        ({"task": "classify"}, "has the class a alone"),
        ({"chip_size": 64, "overlap": 64}, "smaller than the chip size, 64 pixels"),
        ({"task": "change"}, "a later raster for each earlier one; 0 later and 1 earlier"),
        ({"val": 0.6, "test": 0.4}, "leave nothing to train on"),
        ({"bands": (1, 2, 7)}, "has no band 7"),
        ({"labels": "/no/such/file.gpkg"}, "label layer /no/such/file.gpkg cannot be read"),
        ({"area": "/no/such/file.gpkg"}, "area of interest /no/such/file.gpkg cannot be read"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(options, words, town, layer, export, tmp_path):
    drawn = rectangles(5)
    values = {"task": "detect", "labels": layer(drawn, ["a"] * 5), **options}
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=words) as caught:
        export(town, **values)
    assert "\n" not in str(caught.value)
    assert set(tmp_path.iterdir()) == before


def test_classes_that_some_systems_put_into_one_folder_are_refused(town, layer, export):
    labels = layer(rectangles(2), ["Forest", "forest"])
    with pytest.raises(InputError, match="'Forest' and 'forest' would both be called forest; rename one"):
        export(town, task="classify", labels=labels)


def test_polygons_beside_the_raster_and_without_class_are_refused(town, layer, export):
    far = layer([shapely.box(9000, 0, 9010, 10)], ["a"])
    with pytest.raises(
        InputError, match=re.escape(f"No polygon of the label layer {far} lies on {town}; check the reference")
    ):
        export(town, task="detect", labels=far)
    nameless = layer(rectangles(3), ["a", None, "b"])
    with pytest.raises(InputError, match="1 of the 3 polygons"):
        export(town, task="detect", labels=nameless)


@pytest.mark.filterwarnings("ignore:.crs. was not provided")
def test_rasters_without_a_way_between_their_reference_systems_are_refused(town, make_raster, export, tmp_path):
    noise = np.random.default_rng(1).integers(1, 255, (3, SIZE, SIZE), dtype=np.uint8)
    site = make_raster("site.tif", noise, crs='LOCAL_CS["site",UNIT["metre",1]]')
    geopandas.GeoDataFrame({"kind": ["a"] * 5}, geometry=on_ground(rectangles(5), HALF_METRES)).to_file(
        tmp_path / "drawn.gpkg"
    )
    with pytest.raises(InputError, match=r"There is no way from site to EPSG:32633, .* into one reference system"):
        export(town, site, task="segment", labels=str(tmp_path / "drawn.gpkg"))


@pytest.mark.filterwarnings("ignore:.crs. was not provided")
def test_what_is_doubtful_about_polygons_is_told(town, layer, export, tmp_path):
    drawn = [*on_ground(rectangles(20), HALF_METRES), None, shapely.Polygon()]
    path = tmp_path / "drawn.shp"
    geopandas.GeoDataFrame({"kind": ["a"] * 22}, geometry=drawn).to_file(path)  # without reference system
    lines = Lines()
    _, record = export(town, task="segment", labels=str(path), report=lines)
    assert record["warnings"] == [
        f"2 of the 22 features of the label layer {path} have no polygon and are left out.",
        f"The label layer {path} has no reference system and is taken to be in that of the raster.",
    ]
    far = layer([shapely.box(9000, 0, 9010, 10)], ["a"], "far")
    with pytest.raises(InputError, match=re.escape(f"No polygon of the area of interest {far} lies on {town}; check")):
        export(town, task="segment", labels=layer(rectangles(5), ["a"] * 5), area=far, output=str(tmp_path / "other"))


def test_nothing_of_the_users_is_overwritten_and_a_cancelled_export_leaves_nothing(town, layer, export, tmp_path):
    class Impatient(Lines):
        def check_cancelled(self):
            raise Cancelled

    labels = layer(rectangles(), ["a"] * 40)
    before = set(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        export(town, task="detect", labels=labels, report=Impatient())
    assert set(tmp_path.iterdir()) == before
    (tmp_path / "dataset").mkdir()
    export(town, task="detect", labels=labels)
    kept = sorted(path.name for path in (tmp_path / "dataset").rglob("*"))
    with pytest.raises(InputError, match="not empty"):
        export(town, task="detect", labels=labels)
    assert sorted(path.name for path in (tmp_path / "dataset").rglob("*")) == kept


def test_images_without_georeference_have_no_labels_on_a_map(tmp_path):
    folder = tmp_path / "plain"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / name / "x.png")
    with pytest.raises(InputError, match=re.escape(f"None of the 2 images of {folder} has a georeference")):
        load_data(LoadDataRequest(str(folder), str(tmp_path / "back.gpkg")), Lines())


def test_a_folder_without_a_dataset_is_not_loaded(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no dataset\. .*\(detect\); .*; A, B and label \(change\)"):
        load_data(LoadDataRequest(str(tmp_path / "empty"), str(tmp_path / "back.gpkg")), Lines())


@pytest.mark.parametrize("resolution", [None, 0.4])
def test_pixels_that_are_no_squares_on_the_ground_become_squares(make_raster, layer, export, resolution):
    pixels = np.random.default_rng(0).integers(1, 255, (3, SIZE, SIZE), dtype=np.uint8)
    degrees = Affine(5e-6, 0, 13.5, 0, -5e-6, 60.0)  # 0.28 by 0.56 m
    raster, lines = make_raster("north.tif", pixels, transform=degrees, crs="EPSG:4326"), Lines()
    houses = layer(rectangles(), ["house"] * 40, transform=degrees, crs="EPSG:4326", drawn_in="EPSG:4326")
    folder, _ = export(raster, report=lines, task="detect", labels=houses, resolution=resolution)
    with rasterio.open(next((folder / "train" / "images").iterdir())) as chip:
        across, down = chip.transform.a * 55_800, -chip.transform.e * 111_412
    assert (across, down) == pytest.approx((resolution or 0.557,) * 2, rel=0.01)
    told = f"The pixels of {raster} measure 0.279 x 0.557 m; in chips they are squares."
    assert (told in lines.lines) is (resolution is None)
