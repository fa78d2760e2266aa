# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest
from lwganet_qgis.lwganet_qgis.qgis_versions import save_default_style

pytestmark = pytest.mark.usefixtures("qgis", "models")

ALGORITHM = "lwganet:detectobjects"


def run(feedback=None, **parameters):
    import processing

    return processing.run(ALGORITHM, {"OUTPUT": "memory:", **parameters}, feedback=feedback)


def failure(**parameters):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as caught:
        run(**parameters)
    return str(caught.value)


def refusal(**parameters):
    from qgis.core import QgsApplication, QgsProcessingContext

    algorithm = QgsApplication.processingRegistry().createAlgorithmById(ALGORITHM)
    context = QgsProcessingContext()
    fine, text = algorithm.checkParameterValues({"OUTPUT": "memory:", **parameters}, context)
    assert not fine
    return text


def test_only_the_image_is_needed(raster, fake_runner):
    results = run(INPUT=raster)
    assert [feature["class_name"] for feature in results["OUTPUT"].getFeatures()] == ["plane", "ship"]
    assert results["OUTPUT"].crs().authid() == "EPSG:32633"
    assert (results["COUNT"], results["COUNT_PLANE"], results["TILES"]) == (2, 1, 20)
    request = fake_runner.requests[0]
    assert request["model"] == "detect-ucm-l0"
    assert request["source"] == {
        "path": raster,
        "bands": [],
        "extent": None,
        "extent_crs": None,
        "mask": None,
        "resolution": None,
    }
    assert request["threshold"] is request["nms_iou"] is request["tiling"]["tile_size"] is None
    assert request["compute"] == {"device": "auto", "precision": "auto", "batch_size": None}


def test_every_value_reaches_the_runner(raster, fake_runner):
    run(
        INPUT=raster,
        BANDS=[3, 2, 1],
        THRESHOLD=0.0,
        CLASSES="ship, plane",
        RESOLUTION=0.5,
        DEVICE="cuda:1",
        TILE_SIZE=512,
        OVERLAP=0,
        BATCH_SIZE=2,
        PRECISION="fp32",
        NMS_IOU=0.3,
    )
    request = fake_runner.requests[0]
    assert request["source"]["bands"] == [3, 2, 1]
    assert request["source"]["resolution"] == 0.5
    assert (request["threshold"], request["nms_iou"], request["classes"]) == (0.0, 0.3, ["ship", "plane"])
    assert request["tiling"] == {"tile_size": 512, "overlap": 0}
    assert request["compute"] == {"device": "cuda:1", "precision": "fp32", "batch_size": 2}


def test_an_extent_keeps_its_reference_system(raster, fake_runner):
    run(INPUT=raster, EXTENT="1667000,1669000,5094000,5096000 [EPSG:3857]")
    source = fake_runner.requests[0]["source"]
    assert source["extent"] == [1667000, 5094000, 1669000, 5096000]
    assert source["extent_crs"] == "EPSG:3857"


def test_an_extent_in_a_reference_system_of_the_users_brings_its_definition(raster, fake_runner):
    from qgis.core import QgsCoordinateReferenceSystem, QgsRectangle, QgsReferencedRectangle

    crs = QgsCoordinateReferenceSystem.fromProj("+proj=tmerc +lat_0=1 +lon_0=15 +k=1 +x_0=3 +y_0=4 +ellps=GRS80")
    crs.saveAsUserCrs("of the user's own")
    assert crs.authid().startswith("USER:")
    run(INPUT=raster, EXTENT=QgsReferencedRectangle(QgsRectangle(0, 4480000, 20, 4480020), crs))
    sent = fake_runner.requests[0]["source"]["extent_crs"]
    assert QgsCoordinateReferenceSystem.fromWkt(sent).toProj() == crs.toProj()


def bare_extents():
    from qgis.core import QgsProperty, QgsRectangle

    text = "500000,500020,4599990,4600000"
    return [text, f"{text} []", QgsRectangle(500000, 4599990, 500020, 4600000), QgsProperty.fromExpression(f"'{text}'")]


@pytest.mark.parametrize("extent", bare_extents(), ids=["text", "brackets", "rectangle", "expression"])
def test_an_extent_without_reference_system_is_in_the_rasters(raster, fake_runner, project, extent):
    from qgis.core import QgsCoordinateReferenceSystem

    project.setCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    run(INPUT=raster, EXTENT=extent)
    source = fake_runner.requests[0]["source"]
    assert source["extent"] == [500000, 4599990, 500020, 4600000]
    assert source["extent_crs"] is None


