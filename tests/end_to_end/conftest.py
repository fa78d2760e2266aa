# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs as users start them, and small pieces of the demo's image."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import geopandas
import pyogrio
import pytest
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window

from model_runner.contract.model_card import Licence, ModelCard, ModelClass
from model_runner.model_store.store import save_model
from model_runner.networks import build_network
from tests.end_to_end.four_tasks import CHANGE_MODEL, TASKS

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "resources" / "demo" / "airfield.tif"
SIDE = 256  # of the squares that the demo's image is made of
SECONDS = 300
LONG = 4  # a type of numbers in TIFF
PREVIEW = {254: 1, 256: 64, 257: 64, 258: 8, 259: 6, 262: 1, 277: 1}  # in the old kind of JPEG; no RowsPerStrip (278)


def start(*command, home, runner=sys.executable, seconds=SECONDS):
    """Run a program to its end, with the models and the runner of these tests; without a name, that of the plugin."""
    variables = {**os.environ, "LWGANET_RUNNER_PYTHON": runner, "LWGANET_HOME": str(home)}
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=seconds
    )


@pytest.fixture
def home(tmp_path):
    """The folder for models of the user's own."""
    return tmp_path / "home"


@pytest.fixture
def qgis_process(home):
    """Run an algorithm or a model with ``qgis_process``."""

    def run(what, *options, runner=sys.executable, seconds=SECONDS, **parameters):
        values = [f"{name}={value}" for name, value in parameters.items()]
        command = ("scripts/with_qgis.sh", "qgis_process", "run", what, *options, "--", *values)
        return start(*command, home=home, runner=runner, seconds=seconds)

    return run


@pytest.fixture
def pyqgis(home):
    """Run a script of the folder ``pyqgis`` in QGIS's Python, and return the facts that it tells."""

    def run(script, *arguments):
        path = Path(__file__).parent / "pyqgis" / script
        done = start("scripts/with_qgis.sh", "/usr/bin/python3", path, *arguments, home=home)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture
def runner(home):
    """The runner's command line."""
    return lambda *arguments: start(sys.executable, "-m", "model_runner", *arguments, home=home)


def cut(path, column, row):
    """Write a square of the demo's image as an uncompressed GeoTIFF; its place is counted in squares."""
    window = Window(column * SIDE, row * SIDE, SIDE, SIDE)
    with rasterio.open(DEMO) as demo:
        transform = demo.transform @ Affine.translation(window.col_off, window.row_off)
        profile = {"width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8", "crs": demo.crs}
        with rasterio.open(path, "w", driver="GTiff", transform=transform, **profile) as square:
            square.write(demo.read(window=window))
    return path


@pytest.fixture
def demo(tmp_path):
    """A copy of the demo's image: QGIS leaves statistics beside rasters."""
    return shutil.copy(DEMO, tmp_path / "demo.tif")


@pytest.fixture(params=["header lost", "pixels lost"])
def damaged(request, tmp_path, planes):
    """A copy that ends too early: the demo's directory stands at its end, that of a square at its beginning."""
    whole = {"header lost": DEMO, "pixels lost": planes}[request.param].read_bytes()
    path = tmp_path / "damaged.tif"
    path.write_bytes(whole[: len(whole) // 2])
    return path


@pytest.fixture
def planes(tmp_path):
    """A square with planes."""
    return cut(tmp_path / "planes.tif", 0, 0)


@pytest.fixture
def later(tmp_path):
    """A square that shares three quarters of its sides with that of the planes."""
    return cut(tmp_path / "later.tif", 0.25, 0.25)


@pytest.fixture
def squares(tmp_path):
    """Three squares."""
    return [cut(tmp_path / f"square{number}.tif", number, 2) for number in range(3)]


@pytest.fixture
def two_bands(tmp_path, planes):
    """The square with planes without its third band."""
    path = tmp_path / "two_bands.tif"
    with rasterio.open(planes) as square:
        with rasterio.open(path, "w", **{**square.profile, "count": 2}) as fewer:
            fewer.write(square.read((1, 2)))
    return path


@pytest.fixture
def with_preview(planes):
    """The square with planes, and a small preview of the kind that photo editors leave, on which GDAL remarks."""
    tiff = bytearray(planes.read_bytes())
    (directory,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, directory)
    struct.pack_into("<I", tiff, directory + 2 + 12 * count, len(tiff))  # the link to the next directory
    tiff += struct.pack("<H", len(PREVIEW))
    for tag, value in PREVIEW.items():
        tiff += struct.pack("<HHII", tag, LONG, 1, value)
    planes.write_bytes(tiff + bytes(4))
    return planes


@pytest.fixture
def no_zones(tmp_path):
    """A layer of polygons without a feature."""
    path = tmp_path / "no_zones.gpkg"
    nothing = geopandas.GeoDataFrame({"parcel": []}, geometry=[], crs="EPSG:26911")
    pyogrio.write_dataframe(nothing, path, geometry_type="Polygon")
    return path


@pytest.fixture
def change_model(home):
    """A model for changes whose weights are random, and its folder."""
    card = ModelCard(
        id=CHANGE_MODEL,
        title="Random weights",
        task="change",
        network="a2net_l0",
        classes=(ModelClass("unchanged", "#000000"), ModelClass("changed", "#e31a1c")),
        tile_size=256,
        overlap=32,
        licence=Licence("CC0-1.0"),
    )
    torch.manual_seed(0)
    return save_model(card, build_network(card.network).state_dict(), home / "models" / card.id)


@pytest.fixture
def own_models(home, change_model):
    """A copy of each task's model as one of the user's own, by task: its id and the file of its weights."""
    copies = {}
    for name, task in TASKS.items():
        folder = home / "models" / f"own-{name}"
        shutil.copytree(change_model if name == "change" else ROOT / "resources" / "models" / task.model, folder)
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        (folder / "card.json").write_text(json.dumps({**card, "id": folder.name}), encoding="utf-8")
        copies[name] = folder.name, str(folder / "model.safetensors")
    return copies
