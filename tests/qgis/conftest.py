# SPDX-License-Identifier: GPL-2.0-or-later
"""QGIS once for all tests, the checkout under its installed name, and a runner that only pretends."""

import importlib.util
import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _import_checkout():
    spec = importlib.util.spec_from_file_location(
        "lwganet_qgis", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules["lwganet_qgis"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["lwganet_qgis"])


_import_checkout()


@pytest.fixture(scope="session")
def qgis(tmp_path_factory):
    """The application, with Processing and our provider."""
    os.environ["QGIS_CUSTOM_CONFIG_PATH"] = str(tmp_path_factory.mktemp("profile"))
    from qgis.core import QgsApplication

    application = QgsApplication([], False)
    application.initQgis()
    sys.path.append(os.path.join(application.pkgDataPath(), "python", "plugins"))
    from processing.core.Processing import Processing

    Processing.initialize()
    plugin = sys.modules["lwganet_qgis"].classFactory(None)
    plugin.initProcessing()
    yield application
    plugin.unload()


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A user folder with a model of two classes under the default model's name, if the plugin brings none."""
    from lwganet_qgis.model_runner.contract import model_card

    monkeypatch.setenv("LWGANET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(model_card, "embedded_models_folder", lambda: tmp_path / "embedded")
    return _install("detect", plane="#e31a1c", ship="#1f78b4")


@pytest.fixture
def all_models(models):
    """A model for each task, all under the names of the default ones."""
    _install("segment", **{"forest": "#267300", "open water": "#1f78b4"})
    _install("change", unchanged="#000000", changed="#e31a1c")
    _install("classify", harbor="#1f78b4", beach="#ffd37f", forest="#267300")


def _install(task, **classes):
    from lwganet_qgis.model_runner.contract import folders, model_card

    card = model_card.ModelCard(
        id=model_card.DEFAULT_MODELS[task],
        title="A few classes",
        task=task,
        network=f"a network for {task}",
        classes=tuple(model_card.ModelClass(name, colour) for name, colour in classes.items()),
        licence=model_card.Licence("CC0-1.0"),
    )
    folder = folders.user_models_folder() / card.id
    folder.mkdir(parents=True)
    (folder / model_card.WEIGHTS_FILE).touch()
    (folder / model_card.CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return card


class Runs:
    """An algorithm with the parameters that it always has here."""

    def __init__(self, name, **parameters):
        self.name = name
        self._parameters = parameters

    def __call__(self, feedback=None, **parameters):
        import processing

        return processing.run(self.name, {**self._parameters, **parameters}, feedback=feedback)

    def loaded(self, **parameters):
        """The layers in the project, by parameter, after a run that loads its results; and the results."""
        import processing
        from qgis.core import QgsProject

        results = processing.runAndLoadResults(self.name, {**self._parameters, **parameters})
        layers = QgsProject.instance().mapLayers()
        return {name: layers[value] for name, value in results.items() if value in layers} | {
            name: layer
            for name, value in results.items()
            for layer in layers.values()
            if isinstance(value, str) and layer.source() == value
        }

    def failure(self, **parameters):
        """The one line of a run that fails."""
        from qgis.core import QgsProcessingException

        with pytest.raises(QgsProcessingException) as caught:
            self(**parameters)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def refusal(self, **parameters):
        """The one line by which the form is refused before anything runs."""
        from qgis.core import QgsApplication, QgsProcessingContext, QgsProject

        algorithm, context = QgsApplication.processingRegistry().createAlgorithmById(self.name), QgsProcessingContext()
        context.setProject(QgsProject.instance())
        fine, text = algorithm.checkParameterValues({**self._parameters, **parameters}, context)
        assert not fine
        assert "\n" not in text
        return text


@pytest.fixture
def segmentation(qgis, all_models, fake_runner, raster):
    """Segmentation of the small image."""
    return Runs("lwganet:segmentimage", INPUT=raster, OUTPUT="TEMPORARY_OUTPUT")


@pytest.fixture
def change(qgis, all_models, fake_runner, raster, later):
    """Changes between the small image and a later one."""
    return Runs("lwganet:detectchanges", BEFORE=raster, AFTER=later, OUTPUT="TEMPORARY_OUTPUT")


@pytest.fixture
def scenes(qgis, all_models, fake_runner, raster):
    """Scenes of the small image."""
    return Runs("lwganet:classifyscenes", INPUT=raster, OUTPUT="memory:")


@pytest.fixture
def evaluation(qgis, all_models, fake_runner, tmp_path):
    """Evaluations; each needs a dataset, or an image and a reference."""
    return Runs("lwganet:evaluatemodel", OUTPUT=str(tmp_path / "evaluation"))


@pytest.fixture
def training(qgis, all_models, fake_runner, dataset, tmp_path):
    """Trainings on a dataset that is named Ships 2024."""
    return Runs("lwganet:finetunemodel", DATA=dataset, OUTPUT=str(tmp_path / "training"))


@pytest.fixture
def dataset(raster, tmp_path):
    """A folder that holds the small image."""
    folder = tmp_path / "Ships 2024"
    folder.mkdir()
    shutil.copy(raster, folder)
    return str(folder)


@pytest.fixture
def project(qgis):
    """The project, empty before and after."""
    from qgis.core import QgsProject

    yield QgsProject.instance()
    QgsProject.instance().clear()


class FakeRunner:
    """A program that stands for the runner's Python, and what it was asked."""

    def __init__(self, folder, monkeypatch):
        self.program = folder / "fake-python"
        self._log = folder / "requests.jsonl"
        self._monkeypatch = monkeypatch
        program = f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("fake_runner.py")}"\n'
        self.program.write_text(program, encoding="utf-8")
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("LWGANET_RUNNER_PYTHON", str(self.program))
        monkeypatch.setenv("FAKE_RUNNER_LOG", str(self._log))
        monkeypatch.setenv("FAKE_RUNNER_MARK", str(folder / "died"))

    def have(self, *faults):
        self._monkeypatch.setenv("FAKE_RUNNER", ",".join(faults))

    @property
    def requests(self):
        return [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def fake_runner(tmp_path, monkeypatch):
    runner = FakeRunner(tmp_path, monkeypatch)
    yield runner
    if "lwganet_qgis.lwganet_qgis.follow" in sys.modules:
        sys.modules["lwganet_qgis.lwganet_qgis.follow"].end_runner()


@pytest.fixture
def raster(tmp_path):
    """A small image with three bands in UTM."""
    from osgeo import gdal, osr

    path = str(tmp_path / "airfield.tif")
    image = gdal.GetDriverByName("GTiff").Create(path, 90, 60, 3)
    image.SetGeoTransform((500000, 0.3, 0, 4600000, 0, -0.3))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32633)
    image.SetProjection(reference.ExportToWkt())
    for band in (1, 2, 3):
        image.GetRasterBand(band).Fill(40 * band)
    del image
    return path


@pytest.fixture
def later(raster, tmp_path):
    """The small image at another date, on another grid."""
    from osgeo import gdal

    path = str(tmp_path / "airfield_later.tif")
    gdal.Translate(path, raster, width=45, height=30)
    return path


@pytest.fixture
def polygon_layer(qgis):
    """Makes layers of polygons from WKT, in memory."""
    from qgis.core import QgsFeature, QgsGeometry, QgsVectorLayer

    def make(crs, *texts, fields=""):
        layer = QgsVectorLayer(f"Polygon?crs={crs}{fields}", "fields", "memory")
        features = []
        for text in texts:
            features.append(QgsFeature(layer.fields()))
            features[-1].setGeometry(QgsGeometry.fromWkt(text))
        layer.dataProvider().addFeatures(features)
        return layer

    return make


@pytest.fixture
def objects(tmp_path):
    """The path of a layer whose fields ``o`` and ``list`` hold objects, and ``kind`` a text."""
    triangle = [[15.0, 41.54], [15.0002, 41.54], [15.0002, 41.56], [15.0, 41.54]]
    feature = {
        "type": "Feature",
        "properties": {"o": {"a": 1}, "list": ["x", 2], "kind": "ship"},
        "geometry": {"type": "Polygon", "coordinates": [triangle]},
    }
    path = tmp_path / "objects.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    return str(path)


@pytest.fixture
def drawn(qgis):
    """How QGIS draws a file: a list of what the legend says, with the colour of each entry."""
    from qgis.core import QgsRasterLayer, QgsVectorLayer

    def legend(path):
        layer = QgsVectorLayer(str(path))
        layer = layer if layer.isValid() else QgsRasterLayer(str(path))
        assert layer.isValid()
        renderer = layer.renderer()
        if isinstance(layer, QgsRasterLayer):
            return [(text, colour.name()) for text, colour in renderer.legendSymbologyItems()]
        return [(item.label(), item.symbol().color().name()) for item in renderer.legendSymbolItems()]

    return legend


@pytest.fixture
def temporary_files(tmp_path):
    """Processing's folder for temporary files."""
    from qgis.core import QgsProcessingUtils, QgsSettings

    folder = tmp_path / "processing"
    folder.mkdir()
    QgsSettings().setValue("Processing/Configuration/TEMP_PATH2", str(folder))
    QgsSettings().setValue("Processing/Configuration/TEMP_PATH", str(folder))
    yield Path(QgsProcessingUtils.tempFolder())
    QgsSettings().remove("Processing/Configuration/TEMP_PATH2")
    QgsSettings().remove("Processing/Configuration/TEMP_PATH")