def test_an_extent_without_area_is_refused_early(raster, fake_runner):
    from qgis.core import QgsRectangle

    text = "has no area; choose a larger one, or none to look at all of the image."
    assert refusal(INPUT=raster, EXTENT="500000,500000,4599990,4600000") == (
        f"The extent 500000,500000,4599990,4600000 {text}"
    )
    for extent in ("500000,500010,4600000,4600000 [EPSG:32633]", QgsRectangle(500000, 4600000, 500000, 4600000)):
        assert text in refusal(INPUT=raster, EXTENT=extent)


@pytest.mark.parametrize("extent", [None, ""])
def test_an_extent_that_is_not_set_is_all_of_the_raster(raster, fake_runner, extent):
    run(INPUT=raster, EXTENT=extent)
    assert fake_runner.requests[0]["source"]["extent"] is None


def test_a_mask_in_memory_becomes_a_file(raster, fake_runner, polygon_layer):
    mask = polygon_layer("EPSG:32633", "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))")
    run(INPUT=raster, MASK=mask)
    request = fake_runner.requests[0]
    assert request["source"]["mask"].endswith(".gpkg")
    assert request["mask_bytes"] > 0


def test_the_file_of_a_mask_has_a_name_that_the_runner_can_read(raster, fake_runner, polygon_layer):
    mask = polygon_layer("EPSG:32633", "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))")
    mask.setName("fields; new!")
    run(INPUT=raster, MASK=mask)
    assert Path(fake_runner.requests[0]["source"]["mask"]).name == "fields_ new_.gpkg"


def test_the_fields_of_a_mask_stay_behind(raster, fake_runner, objects):
    run(INPUT=raster, MASK=objects)
    assert fake_runner.requests[0]["mask_fields"] == []
    assert fake_runner.requests[0]["mask_count"] == 1


def test_of_a_mask_only_what_is_near_the_image_is_copied(raster, fake_runner, polygon_layer):
    near, far = "15.0 41.54, 15.0001 41.54, 15.0001 41.56, 15.0 41.54", "16 41, 17 41, 17 42, 16 41"
    run(INPUT=raster, MASK=polygon_layer("EPSG:4326", f"POLYGON(({near}))", f"POLYGON(({far}))"))
    assert fake_runner.requests[0]["mask_count"] == 1
    mask = polygon_layer("EPSG:4326", f"POLYGON(({far}))")
    assert "The mask layer 'fields' holds no polygons on the image; draw some" in failure(INPUT=raster, MASK=mask)


@pytest.mark.parametrize("parameter", ["MASK", "ZONES"])
def test_copying_polygons_can_be_cancelled(scenes, fake_runner, polygon_layer, monkeypatch, parameter):
    from lwganet_qgis.lwganet_qgis import layers
    from qgis.core import QgsProcessingFeedback

    copied, feedback, copy = [], QgsProcessingFeedback(), layers._copy

    def copy_and_cancel(*arguments):
        copied.append(arguments)
        feedback.cancel()
        return copy(*arguments)

    monkeypatch.setattr(layers, "_copy", copy_and_cancel)
    triangle = "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))"
    layer = polygon_layer("EPSG:32633", *[triangle] * 9)
    assert scenes.failure(feedback=feedback, **{parameter: layer}) == "Cancelled."
    assert len(copied) == 1


def test_of_a_mask_only_the_selected_polygons_count(raster, fake_runner, polygon_layer):
    from qgis.core import QgsProcessingFeatureSourceDefinition, QgsProject

    mask = polygon_layer("EPSG:32633", "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))")
    QgsProject.instance().addMapLayer(mask)
    nothing_selected = QgsProcessingFeatureSourceDefinition(mask.id(), selectedFeaturesOnly=True)
    assert "The mask layer 'fields' holds no polygons" in failure(INPUT=raster, MASK=nothing_selected)
    mask.selectAll()
    run(INPUT=raster, MASK=nothing_selected)
    QgsProject.instance().removeMapLayer(mask.id())


def test_the_wrong_number_of_bands_is_refused_early(raster, fake_runner):
    assert refusal(INPUT=raster, BANDS=[1, 2]) == "Model detect-ucm-l0 needs 3 bands (red, green, blue); you chose 2."


