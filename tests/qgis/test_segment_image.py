# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest

CLASSES = [("forest", "#267300"), ("open water", "#1f78b4")]


def test_only_the_image_is_needed(segmentation, fake_runner, raster, drawn):
    results = segmentation()
    assert drawn(results["OUTPUT"]) == CLASSES
    assert "CONFIDENCE" not in results
    assert "POLYGONS" not in results
    assert (results["AREA_M2_OPEN_WATER"], results["PIXELS_FOREST"]) == (243, 2700)
    request = fake_runner.requests[0]
    assert request["source"]["path"] == raster
    assert (request["model"], request["output"]) == ("segment-demo-l0", results["OUTPUT"])
    assert request["confidence"] is request["polygons"] is None
    assert request["flips"] is request["model_grid"] is False
    assert request["outlines"] == {"minimum_area": 0, "fill_holes": 0, "simplify": 0}


def test_results_that_the_batch_dialog_leaves_empty_are_not_made(segmentation, fake_runner):
    from qgis.core import QgsProcessingOutputLayerDefinition

    results = segmentation(**dict.fromkeys(("CONFIDENCE", "POLYGONS"), QgsProcessingOutputLayerDefinition("")))
    assert not {"CONFIDENCE", "POLYGONS"} & set(results)
    assert fake_runner.requests[0]["confidence"] is fake_runner.requests[0]["polygons"] is None


def test_every_value_reaches_the_runner(segmentation, fake_runner, tmp_path, polygon_layer):
    segmentation(
        BANDS=[3, 2, 1],
        EXTENT="500000,500020,4599990,4600000",
        MASK=polygon_layer("EPSG:32633", "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))"),
        RESOLUTION=0.5,
        TILE_SIZE=512,
        OVERLAP=64,
        BATCH_SIZE=2,
        DEVICE="cpu",
        PRECISION="fp32",
        FLIPS=True,
        MODEL_GRID=True,
        CONFIDENCE=str(tmp_path / "confidence.tif"),
        POLYGONS="memory:",
        MINIMUM_AREA=20,
        FILL_HOLES=5.5,
        SIMPLIFY=1,
    )
    request = fake_runner.requests[0]
    assert request["source"]["bands"] == [3, 2, 1]
    assert request["source"]["extent"] == [500000, 4599990, 500020, 4600000]
    assert request["source"]["resolution"] == 0.5
    assert request["mask_bytes"] > 0
    assert request["tiling"] == {"tile_size": 512, "overlap": 64}
    assert request["compute"] == {"device": "cpu", "precision": "fp32", "batch_size": 2}
    assert request["flips"] is request["model_grid"] is True
    assert request["confidence"] == str(tmp_path / "confidence.tif")
    assert request["outlines"] == {"minimum_area": 20, "fill_holes": 5.5, "simplify": 1}


@pytest.mark.parametrize("place", ["memory:", "areas.csv", "areas.gpkg"])
def test_the_areas_come_as_a_table(place, segmentation, project, tmp_path):
    layer = segmentation.loaded(AREAS=place if place == "memory:" else str(tmp_path / place))["AREAS"]
    assert not layer.isSpatial()
    assert layer.name() == "Areas of classes in airfield"
    rows = [(feature["class_name"], float(feature["area_m2"])) for feature in layer.getFeatures()]
    assert rows == [("forest", 243.5), ("open water", 1243000.25)]


def test_loaded_results_are_named_and_styled(segmentation, project):
    layers = segmentation.loaded(CONFIDENCE="TEMPORARY_OUTPUT", POLYGONS="memory:")
    names = {name: layer.name() for name, layer in layers.items()}
    assert names == {
        "OUTPUT": "Classes in airfield",
        "CONFIDENCE": "Confidence of classes in airfield",
        "POLYGONS": "Outlines of classes in airfield",
    }
    assert [(each.label, each.color.name()) for each in layers["OUTPUT"].renderer().classes()] == CLASSES
    shader = layers["CONFIDENCE"].renderer().shader().rasterShaderFunction()
    assert (shader.minimumValue(), shader.maximumValue()) == (0, 1)
    symbols = {each.value(): each.symbol().clone() for each in layers["POLYGONS"].renderer().categories()}
    tint, edge = symbols["open water"].symbolLayers()
    assert tint.color().name() == edge.color().name() == "#1f78b4"
    assert tint.color().alpha() < edge.color().alpha() == 255
    assert edge.drawInsidePolygon()  # else neighbours would draw theirs over it


