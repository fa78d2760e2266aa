# SPDX-License-Identifier: GPL-2.0-or-later
"""Models of which it is known what they find, measured on rasters against layers."""

import json
import re
from shutil import copyfile
from types import SimpleNamespace

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin
from shapely.geometry import MultiPolygon, Polygon, box

from model_runner.contract.model_card import Licence, ModelCard, ModelClass
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.errors import InputError
from model_runner.evaluation.maps import CONFUSED, FALSELY, MISSING, NOTHING, TRUE, outcome_numbers
from model_runner.inference.detections import Detections
from model_runner.report import Report
from model_runner.tasks.evaluate import evaluate
from tests.lines import Lines

CRS, LEFT, TOP = "EPSG:32633", 500_000, 5_200_000
SIDE = 200
BRIGHT = (slice(20, 60), slice(30, 90))


def ground(left, top, right, bottom):
    """A rectangle given in pixels of the raster, which measure a metre."""
    return box(LEFT + left, TOP - bottom, LEFT + right, TOP - top)


def write_raster(path, bright=BRIGHT):
    pixels = np.full((3, SIDE, SIDE), 20, np.uint8)
    if bright:
        pixels[(slice(None), *bright)] = 220
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8", crs=CRS,
        transform=from_origin(LEFT, TOP, 1, 1),
    ) as raster:  # fmt: skip
        raster.write(pixels)
    return str(path)


def write_layer(path, polygons, **fields):
    geopandas.GeoDataFrame(fields, geometry=polygons, crs=CRS).to_crs(4326).to_file(path)
    return str(path)


def card_of(task, names):
    classes = tuple(ModelClass(name) for name in names)
    facts = {
        "detect": "oriented_rcnn_l0",
        "segment": "unetformer_l0",
        "change": "a2net_l0",
        "classify": "classifier_l0",
    }
    return ModelCard(
        id="known", title="known", task=task, network=facts[task], classes=classes, tile_size=96, overlap=24,
        threshold=0.5, licence=Licence("none"),
    )  # fmt: skip


@pytest.fixture
def model(monkeypatch):
    def use(task, names, network):
        monkeypatch.setattr("model_runner.tasks.evaluate.loaded_model", lambda *chosen: (card_of(task, names), network))

    return use


def measured(task, raster, reference, output, **options):
    request = EvaluateRequest(task, raster, str(output), "known", reference=reference, **options)
    finished = evaluate(request, Report())
    return finished, json.loads((output / "metrics.json").read_text())


def bright_is_second(images):
    bright = images.mean(1, keepdim=True)
    return torch.cat((torch.zeros_like(bright), bright), 1)


def test_classes_of_pixels_are_compared_with_polygons_and_with_a_raster(tmp_path, model):
    model("segment", ("land", "water"), bright_is_second)
    raster = write_raster(tmp_path / "image.tif")
    lakes = write_layer(tmp_path / "lakes.gpkg", [ground(30, 20, 90, 50), ground(150, 150, 160, 170)], date=["a", "b"])
    with pytest.raises(InputError, match=r"no field 'class_name'; name one of its fields \(date\)"):
        measured("segment", raster, lakes, tmp_path / "report")
    assert not (tmp_path / "report").exists()
    finished, metrics = measured("segment", raster, lakes, tmp_path / "report", reference_class="water")
    water = {"land": 200, "water": 1800}
    assert metrics["confusion"] == {"land": {"land": SIDE**2 - 2600, "water": 600}, "water": water}
    with rasterio.open(finished.outputs["outcomes"]) as outcomes:
        numbers = outcomes.read(1)
        assert outcomes.crs.to_string() == CRS
    assert (numbers[30, 40], numbers[55, 40], numbers[160, 155], numbers[0, 0]) == (TRUE, FALSELY, MISSING, NOTHING)
    assert "from column 0, row 0" in (tmp_path / "report" / "report.html").read_text()

    _, again = measured("segment", raster, finished.outputs["found"], tmp_path / "itself")
    assert again["mIoU"] == 1
    _, one = measured("segment", raster, lakes, tmp_path / "one", reference_class="water", where="date = 'a'")
    assert one["confusion"]["water"] == {"water": 1800}