def test_a_raster_of_two_bands_is_refused_early_and_one_of_a_single_band_is_not(tmp_path, raster, fake_runner):
    from osgeo import gdal

    two, grey = str(tmp_path / "two.tif"), str(tmp_path / "grey.tif")
    gdal.Translate(two, raster, bandList=[1, 2])
    gdal.Translate(grey, raster, bandList=[1])
    assert refusal(INPUT=two) == "Model detect-ucm-l0 needs 3 bands (red, green, blue); the raster 'two' has 2."
    run(INPUT=grey)


def test_a_band_of_opacity_is_not_counted(tmp_path, raster, fake_runner):
    from osgeo import gdal

    grey, two = str(tmp_path / "grey_alpha.tif"), str(tmp_path / "two_alpha.tif")
    gdal.Translate(grey, raster, options="-b 1 -b 2 -colorinterp gray,alpha")
    gdal.Translate(two, raster, options="-colorinterp gray,undefined,alpha")
    run(INPUT=grey)
    assert refusal(INPUT=two) == "Model detect-ucm-l0 needs 3 bands (red, green, blue); the raster 'two_alpha' has 2."


@pytest.mark.parametrize("text", ["3,2,1", "3;2;1", " 3, 2, 1 "])
def test_bands_may_be_a_text(raster, fake_runner, text):
    run(INPUT=raster, BANDS=text)
    assert fake_runner.requests[0]["source"]["bands"] == [3, 2, 1]


def test_bands_that_are_no_numbers_are_refused_early(raster, fake_runner):
    assert refusal(INPUT=raster, BANDS="red,2,1") == (
        "The bands 'red,2,1' are not numbers; write them like this: 4,3,2."
    )


def test_a_damaged_raster_is_not_called_missing(tmp_path, fake_runner):
    path = tmp_path / "damaged.tif"
    path.write_bytes(b"II*\0 and no more")
    assert refusal(INPUT=str(path)) == (
        f"The raster {path} cannot be opened: it is damaged, or it is no raster that GDAL can read."
    )
    assert "not found" in refusal(INPUT=str(tmp_path / "missing.tif"))


def test_a_destination_that_cannot_be_written_is_refused_early(raster, fake_runner, tmp_path, monkeypatch):
    from qgis.core import QgsProcessingOutputLayerDefinition

    missing = tmp_path / "results"
    text = f"The folder {missing} for the result does not exist; create it or choose another."
    assert refusal(INPUT=raster, OUTPUT=str(missing / "boxes.gpkg")) == text
    assert refusal(INPUT=raster, OUTPUT=QgsProcessingOutputLayerDefinition(f"{missing}/boxes.gpkg")) == text
    missing.mkdir()
    monkeypatch.setattr("os.access", lambda *arguments: False)  # to root everything may be written
    assert "may not be written" in refusal(INPUT=raster, OUTPUT=str(missing / "boxes.gpkg"))


def test_a_table_in_a_file_that_cannot_be_is_refused_early(raster, fake_runner, tmp_path):
    def table_in(path):
        return f"ogr:dbname='{path}' table=\"a\" (geom)"

    missing, folder = tmp_path / "results", tmp_path / "folder.gpkg"
    text = f"The folder {missing} for the result does not exist; create it or choose another."
    assert refusal(INPUT=raster, OUTPUT=table_in(missing / "boxes.gpkg")) == text
    folder.mkdir()
    text = f"{folder}, chosen for the result, is a folder; choose a file."
    assert refusal(INPUT=raster, OUTPUT=table_in(folder)) == refusal(INPUT=raster, OUTPUT=str(folder)) == text


def test_a_destination_that_is_protected_is_refused_early(raster, fake_runner, tmp_path, monkeypatch):
    output = tmp_path / "boxes.gpkg"
    output.touch()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != output)  # to root everything may be written
    text = f"The file {output}, chosen for the result, may not be written; choose another."
    assert refusal(INPUT=raster, OUTPUT=str(output)) == text


def kept_result(text):
    """The layer in the file that an error names."""
    from qgis.core import QgsVectorLayer

    assert "\n" not in text
    path = Path(text.partition(" What was computed is kept in ")[2].rstrip("."))
    assert path.with_name("detections.run.json").read_text() == '{"stretch": null}'
    return QgsVectorLayer(str(path), "kept", "ogr")


