# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

TRIANGLE = "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))"


def test_only_the_image_is_needed(scenes, fake_runner, raster):
    results = scenes()
    assert [feature["class_name"] for feature in results["OUTPUT"].getFeatures()] == ["harbor", "beach"]
    assert results["OUTPUT"].crs().authid() == "EPSG:32633"
    assert (results["COUNT"], results["COUNT_HARBOR"], results["LEFT_OUT"]) == (2, 1, 0)
    request = fake_runner.requests[0]
    assert (request["source"]["path"], request["model"], request["top"]) == (raster, "scene-ucm-l0", 3)
    assert request["zones"] is request["cell_size"] is request["cell_pixels"] is None


@pytest.mark.parametrize("size", [{"CELL_SIZE": 12.5}, {"CELL_PIXELS": 64}])
def test_every_value_reaches_the_runner(scenes, fake_runner, size):
    scenes(TOP=1, BANDS=[3, 2, 1], BATCH_SIZE=4, FLIPS=True, **size)
    request = fake_runner.requests[0]
    assert {name: request[name.lower()] for name in size} == size
    assert request["source"]["bands"] == [3, 2, 1]
    assert (request["top"], request["flips"], request["compute"]["batch_size"]) == (1, True, 4)


def test_zones_are_handed_over_with_their_fields(scenes, fake_runner, polygon_layer):
    scenes(ZONES=polygon_layer("EPSG:32633", TRIANGLE, fields="&field=fid:integer&field=parcel:string(20)"))
    request = fake_runner.requests[0]
    assert request["zones"].endswith("fields.gpkg")
    assert request["zones_fields"] == ["fid", "parcel"]


def test_fields_of_zones_may_have_any_names(scenes, fake_runner, polygon_layer):
    names = ["name", "NAME", "Name", "geom"]
    fields = "".join(f"&field={name}:string(20)" for name in names)
    scenes(ZONES=polygon_layer("EPSG:32633", TRIANGLE, fields=fields))
    assert fake_runner.requests[0]["zones_fields"] == ["name", "NAME_2", "Name_2_2", "geom"]


def test_fields_of_zones_that_hold_objects_become_text(scenes, fake_runner, objects):
    scenes(ZONES=objects)
    assert fake_runner.requests[0]["zones_fields"] == ["o", "list", "kind"]


def test_zones_without_features_are_refused(scenes, polygon_layer):
    assert "The zones layer 'fields' holds no polygons; draw" in scenes.failure(ZONES=polygon_layer("EPSG:32633"))


@pytest.mark.parametrize("selected", [False, True])
def test_zones_are_not_overwritten_by_the_result(scenes, polygon_layer, project, tmp_path, selected):
    from qgis.core import (
        QgsCoordinateTransformContext,
        QgsProcessingFeatureSourceDefinition,
        QgsVectorFileWriter,
        QgsVectorLayer,
    )

    path, transforms = str(tmp_path / "town.gpkg"), QgsCoordinateTransformContext()
    options = QgsVectorFileWriter.SaveVectorOptions()
    QgsVectorFileWriter.writeAsVectorFormatV3(polygon_layer("EPSG:32633", TRIANGLE), path, transforms, options)
    layer = QgsVectorLayer(f"{path}|layername=town", "zones")
    project.addMapLayer(layer)
    layer.selectAll()
    zones = QgsProcessingFeatureSourceDefinition(layer.id(), selected)
    for output in (path, f"ogr:dbname='{path}' table=\"town\" (geom)"):
        assert scenes.refusal(ZONES=zones, OUTPUT=output) == (
            f"The result would overwrite {path}, which is to be read; choose another file."
        )
    scenes(ZONES=zones, OUTPUT=f"ogr:dbname='{path}' table=\"scenes\" (geom)")
    assert QgsVectorLayer(f"{path}|layername=town").featureCount() == 1