def test_pixels_without_data_in_a_rasterised_layer_are_no_object(tmp_path, model):
    before, after = write_raster(tmp_path / "before.tif", None), write_raster(tmp_path / "after.tif")
    profile = {
        "driver": "GTiff", "width": 100, "height": SIDE, "count": 1, "dtype": "uint8", "crs": CRS,
        "transform": from_origin(LEFT, TOP, 1, 1),
    }  # fmt: skip
    drawn = np.zeros((SIDE, 100), np.uint8)  # the eastern half of the image lies beyond it
    drawn[20:50, 30:90] = 1
    for name, nodata in (("plain", None), ("rasterised", 0)):
        with rasterio.open(tmp_path / f"{name}.tif", "w", nodata=nodata, **profile) as reference:
            reference.write(drawn, 1)
    tasks = (
        ("segment", ("land", "water"), bright_is_second, {"data": after}),
        (
            "segment",
            ("background", "water", "ice"),
            lambda images: torch.cat((bright_is_second(images), -images[:, :1].abs() - 9), 1),
            {"data": after},
        ),
        (
            "change",
            ("unchanged", "changed"),
            lambda one, other: (other - one).abs().mean(1, keepdim=True) - 1,
            {"data": before, "after": after},
        ),
    )
    for number, (task, names, network, images) in enumerate(tasks):
        model(task, names, network)
        found = []
        for name in ("plain", "rasterised"):
            lines, output = Lines(), tmp_path / f"{name}{number}"
            evaluate(
                EvaluateRequest(
                    task, output=str(output), model="known", reference=str(tmp_path / f"{name}.tif"), **images
                ),
                lines,
            )
            found.append(json.loads((output / "metrics.json").read_text())["confusion"])
            assert any("count as such" in line for line in lines.lines) is (name == "rasterised")
        assert found[0] == found[1]
        assert found[0][names[0]] == {names[0]: SIDE * 100 - 2400, names[1]: 600}


def test_ground_between_polygons_is_no_class_that_nobody_drew(tmp_path, model):
    def sure(images):
        bright = images.mean(1, keepdim=True)
        return torch.cat((torch.zeros_like(bright), bright, -9 - bright.abs()), 1)

    raster = write_raster(tmp_path / "image.tif")
    drawn = write_layer(
        tmp_path / "drawn.gpkg", [ground(30, 20, 90, 50), ground(120, 120, 160, 170)], kind=["forest", "field"]
    )
    model("segment", ("field", "forest", "water"), sure)
    _, metrics = measured("segment", raster, drawn, tmp_path / "report", class_field="kind")
    assert metrics["confusion"] == {"field": {"field": 2000}, "forest": {"forest": 1800}, "water": {}}


def test_what_is_called_background_is_of_no_interest(tmp_path, model):
    model("segment", ("background", "water"), bright_is_second)
    raster = write_raster(tmp_path / "image.tif")
    lakes = write_layer(tmp_path / "lakes.gpkg", [ground(30, 20, 90, 50), ground(150, 150, 160, 170)])
    finished, metrics = measured("segment", raster, lakes, tmp_path / "report")  # there is one class for the polygons
    assert metrics["confusion"]["water"] == {"background": 200, "water": 1800}
    with rasterio.open(finished.outputs["outcomes"]) as outcomes:
        numbers = outcomes.read(1)
    assert (numbers[30, 40], numbers[55, 40], numbers[160, 155], numbers[0, 0]) == (TRUE, FALSELY, MISSING, NOTHING)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "right, false, missed" in page
    assert "of another class" not in page

    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    copyfile(raster, tmp_path / "data" / "images" / "a.tif")
    copyfile(finished.outputs["found"], tmp_path / "data" / "masks" / "a.tif")
    (tmp_path / "data" / "classes.json").write_text('[{"name": "background"}, {"name": "water"}]')
    _, undivided = measured("segment", str(tmp_path / "data"), None, tmp_path / "second")
    assert undivided["split"] is None
    assert "(val)" not in (tmp_path / "second" / "report.html").read_text()
    with rasterio.open(tmp_path / "second" / "outcomes" / "a.tif") as outcomes:
        assert set(np.unique(outcomes.read(1))) == {NOTHING, TRUE}


