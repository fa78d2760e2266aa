# SPDX-License-Identifier: GPL-2.0-or-later
import pytest


def test_only_the_two_images_are_needed(change, fake_runner, raster, later):
    results = change()
    assert (results["AREA_M2_CHANGED"], results["SHARE_CHANGED"], results["COUNT"]) == (243, 0.5, 1)
    assert "PROBABILITY" not in results
    assert "POLYGONS" not in results
    request = fake_runner.requests[0]
    assert (request["before"]["path"], request["after"]) == (raster, later)
    assert (request["model"], request["output"]) == ("change-demo-l0", results["OUTPUT"])
    assert request["threshold"] is request["probability"] is request["polygons"] is None
    assert request["after_bands"] == []
    assert request["match_colours"] is request["flips"] is request["model_grid"] is False


def test_every_value_reaches_the_runner(change, fake_runner):
    change(
        BANDS=[3, 2, 1],
        AFTER_BANDS="1,3,2",
        THRESHOLD=0.0,
        MATCH_COLOURS=True,
        FLIPS=True,
        MODEL_GRID=True,
        RESOLUTION=2,
        POLYGONS="memory:",
        MINIMUM_AREA=20,
        TILE_SIZE=256,
    )
    request = fake_runner.requests[0]
    assert (request["before"]["bands"], request["after_bands"]) == ([3, 2, 1], [1, 3, 2])
    assert request["before"]["resolution"] == 2
    assert request["threshold"] == 0
    assert request["match_colours"] is request["flips"] is request["model_grid"] is True
    assert request["outlines"]["minimum_area"] == 20
    assert request["tiling"]["tile_size"] == 256


def test_loaded_results_are_named_and_styled(change, project):
    layers = change.loaded(PROBABILITY="TEMPORARY_OUTPUT", POLYGONS="memory:")
    dates = "from airfield to airfield_later"
    assert {name: layer.name() for name, layer in layers.items()} == {
        "OUTPUT": f"Changes {dates}",
        "PROBABILITY": f"Probability of change {dates}",
        "POLYGONS": f"Outlines of changes {dates}",
    }
    unchanged, changed = layers["OUTPUT"].renderer().classes()
    assert (unchanged.value, unchanged.label, unchanged.color.alpha()) == (0, "unchanged", 0)
    assert unchanged.color.name() == "#ffffff"  # legends show it without its transparency
    assert (changed.value, changed.label, changed.color.name()) == (1, "changed", "#e31a1c")
    assert layers["PROBABILITY"].renderer().type() == "singlebandpseudocolor"
    assert layers["POLYGONS"].renderer().symbol().color().name() == "#e31a1c"


def test_files_bring_their_styles_and_the_record(change, tmp_path, drawn):
    output, probability, polygons = (str(tmp_path / name) for name in ("a.tif", "b.tif", "c.geojson"))
    change(OUTPUT=output, PROBABILITY=probability, POLYGONS=polygons)
    assert drawn(output) == [("unchanged", "#ffffff"), ("changed", "#e31a1c")]
    assert drawn(probability)[-1] == ("1", "#bd0026")
    assert drawn(polygons) == [("", "#e31a1c")]
    assert (tmp_path / "a.run.json").is_file()
    assert (tmp_path / "c.run.json").is_file()


def test_two_layers_that_are_no_files_are_exported_one_by_one(change, fake_runner, raster, later):
    from osgeo import gdal
    from qgis.core import QgsRasterLayer

    for name, path in {"before": raster, "after": later}.items():
        gdal.Translate(f"/vsimem/{name}.tif", path)
    layers = [QgsRasterLayer(f"/vsimem/{name}.tif", "5/2024 Süd", "gdal") for name in ("before", "after")]
    change(BEFORE=layers[0], AFTER=layers[1])
    request = fake_runner.requests[0]
    assert request["before"]["path"].endswith("/5_2024 Süd.tif")
    assert request["after"].endswith("/5_2024 Süd.tif")
    assert request["before"]["path"] != request["after"]


def test_a_map_service_needs_extent_and_resolution_also_as_later_image(change):
    from qgis.core import QgsRasterLayer

    tiles = QgsRasterLayer("type=xyz&url=file:///nowhere/%7Bz%7D/%7Bx%7D/%7By%7D.png", "tiles", "wms")
    assert change.refusal(AFTER=tiles) == (
        "The layer 'tiles' comes from a server and has no pixels of its own: choose the extent and the resolution to "
        "work at."
    )


def test_wrong_bands_of_either_image_are_refused_early(change, later, tmp_path):
    from osgeo import gdal

    two = str(tmp_path / "two.tif")
    gdal.Translate(two, later, bandList=[1, 2])
    needs = "Model change-demo-l0 needs 3 bands (red, green, blue);"
    assert change.refusal(BEFORE=two) == change.refusal(AFTER=two) == f"{needs} the raster 'two' has 2."
    assert change.refusal(AFTER_BANDS=[1]) == f"{needs} you chose 1."
    assert "THRESHOLD" in change.refusal(THRESHOLD=1.5)


def test_one_image_for_both_dates_is_refused(change, fake_runner, raster, tmp_path):
    link = tmp_path / "link.tif"
    link.symlink_to(raster)
    told = "Both images are 'airfield', so that nothing can have changed; choose another later image."
    assert change.refusal(AFTER=raster) == change.refusal(AFTER=str(link)) == told
    change(AFTER=raster, AFTER_BANDS=[3, 2, 1])  # two dates may lie in one file
    assert fake_runner.requests[0]["after"] == raster


@pytest.mark.parametrize("name", ["OUTPUT", "PROBABILITY"])
def test_neither_image_is_overwritten(change, raster, later, name):
    for image in (raster, later):
        assert f"The result would overwrite {image}, which is to be read" in change.refusal(**{name: image})


def test_a_refusal_of_the_runner_is_one_line_and_leaves_nothing(change, fake_runner, tmp_path):
    fake_runner.have("refuse")
    assert change.failure(OUTPUT=str(tmp_path / "a.tif")) == "The raster is made of cheese; use another."
    assert not [*tmp_path.glob("a.*")]


def test_the_form_is_the_public_one(change):
    from qgis.core import QgsApplication, QgsProcessingParameterDefinition

    algorithm = QgsApplication.processingRegistry().createAlgorithmById(change.name)
    definitions = algorithm.parameterDefinitions()
    folded = QgsProcessingParameterDefinition.Flag.FlagAdvanced
    public = "BEFORE AFTER MODEL THRESHOLD EXTENT MASK BANDS AFTER_BANDS RESOLUTION DEVICE OUTPUT PROBABILITY POLYGONS"
    assert {each.name() for each in definitions if not each.flags() & folded} == {*public.split()}
    advanced = "TILE_SIZE OVERLAP BATCH_SIZE PRECISION FLIPS MODEL_GRID MATCH_COLOURS"
    outlines = "MINIMUM_AREA FILL_HOLES SIMPLIFY"
    assert {each.name() for each in definitions if each.flags() & folded} == {*advanced.split(), *outlines.split()}