def test_two_kinds_of_scenes_at_once_are_refused_early(scenes, polygon_layer):
    assert "zones and cell size" in scenes.refusal(ZONES=polygon_layer("EPSG:32633", TRIANGLE), CELL_SIZE=10)
    assert "cell size and cell pixels" in scenes.refusal(CELL_SIZE=10, CELL_PIXELS=64)


def test_the_resolution_of_an_export_is_not_that_of_the_cells_where_their_size_is_chosen(scenes, fake_runner, raster):
    from osgeo import gdal
    from qgis.core import QgsRasterLayer

    gdal.Translate("/vsimem/image.tif", raster)
    layer = QgsRasterLayer("/vsimem/image.tif", "image", "gdal")
    scenes(INPUT=layer, RESOLUTION=0.6)
    scenes(INPUT=layer, RESOLUTION=0.6, CELL_SIZE=20)
    assert [request["source"]["resolution"] for request in fake_runner.requests] == [0.6, None]


def test_a_loaded_result_is_named_and_styled(scenes, project):
    layer = scenes.loaded()["OUTPUT"]
    assert layer.name() == "Scenes in airfield"
    assert layer.labelsEnabled()
    symbols = {each.value(): each.symbol().clone() for each in layer.renderer().categories()}
    assert {name: symbol.color().name() for name, symbol in symbols.items()} == {
        "harbor": "#1f78b4",
        "beach": "#ffd37f",
    }
    tint, frame, edge = symbols["harbor"].symbolLayers()
    assert 0 < tint.color().alpha() < 128
    assert (frame.color().name(), frame.color().alpha(), frame.drawInsidePolygon()) == ("#1f78b4", 255, True)
    assert edge.color().name() == "#ffffff"


def test_a_file_brings_its_style_and_record(scenes, tmp_path):
    from qgis.core import QgsVectorLayer

    scenes(OUTPUT=str(tmp_path / "scenes.gpkg"))
    layer = QgsVectorLayer(str(tmp_path / "scenes.gpkg"))
    assert [each.value() for each in layer.renderer().categories()] == ["harbor", "beach"]
    assert layer.labelsEnabled()
    assert (tmp_path / "scenes.run.json").is_file()


@pytest.mark.parametrize("suffix", ["gpkg", "shp"])  # a shapefile cuts names of fields off
def test_labels_tell_class_and_probability(scenes, tmp_path, suffix):
    from qgis.core import QgsExpression, QgsExpressionContext, QgsVectorLayer

    scenes(OUTPUT=str(tmp_path / f"scenes.{suffix}"))
    layer = QgsVectorLayer(str(tmp_path / f"scenes.{suffix}"))
    context, label = QgsExpressionContext(), QgsExpression(layer.labeling().settings().fieldName)
    context.setFeature(next(layer.getFeatures()))
    context.setFields(layer.fields())
    assert label.evaluate(context) == "harbor\n0.80"


def test_wrong_input_is_refused_early(scenes, raster, tmp_path):
    from osgeo import gdal

    two = str(tmp_path / "two.tif")
    gdal.Translate(two, raster, bandList=[1, 2])
    assert scenes.refusal(INPUT=two) == ("Model scene-ucm-l0 needs 3 bands (red, green, blue); the raster 'two' has 2.")
    assert "There is no model 'yolo' for this task here; installed are scene-ucm-l0." in scenes.refusal(MODEL="yolo")


def test_the_form_is_the_public_one(scenes):
    from qgis.core import QgsApplication, QgsProcessingParameterDefinition

    algorithm = QgsApplication.processingRegistry().createAlgorithmById(scenes.name)
    definitions = algorithm.parameterDefinitions()
    folded = QgsProcessingParameterDefinition.Flag.FlagAdvanced
    assert {each.name() for each in definitions if not each.flags() & folded} == {
        *"INPUT MODEL CELL_SIZE ZONES EXTENT MASK BANDS RESOLUTION DEVICE OUTPUT".split()
    }
    assert {each.name() for each in definitions if each.flags() & folded} == {
        *"BATCH_SIZE PRECISION FLIPS CELL_PIXELS TOP".split()
    }