def test_a_relative_path_holds_where_the_runner_works_too(segmentation, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert segmentation(OUTPUT="classes.tif")["OUTPUT"] == str(tmp_path / "classes.tif")
    assert (tmp_path / "classes.tif").is_file()
    segmentation.loaded(OUTPUT="loaded.tif")
    (layer,) = project.mapLayers().values()
    assert [each.label for each in layer.renderer().classes()] == ["forest", "open water"]


def test_files_bring_their_styles_and_the_record(segmentation, tmp_path, drawn):
    output, confidence, polygons = (str(tmp_path / name) for name in ("classes.tif", "sure.TIFF", "outlines.gpkg"))
    results = segmentation(OUTPUT=output, CONFIDENCE=confidence, POLYGONS=polygons)
    assert (results["OUTPUT"], results["CONFIDENCE"], results["POLYGONS"]) == (output, confidence, polygons)
    assert drawn(output) == drawn(polygons) == CLASSES
    assert drawn(confidence)[-1] == ("1", "#fde725")
    assert (tmp_path / "classes.run.json").is_file()
    assert (tmp_path / "outlines.run.json").is_file()


def test_a_raster_and_polygons_of_one_name_keep_a_style_each(segmentation, tmp_path, drawn):
    for _ in range(2):
        segmentation(OUTPUT=str(tmp_path / "result.tif"), POLYGONS=str(tmp_path / "result.gpkg"))
        assert drawn(tmp_path / "result.tif") == drawn(tmp_path / "result.gpkg") == CLASSES
        assert (tmp_path / "result.run.json").is_file()


def test_the_style_of_a_layer_of_the_same_name_stays(segmentation, tmp_path):
    (tmp_path / "result.qml").write_text("<qgis><renderer-v2/></qgis>")
    segmentation(OUTPUT=str(tmp_path / "result.tif"))
    assert (tmp_path / "result.qml").read_text() == "<qgis><renderer-v2/></qgis>"


def test_colours_of_the_users_stay_and_a_palette_of_other_classes_goes(segmentation, tmp_path, drawn):
    from qgis.core import QgsPalettedRasterRenderer, QgsRasterLayer
    from qgis.PyQt.QtGui import QColor

    output = tmp_path / "classes.tif"
    segmentation(OUTPUT=str(output))

    def keep(**colours):
        layer = QgsRasterLayer(str(output))
        entries = [
            QgsPalettedRasterRenderer.Class(number, QColor(colour), name.replace("_", " "))
            for number, (name, colour) in enumerate(colours.items())
        ]
        layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), 1, entries))
        layer.saveNamedStyle(str(tmp_path / "classes.qml"))

    keep(forest="#010203", open_water="#040506")
    segmentation(OUTPUT=str(output))
    assert drawn(output) == [("forest", "#010203"), ("open water", "#040506")]
    keep(road="#010203", roof="#040506")
    segmentation(OUTPUT=str(output))
    assert drawn(output) == CLASSES


@pytest.mark.parametrize("name", ["classes.img", "classes.gpkg", "classes"])
def test_a_raster_that_is_no_geotiff_is_refused_early(segmentation, tmp_path, name):
    path = tmp_path / name
    text = f"Rasters are written as GeoTIFF; give {path} a name that ends with .tif."
    assert segmentation.refusal(OUTPUT=str(path)) == text
    assert segmentation.refusal(CONFIDENCE=str(path)) == text


def test_only_geotiffs_are_offered(segmentation):
    from qgis.core import QgsApplication

    provider = QgsApplication.processingRegistry().providerById("lwganet")
    assert provider.supportedOutputRasterLayerExtensions() == ["tif", "tiff"]
    assert "gpkg" in provider.supportedOutputVectorLayerExtensions()


def test_the_image_is_not_overwritten(segmentation, raster):
    assert segmentation.refusal(OUTPUT=raster) == (
        f"The result would overwrite {raster}, which is to be read; choose another file."
    )


def test_two_results_in_one_file_are_refused(segmentation, tmp_path):
    path = str(tmp_path / "a.tif")
    assert f"Two results would be written to one file: {path}, {path}." in segmentation.failure(
        OUTPUT=path, CONFIDENCE=path
    )


def test_a_missing_folder_is_refused_early(segmentation, tmp_path):
    missing = tmp_path / "results"
    text = f"The folder {missing} for the result does not exist; create it or choose another."
    assert segmentation.refusal(CONFIDENCE=str(missing / "a.tif")) == text
    assert segmentation.refusal(POLYGONS=str(missing / "a.gpkg")) == text


def test_a_model_that_is_missing_is_one_line(segmentation):
    from lwganet_qgis.model_runner.contract import folders

    (folders.user_models_folder() / "segment-demo-l0" / "model.safetensors").unlink()
    assert segmentation.refusal() == (
        "There is no model 'segment-demo-l0' for this task here; installed are none. 'Manage models' "
        "(lwganet:managemodels) can bring more."
    )


def test_without_any_model_the_default_one_is_offered(qgis, models):
    from qgis.core import QgsApplication

    algorithm = QgsApplication.processingRegistry().createAlgorithmById("lwganet:segmentimage")
    hints = algorithm.parameterDefinition("MODEL").metadata()["widget_wrapper"]["value_hints"]
    assert hints == ["segment-demo-l0"]
    assert "None." in algorithm.shortHelpString()


def test_wrong_input_is_refused_early(segmentation, raster, tmp_path):
    from osgeo import gdal

    two = str(tmp_path / "two.tif")
    gdal.Translate(two, raster, bandList=[1, 2])
    needs = "Model segment-demo-l0 needs 3 bands (red, green, blue);"
    assert segmentation.refusal(INPUT=two) == f"{needs} the raster 'two' has 2."
    assert segmentation.refusal(BANDS=[1]) == f"{needs} you chose 1."
    assert "The tile size must be a multiple of 32" in segmentation.refusal(TILE_SIZE=100)


