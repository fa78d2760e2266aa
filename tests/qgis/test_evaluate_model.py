# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest

TRIANGLE = "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))"
FIELDS = "&field=fid:integer&field=kind:string(20)"


@pytest.fixture
def reference(polygon_layer):
    return polygon_layer("EPSG:32633", TRIANGLE, fields=FIELDS)


def test_a_model_and_a_dataset_are_enough(evaluation, fake_runner, dataset, tmp_path):
    results = evaluation(DATA=dataset)
    assert results["OUTPUT"] == str(tmp_path / "evaluation")
    assert Path(results["REPORT"]) == tmp_path / "evaluation" / "report.html"
    assert Path(results["METRICS"]).is_file()
    assert (results["MAP50"], results["F1"], results["BEST_THRESHOLD"], results["TOP_1"]) == (0.81, 0.7, 0.35, 0.9)
    assert results["MAP_AREA"] == 0.8
    request = fake_runner.requests[0]
    expected = {
        "task": "detect", "data": dataset, "model": "detect-ucm-l0", "split": "val", "iou": 0.5, "threshold": None,
        "reference": None, "after": None, "area": None, "extent": None, "resolution": None, "background": None,
        "bands": [],
    }  # fmt: skip
    assert {name: request[name] for name in expected} == expected


def test_every_value_reaches_the_runner(evaluation, fake_runner, raster, later, reference, polygon_layer):
    area = polygon_layer("EPSG:4326", "POLYGON((15 41, 16 41, 16 42, 15 41))")
    evaluation(
        MODEL="change-demo-l0", SPLIT="test", INPUT=raster, AFTER=later, REFERENCE=reference, CLASS_FIELD="kind",
        AREA=area, EXTENT="500000,500020,4599990,4600000 [EPSG:32633]", RESOLUTION=0.6, THRESHOLD=0.4, IOU=0.7,
        BANDS="3,2,1", REFERENCE_CLASS="changed", BACKGROUND="unchanged", DEVICE="cpu", PRECISION="fp32", BATCH_SIZE=2,
        AFTER_BANDS="1,2,3", MATCH_COLOURS=True, FLIPS=True, NMS_IOU=0.2, TILE_SIZE=512, OVERLAP=64,
    )  # fmt: skip
    request = fake_runner.requests[0]
    expected = {
        "task": "change", "model": "change-demo-l0", "split": "test", "data": raster, "after": later,
        "bands": [3, 2, 1], "class_field": "kind", "extent": [500000, 4599990, 500020, 4600000], "resolution": 0.6,
        "threshold": 0.4, "iou": 0.7, "reference_class": "changed", "background": "unchanged",
        "compute": {"device": "cpu", "precision": "fp32", "batch_size": 2},
        "after_bands": [1, 2, 3], "match_colours": True, "flips": True, "nms_iou": 0.2,
        "tiling": {"tile_size": 512, "overlap": 64},
        "reference_fields": ["kind"], "area_crs": "WGS 84",
    }  # fmt: skip
    assert {name: request[name] for name in expected} == expected


def test_a_reference_may_be_a_raster(evaluation, fake_runner, raster, later):
    evaluation(MODEL="segment-demo-l0", INPUT=raster, REFERENCE_RASTER=later)
    assert fake_runner.requests[0]["reference"] == later


def test_what_is_right_and_wrong_is_loaded_with_its_colours(evaluation, project, raster, reference, drawn):
    layer = evaluation.loaded(INPUT=raster, REFERENCE=reference)["OUTCOMES"]
    assert layer.name() == "Right and wrong of detect-ucm-l0 in airfield"
    colours = {each.value(): each.symbol().color().name() for each in layer.renderer().categories()}
    assert colours == {"true": "#00d69b", "false": "#ff5a1f", "missed": "#ffd500"}
    assert [text for text, _ in drawn(layer.source().partition("|")[0])] == ["true", "false", "missed"]


def test_right_and_wrong_pixels_are_loaded_with_their_colours(evaluation, project, raster, reference):
    layer = evaluation.loaded(MODEL="segment-demo-l0", INPUT=raster, REFERENCE=reference)["OUTCOMES"]
    legend = {each.label: each.color.name() for each in layer.renderer().classes()}
    assert (legend["right"], legend["missed"], legend["of another class"]) == ("#00d69b", "#ffd500", "#e15bd6")


def test_objects_of_images_that_lie_nowhere_are_not_loaded(evaluation, project, dataset):
    from osgeo import gdal, gdal_array

    assert set(evaluation.loaded(DATA=dataset)) == {"OUTCOMES"}
    project.clear()
    image = next(Path(dataset).glob("*.tif"))
    pixels = gdal.Open(str(image)).ReadAsArray()
    image.unlink()
    gdal_array.SaveArray(pixels, str(image.with_name("plain.tif")))
    assert evaluation.loaded(DATA=dataset, OUTPUT="TEMPORARY_OUTPUT") == {}


def test_the_outcomes_of_many_images_stay_in_their_folder(evaluation, project, dataset):
    assert evaluation.loaded(MODEL="segment-demo-l0", DATA=dataset) == {}


def test_within_a_model_nothing_is_loaded(evaluation, project, dataset):
    import processing
    from qgis.core import QgsProcessingModelAlgorithm, QgsProcessingModelChildAlgorithm
    from qgis.core import QgsProcessingModelChildParameterSource as Source

    child = QgsProcessingModelChildAlgorithm(evaluation.name)
    child.setChildId("evaluate")
    for name, value in {"MODEL": "detect-ucm-l0", "DATA": dataset, "DEVICE": "auto", "PRECISION": "auto"}.items():
        child.addParameterSources(name, [Source.fromStaticValue(value)])
    model = QgsProcessingModelAlgorithm("measure")
    model.addChildAlgorithm(child)
    processing.runAndLoadResults(model, {})
    assert project.mapLayers() == {}


def test_wrong_input_is_refused_early(evaluation, raster, later, reference, dataset):
    assert evaluation.refusal() == "Choose either a dataset, or an image and the reference that labels it."
    assert "Choose either a dataset, or an image" in evaluation.refusal(DATA=dataset, INPUT=raster)
    assert "labels of its own; choose no reference" in evaluation.refusal(DATA=dataset, REFERENCE=reference)
    assert "the reference that labels the image 'airfield'" in evaluation.refusal(INPUT=raster)
    both = {"REFERENCE": reference, "REFERENCE_RASTER": later}
    assert "polygons or a raster as reference, not both" in evaluation.refusal(INPUT=raster, **both)
    assert "needs 3 bands (red, green, blue); you chose 2." in evaluation.refusal(DATA=dataset, BANDS="1,2")
    assert "Resolution is for a raster with a reference" in evaluation.refusal(DATA=dataset, RESOLUTION=0.5)
    change = {"MODEL": "change-demo-l0", "INPUT": raster, "REFERENCE": reference}
    assert "only the earlier one is there; name the later one as 'Later image'" in evaluation.refusal(**change)
    refusal = evaluation.refusal(INPUT=raster, AFTER=later, REFERENCE=reference)
    assert "the task is detect; leave 'Later image' away" in refusal
    assert "There is no model 'magic' here; installed are" in evaluation.refusal(MODEL="magic", DATA=dataset)
