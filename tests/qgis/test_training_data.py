# SPDX-License-Identifier: GPL-2.0-or-later
import shutil
from pathlib import Path

import pytest
from qgis.core import QgsProcessingException

TRIANGLE = "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))"
FIELDS = "&field=fid:integer&field=kind:string(20)"


@pytest.fixture
def export(qgis, models, fake_runner, raster, polygon_layer, tmp_path):
    """Runs the export of chips from the small image and a triangle, or tells why it is refused."""
    import processing
    from qgis.core import QgsApplication, QgsProcessingContext

    class Export:
        output = tmp_path / "dataset"
        name = "lwganet:exporttrainingdata"

        def values(self, **parameters):
            labels = polygon_layer("EPSG:32633", TRIANGLE, fields=FIELDS)
            return {"INPUT": [raster], "LABELS": labels, "OUTPUT": str(self.output), **parameters}

        def __call__(self, **parameters):
            return processing.run(self.name, self.values(**parameters))

        def refusal(self, **parameters):
            algorithm = QgsApplication.processingRegistry().createAlgorithmById(self.name)
            fine, text = algorithm.checkParameterValues(self.values(**parameters), QgsProcessingContext())
            assert not fine
            assert "\n" not in text
            return text

    return Export()


def test_images_and_labels_are_enough(export, fake_runner, raster):
    results = export()
    assert results["OUTPUT"] == str(export.output)
    assert Path(results["REPORT"]).is_file()
    assert (results["CHIPS"], results["CHIPS_TRAIN"], results["CHIPS_EMPTY"]) == (7, 5, 2)
    request = fake_runner.requests[0]
    assert (request["task"], request["rasters"], request["after"]) == ("detect", [raster], [])
    assert (request["chip_size"], request["overlap"], request["resolution"]) == (512, None, None)
    shares = {name: request[name] for name in ("visible", "empty", "val", "test", "seed")}
    assert shares == {"visible": 0.5, "empty": 1.0, "val": 0.15, "test": 0.15, "seed": 0}
    assert (request["background"], request["scenes"]) == ("background", "polygons")
    assert request["area"] is request["block"] is request["extent"] is None
    assert request["labels_fields"] == []


def test_the_field_with_the_class_keeps_its_name_beside_namesakes(export, fake_runner, polygon_layer):
    labels = polygon_layer(
        "EPSG:32633", "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))",
        fields="&field=kind:string(20)&field=Kind:string(20)",
    )  # fmt: skip
    export(LABELS=labels, CLASS_FIELD="Kind")
    assert fake_runner.requests[0]["labels_fields"] == ["Kind"]


def test_only_the_field_with_the_class_goes_along(export, fake_runner, objects):
    export(LABELS=objects, CLASS_FIELD="kind", AREA=objects)
    assert fake_runner.requests[0]["labels_fields"] == ["kind"]
    assert fake_runner.requests[0]["area_fields"] == []


def test_where_the_field_with_the_class_is_missing_the_runner_can_name_the_others(export, fake_runner, objects):
    export(LABELS=objects, CLASS_FIELD="class")
    assert fake_runner.requests[0]["labels_fields"] == ["o", "list", "kind"]


def test_every_value_reaches_the_runner(export, fake_runner, raster, later, polygon_layer):
    area = polygon_layer("EPSG:4326", "POLYGON((15 41, 16 41, 16 42, 15 41))")
    export(
        TASK="change", AFTER=[later], CLASS_FIELD="kind", AREA=area, CHIP_SIZE=128, OVERLAP=16, RESOLUTION=0.6,
        EXTENT="500000,500020,4599990,4600000 [EPSG:32633]", BANDS="3,2,1", VISIBLE=0.7, EMPTY=0.25,
        BACKGROUND="none", SCENES="grid", BLOCK=3, VAL=0.2, TEST=0, SEED=5,
    )  # fmt: skip
    request = fake_runner.requests[0]
    assert request["after"] == [later]
    expected = {
        "task": "change", "class_field": "kind", "chip_size": 128, "overlap": 16, "resolution": 0.6, "visible": 0.7,
        "bands": [3, 2, 1], "empty": 0.25, "background": "none", "scenes": "grid", "block": 3, "val": 0.2, "test": 0.0,
        "seed": 5, "extent": [500000, 4599990, 500020, 4600000], "extent_crs": "EPSG:32633",
    }  # fmt: skip
    assert {name: request[name] for name in expected} == expected
    assert request["area_crs"] == "WGS 84"


def test_polygons_that_cross_themselves_go_along(export, fake_runner, polygon_layer):
    bow_tie = "POLYGON((500000 4599990, 500010 4600000, 500010 4599990, 500000 4600000, 500000 4599990))"
    export(LABELS=polygon_layer("EPSG:32633", TRIANGLE, bow_tie))
    assert fake_runner.requests[0]["labels_count"] == 2
    assert Path(fake_runner.requests[0]["labels"]).name == "fields.gpkg"  # so do reports call the layer


def test_layers_are_called_by_their_names_not_by_files_that_were_made_of_them(export, fake_runner):
    fake_runner.have("unreadable")
    with pytest.raises(QgsProcessingException, match=r"^The label layer 'fields' makes no sense\.$"):
        export()


def test_an_image_that_cannot_be_opened_is_named(export, raster, tmp_path):
    (tmp_path / "damaged.tif").write_bytes(b"II*")
    assert f"The raster {tmp_path / 'damaged.tif'} cannot be" in export.refusal(INPUT=[str(tmp_path / "damaged.tif")])
    missing = str(tmp_path / "missing.tif")
    for images in ([raster, missing], missing):
        assert export.refusal(INPUT=images) == f"There is no raster {missing}; check its name and folder."


def test_wrong_input_is_refused_early(export, tmp_path):
    assert "a later raster for each earlier one; 0 later and 1 earlier" in export.refusal(TASK="change")
    assert "name it as the class field" in export.refusal(TASK="classify")
    assert "smaller than the chip size, 64 pixels" in export.refusal(CHIP_SIZE=64, OVERLAP=64)
    assert "leave nothing to train on" in export.refusal(VAL=0.6, TEST=0.4)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").touch()
    assert "is not empty" in export.refusal(OUTPUT=str(tmp_path / "used"))


def test_labels_of_a_dataset_become_styled_layers(export, project, raster, tmp_path):
    import processing

    folder = tmp_path / "dataset"
    folder.mkdir()
    shutil.copy(raster, folder)
    parameters = {"DATA": str(folder), "OUTPUT": "memory:", "CHIPS": "memory:"}
    results = processing.runAndLoadResults("lwganet:loadtrainingdata", parameters)
    layers = {layer.name(): layer for layer in project.mapLayers().values()}
    assert sorted(layers) == ["Images of dataset", "Labels of dataset"]
    assert (results["IMAGES"], results["LABELS"]) == (1, 1)
    assert [each.value() for each in layers["Labels of dataset"].renderer().categories()] == ["ship"]
    colours = {
        each.value(): each.symbol().color().name() for each in layers["Images of dataset"].renderer().categories()
    }
    assert colours["train"] == "#1f78b4"
    assert set(colours) == {"train", "val", "test", ""}
