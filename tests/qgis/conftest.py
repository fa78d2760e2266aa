# SPDX-License-Identifier: GPL-2.0-or-later
"""QGIS once for all tests, the checkout under its installed name, and a runner that only pretends."""

import importlib.util
import json
import os
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
    from lwganet_qgis.model_runner.contract import folders, model_card

    monkeypatch.setenv("LWGANET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(model_card, "embedded_models_folder", lambda: tmp_path / "embedded")
    folder = folders.user_models_folder() / "detect-demo-l0"
    folder.mkdir(parents=True)
    (folder / model_card.WEIGHTS_FILE).touch()
    card = model_card.ModelCard(
        id="detect-demo-l0",
        title="Two classes",
        task="detect",
        network="oriented_rcnn_l0",
        classes=(model_card.ModelClass("plane", "#e31a1c"), model_card.ModelClass("ship", "#1f78b4")),
        licence=model_card.Licence("CC0-1.0"),
    )
    (folder / model_card.CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return card


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