@pytest.mark.parametrize(
    ("value", "written"), [("large house", "large-house"), (7, "7"), (7.0, "7"), ("a/b", "a_b"), ("a b", "a b")]
)
def test_the_layer_that_was_exported_is_a_reference_as_it_is(tmp_path, model, value, written):
    model("segment", ("land", written), bright_is_second)
    raster = write_raster(tmp_path / "image.tif")
    drawn = write_layer(tmp_path / "drawn.gpkg", [ground(30, 20, 90, 50)], class_name=[value])
    _, metrics = measured("segment", raster, drawn, tmp_path / "report")
    assert metrics["confusion"][written] == {written: 1800}


def test_changes_are_compared_with_polygons(tmp_path, model):
    model("change", ("unchanged", "changed"), lambda before, after: (after - before).abs().mean(1, keepdim=True) - 1)
    before, after = write_raster(tmp_path / "before.tif", None), write_raster(tmp_path / "after.tif")
    changes = write_layer(tmp_path / "changes.gpkg", [ground(30, 20, 90, 60)])
    _, metrics = measured("change", before, changes, tmp_path / "report", after=after)
    assert metrics["F1"] == metrics["IoU"] == 1
    page = (tmp_path / "report" / "report.html").read_text()
    assert "smallest probability" in page
    assert "smallest score" not in page
    with rasterio.open(after, "r+") as turned:
        turned.write(np.where(turned.read() > 100, 20, turned.read())[:2], (1, 2))  # only the third band shows it
    model("change", ("unchanged", "changed"), lambda before, after: (after - before).abs()[:, :1] - 1)
    for name, bands, f1 in (("usual", (), 0), ("turned", (3, 2, 1), 1)):
        _, metrics = measured("change", before, changes, tmp_path / name, after=after, after_bands=bands)
        assert metrics["F1"] == f1
        told = "bands of the later raster" in (tmp_path / name / "report.html").read_text()
        assert told is bool(bands)
    with pytest.raises(InputError, match="The later raster's bands and colours are for change between two rasters"):
        EvaluateRequest("change", "data", str(tmp_path / "other"), "known", after_bands=(3, 2, 1))
    with pytest.raises(InputError, match="only the earlier one is there; name the later one as --after"):
        EvaluateRequest("change", before, str(tmp_path / "other"), "known", reference=changes)
    for reference in (None, changes):
        with pytest.raises(InputError, match="the task is segment; leave --after away"):
            EvaluateRequest("segment", before, str(tmp_path / "other"), "known", reference=reference, after=after)