def test_a_mask_without_features_is_refused(segmentation, polygon_layer):
    text = "The mask layer 'fields' holds no polygons on the image; draw some"
    assert text in segmentation.failure(MASK=polygon_layer("EPSG:32633"))


def test_a_cancelled_run_leaves_nothing(segmentation, fake_runner, tmp_path, temporary_files):
    from qgis.core import QgsProcessingFeedback

    class Impatient(QgsProcessingFeedback):
        def setProgressText(self, text):
            self.cancel()

    fake_runner.have("slow")
    folder = tmp_path / "results"
    folder.mkdir()
    places = {"OUTPUT": "a.tif", "CONFIDENCE": "b.tif", "POLYGONS": "c.gpkg"}
    places = {name: str(folder / file) for name, file in places.items()}
    assert segmentation.failure(feedback=Impatient(), **places) == "Cancelled."
    assert list(folder.iterdir()) == []
    assert not [*temporary_files.glob("**/lwganet-*")]


def test_polygons_that_cannot_be_delivered_are_kept(segmentation, tmp_path):
    damaged = tmp_path / "damaged.gpkg"
    damaged.write_text("I am no database")
    output = tmp_path / "classes.tif"
    text = segmentation.failure(OUTPUT=str(output), POLYGONS=f"ogr:dbname='{damaged}' table=\"a\" (geom)")
    kept = Path(text.partition(" What was computed is kept in ")[2].rstrip("."))
    assert kept.stat().st_size > 0
    assert output.is_file()


def test_it_works_in_a_model_with_another_algorithm_behind_it(segmentation, raster, tmp_path):
    import processing
    from qgis.core import (
        QgsProcessingModelAlgorithm,
        QgsProcessingModelChildAlgorithm,
        QgsProcessingModelChildParameterSource,
        QgsProcessingModelOutput,
        QgsProcessingModelParameter,
        QgsProcessingParameterRasterLayer,
    )

    source = QgsProcessingModelChildParameterSource
    model = QgsProcessingModelAlgorithm("segment and convert")
    model.addModelParameter(QgsProcessingParameterRasterLayer("IMAGE", "Image"), QgsProcessingModelParameter("IMAGE"))
    segment = QgsProcessingModelChildAlgorithm(segmentation.name)
    segment.setChildId("segment")
    segment.addParameterSources("INPUT", [source.fromModelParameter("IMAGE")])
    for name, value in {"MODEL": "segment-demo-l0", "DEVICE": "auto", "PRECISION": "auto"}.items():
        segment.addParameterSources(name, [source.fromStaticValue(value)])
    outlines = QgsProcessingModelOutput("outlines", "outlines")
    outlines.setChildId("segment")
    outlines.setChildOutputName("POLYGONS")
    segment.setModelOutputs({"outlines": outlines})
    model.addChildAlgorithm(segment)
    pixels = QgsProcessingModelChildAlgorithm("native:pixelstopolygons")
    pixels.setChildId("pixels")
    pixels.addParameterSources("INPUT_RASTER", [source.fromChildOutput("segment", "OUTPUT")])
    for name, value in {"RASTER_BAND": 1, "FIELD_NAME": "VALUE"}.items():
        pixels.addParameterSources(name, [source.fromStaticValue(value)])
    output = QgsProcessingModelOutput("pixels", "pixels")
    output.setChildId("pixels")
    output.setChildOutputName("OUTPUT")
    pixels.setModelOutputs({"pixels": output})
    model.addChildAlgorithm(pixels)
    path = str(tmp_path / "segment_and_convert.model3")
    assert model.toFile(path)

    loaded = QgsProcessingModelAlgorithm()
    assert loaded.fromFile(path)
    loaded.initAlgorithm()
    destinations = [each.name() for each in loaded.destinationParameterDefinitions()]
    results = processing.run(loaded, {"IMAGE": raster, **dict.fromkeys(destinations, "memory:")})
    assert sorted(results[name].featureCount() for name in destinations) == [2, 90 * 60]


def test_the_form_is_the_public_one(segmentation):
    from qgis.core import QgsApplication, QgsProcessingParameterDefinition

    algorithm = QgsApplication.processingRegistry().createAlgorithmById(segmentation.name)
    definitions = algorithm.parameterDefinitions()
    folded = QgsProcessingParameterDefinition.Flag.FlagAdvanced
    assert {each.name() for each in definitions if not each.flags() & folded} == {
        *"INPUT MODEL BANDS EXTENT MASK RESOLUTION DEVICE OUTPUT CONFIDENCE POLYGONS AREAS".split()
    }
    assert {each.name() for each in definitions if each.flags() & folded} == {
        *"TILE_SIZE OVERLAP BATCH_SIZE PRECISION FLIPS MODEL_GRID MINIMUM_AREA FILL_HOLES SIMPLIFY".split()
    }
