# SPDX-License-Identifier: GPL-2.0-or-later
"""What reaches the runner of layers that are not simply a file."""

import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("qgis", "models")

EXTENT = "-100,100,-100,100 [EPSG:3857]"


def run(layer, **parameters):
    import processing

    return processing.run("lwganet:detectobjects", {"INPUT": layer, "OUTPUT": "memory:", **parameters})


def failure(layer, **parameters):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as caught:
        run(layer, **parameters)
    return str(caught.value)


def raster_layer(source, provider="gdal"):
    from qgis.core import QgsRasterLayer

    layer = QgsRasterLayer(source, "layer", provider)
    assert layer.isValid()
    return layer


@pytest.fixture
def exported(monkeypatch):
    """What is known of the exported raster: size, band count, geotransform and values; it is gone after the run."""
    from lwganet_qgis.lwganet_qgis.raster_for_runner import RasterForRunner
    from osgeo import gdal

    known = {}
    export = RasterForRunner._export

    def remember(*arguments):
        path = export(*arguments)
        raster = gdal.Open(path)
        known["size"] = (raster.RasterXSize, raster.RasterYSize)
        known["bands"] = [
            raster.GetRasterBand(1 + band).ComputeStatistics(False)[2] for band in range(raster.RasterCount)
        ]
        return path

    monkeypatch.setattr(RasterForRunner, "_export", remember)
    return known


@pytest.fixture
def tiles(tmp_path):
    """A server of red map tiles in a folder: the address of its layer."""
    from osgeo import gdal

    folder = tmp_path / "tiles"
    folder.mkdir()
    picture = gdal.GetDriverByName("MEM").Create("", 256, 256, 3)
    picture.GetRasterBand(1).Fill(200)
    gdal.GetDriverByName("PNG").CreateCopy(str(folder / "tile.png"), picture)
    for zoom, column, row in [(19, x, y) for x in range(262140, 262150) for y in range(262140, 262150)]:
        place = folder / str(zoom) / str(column)
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "tile.png", place / f"{row}.png")
    return f"type=xyz&zmin=19&zmax=19&url=file://{folder}/%7Bz%7D/%7Bx%7D/%7By%7D.png"


def test_a_relative_path_becomes_absolute(raster, fake_runner, monkeypatch):
    monkeypatch.chdir(os.path.dirname(raster))
    run(os.path.basename(raster))
    assert fake_runner.requests[0]["source"]["path"] == raster