class Sees(torch.nn.Module):
    """Finds one object where a tile is bright, one beside it, and one where nothing is."""

    def __init__(self):
        super().__init__()
        self.roi_head = SimpleNamespace(score_threshold=0.0, nms_threshold=0.0)

    def forward(self, images):
        found = []
        for image in images:
            rows, columns = (image.mean(0) > 0.5).nonzero().unbind(1)
            boxes = torch.zeros(0, 5)
            if len(rows) and rows.max() < 90 and columns.max() < 94 and columns.min() > 0 and rows.min() > 0:
                edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                left, top, right, bottom = map(float, edges)
                boxes = torch.tensor([[(left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0]])
            found.append(Detections(boxes, torch.full((len(boxes),), 0.9), torch.zeros(len(boxes), dtype=torch.int64)))
        return found


def test_objects_are_compared_with_polygons_and_those_outside_of_the_area_do_not_count(tmp_path, model):
    model("detect", ("roof", "tank"), Sees())
    raster = write_raster(tmp_path / "image.tif")
    labelled = [ground(30, 22, 90, 60), ground(150, 150, 170, 160), ground(300, 300, 320, 320)]
    roofs = write_layer(tmp_path / "roofs.gpkg", labelled, kind=["roof", "tank", "roof"])
    finished, metrics = measured("detect", raster, roofs, tmp_path / "report", class_field="kind")
    assert metrics["classes"]["roof"]["AP50"] == 1
    assert metrics["classes"]["tank"]["AP50"] == 0
    assert metrics["objects"] == 2
    outcomes = geopandas.read_file(finished.outputs["outcomes"]).set_index("outcome")
    assert outcomes.crs.to_string() == CRS
    assert outcomes.loc["true", "class_name"] == "roof"
    assert outcomes.loc["true", "iou"] == pytest.approx(38 / 40, abs=1e-3)
    assert outcomes.loc["missed", "class_name"] == "tank"
    assert outcomes.loc["missed"].geometry.symmetric_difference(labelled[1]).area < 0.5
    area = write_layer(tmp_path / "area.gpkg", [ground(0, 0, 120, 120)])
    _, less = measured("detect", raster, roofs, tmp_path / "less", class_field="kind", area=area)
    assert less["objects"] == 1
    far = write_layer(tmp_path / "far.gpkg", labelled[2:], kind=["roof"])
    with pytest.raises(
        InputError, match=re.escape(f"No polygon of the reference {far} lies on the part of {raster} in use;")
    ):
        measured("detect", raster, far, tmp_path / "far", class_field="kind")
    wrong = write_layer(tmp_path / "wrong.gpkg", labelled[:1], class_name=["Roof"])
    with pytest.raises(InputError, match="the class 'Roof' is unknown; the model knows roof, tank"):
        measured("detect", raster, wrong, tmp_path / "wrong")


def test_a_reference_is_taken_as_an_export_takes_labels(tmp_path, model):
    model("detect", ("roof", "tank"), Sees())
    raster = write_raster(tmp_path / "image.tif")
    together = MultiPolygon([ground(30, 22, 90, 60), ground(150, 150, 170, 160)])
    first, second = ground(30, 22, 90, 60).exterior.coords[:2]
    roofs = [together, Polygon([first, second, first])]
    drawn = write_layer(tmp_path / "roofs.gpkg", roofs, class_name=["roof", "roof"])
    assert measured("detect", raster, drawn, tmp_path / "objects")[1]["objects"] == 2

    model("segment", ("land", "water"), bright_is_second)
    corners = ground(10, 10, 150, 90).exterior.coords[:-1]
    lake = Polygon([*corners, (LEFT + 180, corners[-1][1]), corners[-1]])  # with a spike that has no area
    drawn = write_layer(tmp_path / "lakes.gpkg", [ground(100, 20, 140, 60), lake], class_name=["land", "water"])
    _, metrics = measured("segment", raster, drawn, tmp_path / "pixels")
    assert sum(metrics["confusion"]["water"].values()) == 140 * 80 - 40 * 40


def test_polygons_without_a_class_are_left_out_and_counted_once(tmp_path, model):
    model("detect", ("roof", "tank"), Sees())
    raster, report = write_raster(tmp_path / "image.tif"), Lines()
    labelled = [ground(30, 20, 90, 60), ground(150, 150, 170, 160), ground(10, 150, 30, 160)]
    for name, kinds in (("texts", ["roof", None, ""]), ("numbers", [7, None, None])):
        layer = write_layer(tmp_path / f"{name}.gpkg", labelled, class_name=kinds)
        if name == "numbers":
            model("detect", ("7", "tank"), Sees())
        evaluate(EvaluateRequest("detect", raster, str(tmp_path / name), "known", reference=layer), report)
        assert json.loads((tmp_path / name / "metrics.json").read_text())["objects"] == 1
        told = f"2 of the 3 polygons of the reference {layer} have no class in the field class_name and are left out."
        assert report.warnings.count(told) == 1
    request = EvaluateRequest("detect", raster, str(tmp_path / "two"), "known", reference=layer, against="another")
    report = Lines()
    evaluate(request, report)
    assert report.warnings.count(told) == len(set(report.warnings)) == len(report.warnings)
    nothing = write_layer(tmp_path / "nothing.gpkg", labelled, class_name=["", "", None])
    with pytest.raises(InputError, match="None of the 3 polygons"):
        measured("detect", raster, nothing, tmp_path / "nothing")


def test_kinds_of_scenes_are_compared_with_polygons(tmp_path, model):
    def bright_or_not(images):
        bright = images.mean((1, 2, 3))
        return torch.stack((-bright, bright), 1)

    model("classify", ("dark", "bright"), bright_or_not)
    raster = write_raster(tmp_path / "image.tif")
    zones = [ground(35, 25, 60, 50), ground(120, 120, 150, 150), ground(160, 20, 190, 50)]
    places = write_layer(tmp_path / "zones.gpkg", zones, class_name=["bright", "dark", "bright"])
    finished, metrics = measured("classify", raster, places, tmp_path / "report")
    assert metrics["top-1"] == pytest.approx(2 / 3, abs=1e-4)
    assert metrics["confusion"]["bright"] == {"dark": 1, "bright": 1}
    assert geopandas.read_file(finished.outputs["outcomes"])["outcome"].tolist() == ["true", "true", "false"]


def test_the_bands_that_were_chosen_are_looked_at(tmp_path, model):
    model("segment", ("land", "water"), bright_is_second)
    with rasterio.open(write_raster(tmp_path / "image.tif")) as raster:
        profile, bright = raster.profile, raster.read()
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "masks").mkdir()
    five = str(tmp_path / "data" / "images" / "five.tif")
    with rasterio.open(five, "w", **{**profile, "count": 5, "photometric": "minisblack"}) as raster:
        raster.write(np.concatenate([np.full_like(bright[:2], 20), bright]))
    with rasterio.open(tmp_path / "data" / "masks" / "five.tif", "w", **{**profile, "count": 1}) as mask:
        mask.write((bright[:1] > 100).astype(np.uint8))
    (tmp_path / "data" / "classes.json").write_text('[{"name": "land"}, {"name": "water"}]')
    data = str(tmp_path / "data")
    with pytest.raises(InputError, match=r"needs 3 bands \(red, green, blue\); you chose 2\."):
        measured("segment", data, None, tmp_path / "report", bands=(1, 2))
    reference = write_layer(tmp_path / "lake.gpkg", [ground(30, 20, 90, 60)])
    for name, image, labels, options in (
        ("dataset", data, None, {}),
        ("raster", five, reference, {"reference_class": "water"}),
    ):
        _, metrics = measured("segment", image, labels, tmp_path / name, bands=(3, 4, 5), **options)
        assert (metrics["bands"], metrics["mIoU"]) == ([3, 4, 5], 1)
        _, metrics = measured("segment", image, labels, tmp_path / f"{name} by default", **options)
        assert metrics["mIoU"] < 0.6


def test_what_is_no_dataset_for_the_task_is_told_before_the_model_is_loaded(tmp_path):
    (tmp_path / "labelTxt").mkdir()
    raster = write_raster(tmp_path / "image.tif")
    for data, text in (
        (tmp_path, "was made for another task: it has the layout of a dataset for detect, not for segment"),
        (tmp_path / "nothing", "There is no folder .*nothing; choose that of a dataset"),
        (raster, "is a file: name the --reference that labels it"),
    ):
        with pytest.raises(InputError, match=text):
            measured("segment", str(data), None, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_outcomes_of_pixels_without_a_background_are_right_or_of_another_class():
    found, labels = np.array([[0, 1, 1]], np.uint8), np.array([[0, 0, 255]], np.uint8)
    assert outcome_numbers(found, labels, None).tolist() == [[TRUE, CONFUSED, 255]]