def test_a_result_for_a_damaged_database_is_kept(raster, fake_runner, tmp_path, temporary_files):
    damaged = tmp_path / "damaged.gpkg"
    damaged.write_text("I am no database")
    text = failure(INPUT=raster, OUTPUT=f"ogr:dbname='{damaged}' table=\"a\" (geom)")
    assert str(damaged) in text
    layer = kept_result(text)
    assert layer.featureCount() == 2
    assert (tmp_path / "home" / "kept-results") in Path(layer.source()).parents
    assert not [*temporary_files.glob("**/lwganet-*")]


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp"])
def test_a_result_that_the_disk_does_not_hold_is_kept(raster, fake_runner, tmp_path, monkeypatch, suffix):
    import resource

    from lwganet_qgis.processing_algorithms.results import Results

    copy, limits = Results._copy_features, resource.getrlimit(resource.RLIMIT_FSIZE)

    def copy_to_a_full_disk(*arguments):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            return copy(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(Results, "_copy_features", copy_to_a_full_disk)
    text = failure(INPUT=raster, OUTPUT=str(tmp_path / f"boxes.{suffix}"))
    assert len(text) < 700
    assert kept_result(text).featureCount() == 2


def test_a_destination_in_a_database_is_not_taken_for_a_folder(raster, fake_runner, tmp_path):
    results = run(INPUT=raster, OUTPUT=f"ogr:dbname='{tmp_path}/all.gpkg' table=\"boxes\" (geom)")
    assert results["OUTPUT"] == f"{tmp_path}/all.gpkg|layername=boxes"


def test_a_mask_without_reference_system_has_the_rasters(raster, fake_runner, polygon_layer):
    mask = polygon_layer("", "POLYGON((500000 4599990, 500010 4599990, 500010 4600000, 500000 4599990))")
    assert not mask.crs().isValid()
    run(INPUT=raster, MASK=mask)
    assert "33N" in fake_runner.requests[0]["mask_crs"]


def test_unknown_classes_are_refused_early(raster, fake_runner):
    assert refusal(INPUT=raster, CLASSES="plane, zeppelin") == (
        "Model detect-ucm-l0 knows no class zeppelin; it knows plane, ship."
    )


@pytest.mark.parametrize("text", ["0,5", "half", "nan"])
def test_a_number_that_is_none_is_refused_and_not_taken_for_0(raster, fake_runner, text):
    assert refusal(INPUT=raster, THRESHOLD=text) == (
        f"'Smallest score, 0 to 1' is {text}, which is no number; write it like this: 0.5."
    )


@pytest.mark.parametrize("classes", [["ship", "plane"], ("ship ", "", "plane"), " ship,plane"])
def test_classes_may_be_a_list(raster, fake_runner, classes):
    run(INPUT=raster, CLASSES=classes)
    assert fake_runner.requests[0]["classes"] == ["ship", "plane"]


def test_a_list_is_not_taken_for_an_empty_text(raster, fake_runner):
    assert refusal(INPUT=raster, DEVICE=["cpu"]) == "'Compute on' is ['cpu']; give a single text."
    assert refusal(INPUT=raster, CLASSES={"ship": 1}) == "'Only these classes' is {'ship': 1}; give a single text."


def test_a_number_may_be_a_text(raster, fake_runner):
    run(INPUT=raster, THRESHOLD=" 0.25", BATCH_SIZE="4")
    assert fake_runner.requests[0]["threshold"] == 0.25
    assert fake_runner.requests[0]["compute"]["batch_size"] == 4


@pytest.mark.parametrize("expression", ["0.5 / 2", "'0.25'"])
def test_a_number_may_be_an_expression(raster, fake_runner, expression):
    from qgis.core import QgsProperty

    run(INPUT=raster, THRESHOLD=QgsProperty.fromExpression(expression))
    assert fake_runner.requests[0]["threshold"] == 0.25


@pytest.mark.parametrize("expression", ["'half'", "NULL", "1 +"])
def test_an_expression_that_gives_no_number_is_refused_and_not_taken_for_0(raster, fake_runner, expression):
    from qgis.core import QgsProperty

    told = refusal(INPUT=raster, THRESHOLD=QgsProperty.fromExpression(expression))
    assert told == f"'Smallest score, 0 to 1' is {expression}, which is no number; write it like this: 0.5."


def test_an_unknown_model_is_refused_early(raster, fake_runner):
    assert "There is no model 'yolo' for this task here; installed are detect-ucm-l0." in refusal(
        INPUT=raster, MODEL="yolo"
    )


def test_a_strange_tile_size_or_device_is_refused_early(raster, fake_runner):
    assert "The tile size must be a multiple of 32" in refusal(INPUT=raster, TILE_SIZE=100)
    assert "The device 'tpu' is unknown" in refusal(INPUT=raster, DEVICE="tpu")


def test_a_missing_environment_names_the_algorithm_that_creates_it(raster, monkeypatch):
    monkeypatch.delenv("LWGANET_RUNNER_PYTHON", raising=False)
    assert "'Set up the environment' (lwganet:setupenvironment)" in refusal(INPUT=raster)


@pytest.mark.parametrize("name", ["fake-python", "./fake-python"])
def test_a_relative_path_of_the_runners_python_is_one_of_this_folder(raster, fake_runner, monkeypatch, name):
    monkeypatch.chdir(fake_runner.program.parent)
    monkeypatch.setenv("LWGANET_RUNNER_PYTHON", name)
    assert run(INPUT=raster)["COUNT"] == 2


def test_a_refusal_of_the_runner_is_one_line(raster, fake_runner):
    fake_runner.have("refuse")
    assert failure(INPUT=raster) == "The raster is made of cheese; use another."


def test_a_runner_that_dies_is_one_line_and_the_next_run_works(raster, fake_runner):
    fake_runner.have("die-once")
    assert "The model runner was killed by the system" in failure(INPUT=raster)
    assert run(INPUT=raster)["COUNT"] == 2


def test_a_cancelled_run_fails_and_leaves_nothing(raster, fake_runner, tmp_path, temporary_files):
    from qgis.core import QgsProcessingFeedback

    class Impatient(QgsProcessingFeedback):
        def setProgressText(self, text):
            self.cancel()

    fake_runner.have("slow")
    output = tmp_path / "boxes.gpkg"
    assert failure(INPUT=raster, OUTPUT=str(output), feedback=Impatient()) == "Cancelled."
    assert not output.exists()
    assert not [*temporary_files.glob("**/lwganet-*")]


def test_a_run_leaves_no_temporary_files(raster, fake_runner, temporary_files):
    run(INPUT=raster)
    assert Path(fake_runner.requests[0]["output"]).parent.parent == temporary_files
    assert not [*temporary_files.glob("**/lwganet-*")]


def test_progress_log_and_warnings_reach_the_user(raster, fake_runner):
    from qgis.core import QgsProcessingFeedback

    class Listener(QgsProcessingFeedback):
        texts, warnings = [], []

        def setProgressText(self, text):
            self.texts.append(text)

        def pushWarning(self, text):
            self.warnings.append(text)

    listener = Listener()
    run(INPUT=raster, feedback=listener)
    assert listener.texts[0] == "tiles 0/20, 3.1 MPix/s, 40 s left"
    assert listener.warnings == ["This is only a pretence."]
    assert listener.progress() == pytest.approx(95)
    assert "Computing on nothing." in listener.textLog()


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp"])
def test_the_result_can_be_a_file_and_brings_its_style_and_record(raster, fake_runner, tmp_path, suffix):
    from qgis.core import QgsVectorLayer

    output = tmp_path / f"boxes.{suffix}"
    run(INPUT=raster, OUTPUT=str(output))
    layer = QgsVectorLayer(str(output), "boxes", "ogr")
    assert layer.featureCount() == 2
    assert [category.value() for category in layer.renderer().categories()] == ["plane", "ship"]
    assert (tmp_path / "boxes.run.json").read_text() == '{"stretch": null}'


@pytest.mark.parametrize("suffix", ["dxf", "gpx", "sql"])
def test_a_format_that_cannot_hold_the_result_is_refused_early(raster, fake_runner, tmp_path, suffix):
    from qgis.core import QgsApplication

    path = tmp_path / f"boxes.{suffix}"
    assert refusal(INPUT=raster, OUTPUT=str(path)) == (
        f"{path} cannot hold polygons with fields; choose another format, such as .gpkg."
    )
    offered = QgsApplication.processingRegistry().providerById("lwganet").supportedOutputVectorLayerExtensions()
    assert suffix not in offered
    assert offered[0] == "gpkg"


def test_a_name_that_no_file_can_have_is_refused_early(raster, fake_runner, tmp_path):
    assert "(File name too long); choose another name." in refusal(
        INPUT=raster, OUTPUT=str(tmp_path / f"{'x' * 300}.gpkg")
    )


def test_the_result_can_be_a_table_without_geometry(raster, fake_runner, tmp_path, project):
    import processing

    processing.runAndLoadResults(ALGORITHM, {"INPUT": raster, "OUTPUT": str(tmp_path / "boxes.csv")})
    (layer,) = project.mapLayers().values()
    assert [feature["class_name"] for feature in layer.getFeatures()] == ["plane", "ship"]
    assert not (tmp_path / "boxes.qml").exists()


def test_a_style_file_of_the_users_stays(raster, fake_runner, tmp_path):
    (tmp_path / "boxes.qml").write_text("mine")
    run(INPUT=raster, OUTPUT=str(tmp_path / "boxes.gpkg"))
    assert (tmp_path / "boxes.qml").read_text() == "mine"


def test_a_style_file_gets_the_classes_that_a_former_run_did_not_find(raster, fake_runner, tmp_path):
    from qgis.core import QgsVectorLayer

    output = str(tmp_path / "boxes.gpkg")
    run(INPUT=raster, OUTPUT=output)
    layer = QgsVectorLayer(output, "boxes", "ogr")
    renderer = layer.renderer()
    renderer.deleteCategory(1)
    renderer.updateCategoryLabel(0, "aeroplanes")
    layer.saveNamedStyle(str(tmp_path / "boxes.qml"))
    del layer
    run(INPUT=raster, OUTPUT=output)
    layer = QgsVectorLayer(output, "boxes", "ogr")
    categories = layer.renderer().categories()
    assert [(each.value(), each.label()) for each in categories] == [("plane", "aeroplanes"), ("ship", "ship")]
    assert categories[1].symbol().color().name() == "#1f78b4"


def table_of(path, name):
    from qgis.core import QgsVectorLayer

    layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr")
    assert layer.isValid()
    return layer


@pytest.fixture
def database(tmp_path, polygon_layer):
    """A GeoPackage with a layer that is not ours."""
    from qgis.core import QgsCoordinateTransformContext, QgsVectorFileWriter

    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = "fields"
    path, layer = tmp_path / "project.gpkg", polygon_layer("EPSG:32633", "POLYGON((0 0, 1 0, 1 1, 0 0))")
    QgsVectorFileWriter.writeAsVectorFormatV3(layer, str(path), QgsCoordinateTransformContext(), options)
    return path


def test_a_table_has_its_style_in_the_database_and_other_tables_look_as_before(raster, fake_runner, database):
    run(INPUT=raster, OUTPUT=f"ogr:dbname='{database}' table=\"planes\" (geom)")
    planes = table_of(database, "planes")
    assert [category.value() for category in planes.renderer().categories()] == ["plane", "ship"]
    assert planes.labelsEnabled()
    assert table_of(database, "fields").renderer().type() == "singleSymbol"
    assert not database.with_suffix(".qml").exists()


def test_each_table_has_a_record_of_its_own(raster, fake_runner, database):
    for table in ("planes", "a/b"):
        run(INPUT=raster, OUTPUT=f"ogr:dbname='{database}' table=\"{table}\" (geom)")
    assert {each.name for each in database.parent.glob("*.run.json")} == {
        "project.planes.run.json",
        "project.a_b.run.json",
    }


def test_a_style_in_the_database_gets_the_classes_that_a_former_run_did_not_find(raster, fake_runner, database):
    output = f"ogr:dbname='{database}' table=\"planes\" (geom)"
    run(INPUT=raster, OUTPUT=output)
    layer = table_of(database, "planes")
    layer.renderer().deleteCategory(1)
    layer.renderer().updateCategoryLabel(0, "aeroplanes")
    save_default_style(layer, "mine", "")
    del layer
    for _ in range(2):
        run(INPUT=raster, OUTPUT=output)
        layer = table_of(database, "planes")
        labels = [category.label() for category in layer.renderer().categories()]
        assert labels == ["aeroplanes", "ship"]
        assert sorted(layer.listStylesInDatabase()[2]) == ["LWGANet", "mine"]


def test_a_loaded_result_is_named_and_styled(raster, fake_runner):
    import processing
    from qgis.core import QgsProject

    results = processing.runAndLoadResults(ALGORITHM, {"INPUT": raster, "OUTPUT": "memory:"})
    layer = QgsProject.instance().mapLayer(results["OUTPUT"])
    assert layer.name() == "Objects in airfield"
    assert layer.labelsEnabled()
    categories = {each.value(): each.symbol().color().name() for each in layer.renderer().categories()}
    assert categories == {"plane": "#e31a1c", "ship": "#1f78b4"}
    QgsProject.instance().removeMapLayer(layer.id())


def test_a_label_stands_on_the_top_corner_of_its_box(raster, fake_runner, tmp_path):
    from qgis.core import QgsExpression, QgsExpressionContext, QgsFeature, QgsGeometry, QgsVectorLayer

    run(INPUT=raster, OUTPUT=str(tmp_path / "boxes.gpkg"))
    layer = QgsVectorLayer(str(tmp_path / "boxes.gpkg"), "boxes", "ogr")
    context, box = QgsExpressionContext(), QgsFeature()
    box.setGeometry(QgsGeometry.fromWkt("Polygon((0 0, 4 3, 3 5, -1 2, 0 0))"))
    context.setFeature(box)
    anchor = QgsExpression(layer.labeling().settings().geometryGenerator).evaluate(context)
    assert anchor.asWkt() == "Point (3 5)"


def test_it_works_in_a_model_with_another_algorithm_behind_it(raster, fake_runner, tmp_path):
    import processing
    from qgis.core import (
        QgsProcessingModelAlgorithm,
        QgsProcessingModelChildAlgorithm,
        QgsProcessingModelChildParameterSource,
        QgsProcessingModelOutput,
        QgsProcessingModelParameter,
        QgsProcessingParameterRasterLayer,
    )

    model = QgsProcessingModelAlgorithm("detect and buffer")
    model.addModelParameter(QgsProcessingParameterRasterLayer("IMAGE", "Image"), QgsProcessingModelParameter("IMAGE"))
    detect = QgsProcessingModelChildAlgorithm(ALGORITHM)
    detect.setChildId("detect")
    detect.addParameterSources("INPUT", [QgsProcessingModelChildParameterSource.fromModelParameter("IMAGE")])
    for name, value in {"MODEL": "detect-ucm-l0", "DEVICE": "auto", "PRECISION": "auto"}.items():
        detect.addParameterSources(name, [QgsProcessingModelChildParameterSource.fromStaticValue(value)])
    model.addChildAlgorithm(detect)
    buffer = QgsProcessingModelChildAlgorithm("native:buffer")
    buffer.setChildId("buffer")
    buffer.addParameterSources("INPUT", [QgsProcessingModelChildParameterSource.fromChildOutput("detect", "OUTPUT")])
    fixed = {"DISTANCE": 1, "SEGMENTS": 5, "END_CAP_STYLE": 0, "JOIN_STYLE": 0, "MITER_LIMIT": 2, "DISSOLVE": False}
    for name, value in fixed.items():
        buffer.addParameterSources(name, [QgsProcessingModelChildParameterSource.fromStaticValue(value)])
    output = QgsProcessingModelOutput("buffered", "buffered")
    output.setChildId("buffer")
    output.setChildOutputName("OUTPUT")
    buffer.setModelOutputs({"buffered": output})
    model.addChildAlgorithm(buffer)
    path = str(tmp_path / "detect_and_buffer.model3")
    assert model.toFile(path)

    loaded = QgsProcessingModelAlgorithm()
    assert loaded.fromFile(path)
    loaded.initAlgorithm()
    destination = next(each.name() for each in loaded.destinationParameterDefinitions())
    results = processing.run(loaded, {"IMAGE": raster, destination: "memory:"})
    assert results[destination].featureCount() == 2


def test_the_form_is_the_public_one(models):
    from qgis.core import QgsApplication, QgsProcessingParameterDefinition

    algorithm = QgsApplication.processingRegistry().createAlgorithmById(ALGORITHM)
    definitions = algorithm.parameterDefinitions()
    public = "INPUT MODEL BANDS EXTENT MASK RESOLUTION THRESHOLD CLASSES DEVICE"
    folded = "TILE_SIZE OVERLAP BATCH_SIZE PRECISION NMS_IOU"
    advanced = {
        each.name() for each in definitions if each.flags() & QgsProcessingParameterDefinition.Flag.FlagAdvanced
    }
    assert {each.name() for each in definitions} == {*public.split(), *folded.split(), "OUTPUT"}
    assert advanced == set(folded.split())