def test_a_raster_in_a_zip_file_is_read_where_it_is(raster, fake_runner, tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.write(raster, "a/b.tif")
    source = f"/vsizip/{tmp_path}/images.zip/a/b.tif"
    run(raster_layer(source))
    assert fake_runner.requests[0]["source"]["path"] == source


def test_a_raster_in_a_geopackage_is_read_where_it_is(raster, fake_runner, tmp_path):
    from osgeo import gdal

    gdal.Translate(str(tmp_path / "images.gpkg"), raster, format="GPKG", creationOptions=["RASTER_TABLE=field"])
    source = f"GPKG:{tmp_path}/images.gpkg:field"
    run(raster_layer(source))
    assert fake_runner.requests[0]["source"]["path"] == source


def test_the_reference_system_that_the_user_gave_a_layer_holds(raster, fake_runner, tmp_path):
    from osgeo import gdal
    from qgis.core import QgsCoordinateReferenceSystem

    gdal.Translate(str(tmp_path / "bare.png"), raster, format="PNG")
    os.remove(tmp_path / "bare.png.aux.xml")
    layer = raster_layer(str(tmp_path / "bare.png"))
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    assert run(layer)["OUTPUT"].crs().authid() == "EPSG:3857"


@pytest.mark.parametrize(
    ("of_file", "is_used", "chosen", "expected"),
    [
        (None, True, [], None),
        (None, True, [(0, 0)], 0),
        (9, True, [], 9),
        (9, False, [(0, 0)], 0),
        (9, False, [], None),
        (9, True, [(0, 0)], 9),  # a band of a file has one value
        (None, True, [(0, 5)], None),
    ],
)
def test_what_the_user_says_is_no_data_is_none(raster, tmp_path, of_file, is_used, chosen, expected):
    from lwganet_qgis.lwganet_qgis.raster_for_runner import RasterForRunner
    from osgeo import gdal
    from qgis.core import QgsCoordinateTransformContext, QgsProcessingFeedback, QgsRasterRange, QgsRectangle

    file = str(tmp_path / "file.tif")
    gdal.Translate(file, raster, noData=of_file)
    layer = raster_layer(file)
    for band in (1, 2, 3):
        layer.dataProvider().setUseSourceNoDataValue(band, is_used)
        layer.dataProvider().setUserNoDataValue(band, [QgsRasterRange(*each) for each in chosen])
    whole, transforms = QgsRectangle(), QgsCoordinateTransformContext()
    read = gdal.Open(RasterForRunner(layer).file(tmp_path, whole, None, transforms, QgsProcessingFeedback()))
    assert [read.GetRasterBand(band).GetNoDataValue() for band in (1, 2, 3)] == [expected] * 3
    assert read.GetProjection() == gdal.Open(raster).GetProjection()


def test_a_raster_without_reference_system_gives_a_layer_without(raster, fake_runner, tmp_path):
    from osgeo import gdal

    shutil.copy(raster, tmp_path / "bare.tif")
    gdal.Open(str(tmp_path / "bare.tif"), gdal.GA_Update).SetSpatialRef(None)
    assert not run(str(tmp_path / "bare.tif"))["OUTPUT"].crs().isValid()


def test_a_raster_in_memory_is_exported_with_its_values(raster, fake_runner, exported):
    from osgeo import gdal

    gdal.Translate("/vsimem/airfield.tif", raster)
    run(raster_layer("/vsimem/airfield.tif"), EXTENT="500000,500015,4599991,4600000")
    assert exported == {"size": (50, 30), "bands": [40, 80, 120]}
    source = fake_runner.requests[0]["source"]
    assert source["path"].endswith("layer.tif")
    assert source["extent"] is None


def test_an_export_of_nothing_is_refused(raster, fake_runner):
    from osgeo import gdal

    gdal.Translate("/vsimem/black.tif", raster, scaleParams=[[0, 255, 0, 0]] * 3)
    assert "gave no picture of this extent" in failure(raster_layer("/vsimem/black.tif"))


@pytest.fixture
def large(raster):
    """A raster in memory that takes several blocks."""
    from osgeo import gdal

    gdal.Translate("/vsimem/large.tif", raster, width=900, height=600)
    yield raster_layer("/vsimem/large.tif")
    gdal.Unlink("/vsimem/large.tif")


@pytest.mark.parametrize("bytes_free", [0, 3000])
def test_an_export_that_the_disk_does_not_hold_is_refused(large, fake_runner, monkeypatch, bytes_free):
    import resource

    from lwganet_qgis.lwganet_qgis.raster_for_runner import RasterForRunner

    left, limits = [], resource.getrlimit(resource.RLIMIT_FSIZE)
    export, remove = RasterForRunner._export, shutil.rmtree

    def export_to_a_full_disk(*arguments):
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_free, limits[1]))
        try:
            return export(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    def look_and_remove(folder, **options):
        left.extend(path.name for path in Path(folder).rglob("*"))
        remove(folder, **options)

    monkeypatch.setattr(RasterForRunner, "_export", export_to_a_full_disk)
    monkeypatch.setattr(shutil, "rmtree", look_and_remove)
    text = failure(large)
    assert "The layer 'layer' could not be exported to " in text
    assert "\n" not in text
    assert "layer.tif" not in left


def test_an_export_that_the_writer_breaks_off_is_refused(large, fake_runner, monkeypatch):
    from lwganet_qgis.lwganet_qgis import raster_for_runner

    class Writer(raster_for_runner.QgsRasterFileWriter):
        def writeRaster(self, *arguments):
            super().writeRaster(*arguments)
            return self.WriteError

    monkeypatch.setattr(raster_for_runner, "QgsRasterFileWriter", Writer)
    assert "could not be exported" in failure(large)


def test_a_large_export_is_whole(large, fake_runner, exported):
    run(large)
    assert exported == {"size": (900, 600), "bands": [40, 80, 120]}


def test_map_tiles_are_exported_as_picture(tiles, fake_runner, exported):
    run(raster_layer(tiles, "wms"), EXTENT=EXTENT, RESOLUTION=0.5)
    assert exported["size"] == pytest.approx((400, 400), abs=4)  # the ellipsoid is not the Mercator sphere
    assert exported["bands"] == [200, 0, 0, 255]
    assert fake_runner.requests[0]["source"]["resolution"] == 0.5


def test_map_tiles_need_extent_and_resolution(tiles, fake_runner):
    assert "choose the extent and the resolution" in failure(raster_layer(tiles, "wms"))
    assert "choose the extent and the resolution" in failure(raster_layer(tiles, "wms"), EXTENT=EXTENT)


def test_a_map_service_that_does_not_answer_is_an_error(tiles, fake_runner):
    dead = raster_layer(tiles.replace("/tiles/", "/no-tiles/"), "wms")
    assert "its server does not answer" in failure(dead, EXTENT=EXTENT, RESOLUTION=0.5)


def test_what_a_map_service_did_not_send_is_told(tiles, fake_runner, tmp_path):
    from qgis.core import QgsProcessingFeedback

    def told(source):
        import processing

        feedback = QgsProcessingFeedback(False)
        parameters = {"INPUT": raster_layer(source, "wms"), "EXTENT": EXTENT, "RESOLUTION": 0.5, "OUTPUT": "memory:"}
        processing.run("lwganet:detectobjects", parameters, feedback=feedback)
        return feedback.textLog()

    assert "is empty" not in told(tiles)
    shutil.copytree(tmp_path / "tiles", tmp_path / "gaps")
    shutil.rmtree(tmp_path / "gaps" / "19" / "262144")  # the column to the east of the extent's middle
    empty = re.search(
        r"([\d.]+)% of the picture of the layer 'layer' is empty, and nothing is found there",
        told(tiles.replace("/tiles/", "/gaps/")),
    )
    assert float(empty[1]) == pytest.approx(38, abs=0.5)  # releases of QGIS differ by a column


def test_an_export_after_a_cancel_ends_at_once(tiles, tmp_path):
    from lwganet_qgis.lwganet_qgis.raster_for_runner import RasterForRunner
    from osgeo import gdal
    from qgis.core import QgsCoordinateTransformContext, QgsProcessingFeedback, QgsRectangle

    feedback = QgsProcessingFeedback()
    feedback.cancel()
    layer = RasterForRunner(raster_layer(tiles, "wms"))
    path = layer.file(tmp_path, QgsRectangle(-300, -300, 300, 300), 0.1, QgsCoordinateTransformContext(), feedback)
    written = gdal.Open(path) if os.path.exists(path) else None
    assert written is None or written.GetRasterBand(1).Checksum() == 0


@pytest.mark.parametrize("more", [" authcfg='jv7p8fy'", "|option:NUM_THREADS=2"])
def test_what_qgis_alone_can_open_is_exported(raster, more):
    from lwganet_qgis.lwganet_qgis.raster_for_runner import RasterForRunner
    from qgis.core import QgsRasterLayer

    assert RasterForRunner(QgsRasterLayer(raster, "layer")).path == raster
    assert RasterForRunner(QgsRasterLayer(raster + more, "layer")).path is None


def test_an_export_of_the_whole_world_is_refused(tiles, fake_runner):
    assert "million can be exported" in failure(
        raster_layer(tiles, "wms"), EXTENT="-1000000,1000000,-1000000,1000000 [EPSG:3857]", RESOLUTION=0.5
    )


TOO_LONG_FOR_A_FILE = "key=" + 300 * "x"


def test_a_map_service_with_a_long_address_is_not_taken_for_a_file(segmentation, tmp_path):
    output = tmp_path / "classes.tif"
    output.touch()
    service = raster_layer(f"type=xyz&zmax=19&url=file:nowhere?{TOO_LONG_FOR_A_FILE}", "wms")
    assert "comes from a server" in segmentation.refusal(INPUT=service, OUTPUT=str(output))
    assert "not found" in segmentation.refusal(INPUT=TOO_LONG_FOR_A_FILE)


def test_a_table_on_a_server_with_a_long_address_is_not_taken_for_a_file():
    from lwganet_qgis.lwganet_qgis import layers, style_files

    table = f"dbname='gis' {TOO_LONG_FOR_A_FILE} table=\"boxes\" (geom)"
    layers.refuse_incomplete(table, 2)
    layers.copy_record_beside(table, "record.json")
    style_files.keep_style(table, None)


def test_objects_in_fields_are_written_as_json(objects, tmp_path):
    from lwganet_qgis.lwganet_qgis.layers import write_polygons
    from qgis.core import (
        QgsCoordinateTransformContext,
        QgsProcessingContext,
        QgsProcessingFeatureSource,
        QgsProcessingFeedback,
        QgsVectorLayer,
    )

    layer, context = QgsVectorLayer(objects), QgsProcessingContext()
    source = QgsProcessingFeatureSource(layer, context)
    transforms, feedback = QgsCoordinateTransformContext(), QgsProcessingFeedback()
    path = write_polygons("zones", source, layer.crs(), tmp_path, transforms, feedback, fields=None)
    (feature,) = QgsVectorLayer(path).getFeatures()
    assert (feature["o"], feature["list"], feature["kind"]) == ('{"a":1}', '["x",2]', "ship")


@pytest.mark.parametrize(
    ("epsg", "corner", "pixel", "expected"),
    [
        (4326, (20, 10), 0.1, (18.5, 5.5, 24.5, 11.5)),
        (4326, (179, 1), 0.1, None),  # what lies on it may be drawn at -179
        (4326, (200, 1), 0.1, None),
        (3413, (-1400, 1700), 100, None),  # with the North Pole, and so all longitudes
    ],
)
def test_the_surroundings_of_a_raster_are_known_where_all_near_it_lies_in_one_box(
    tmp_path, epsg, corner, pixel, expected
):
    from lwganet_qgis.lwganet_qgis.raster_for_runner import RasterForRunner
    from osgeo import gdal, osr
    from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransformContext

    path, reference = str(tmp_path / "a.tif"), osr.SpatialReference()
    image = gdal.GetDriverByName("GTiff").Create(path, 30, 30)
    image.SetGeoTransform((corner[0], pixel, 0, corner[1], 0, -pixel))
    reference.ImportFromEPSG(epsg)
    image.SetProjection(reference.ExportToWkt())
    del image
    degrees, transforms = QgsCoordinateReferenceSystem("EPSG:4326"), QgsCoordinateTransformContext()
    box = RasterForRunner(raster_layer(path)).surroundings_in(degrees, transforms)
    found = box and (box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum())
    assert found == (expected and pytest.approx(expected))
