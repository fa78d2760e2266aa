# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs as users start them, and small pieces of the demo's image."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "resources" / "demo" / "airfield.tif"
SIDE = 256  # of the squares that the demo's image is made of
SECONDS = 300


def start(*command, home):
    """Run a program to its end, with the models and the runner of these tests."""
    variables = {**os.environ, "LWGANET_RUNNER_PYTHON": sys.executable, "LWGANET_HOME": str(home)}
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=SECONDS
    )


@pytest.fixture
def home(tmp_path):
    """The folder for models of the user's own."""
    return tmp_path / "home"


@pytest.fixture
def qgis_process(home):
    """Run an algorithm or a model with ``qgis_process``."""

    def run(what, *options, **parameters):
        values = [f"{name}={value}" for name, value in parameters.items()]
        return start("scripts/with_qgis.sh", "qgis_process", "run", what, *options, "--", *values, home=home)

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
    """Write a square of the demo's image as an uncompressed GeoTIFF."""
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
def squares(tmp_path):
    """Three squares."""
    return [cut(tmp_path / f"square{number}.tif", number, 2) for number in range(3)]


@pytest.fixture
def copied_model(home):
    """The embedded model as a model of the user's own: its id and the file of its weights."""
    folder = home / "models" / "copied"
    shutil.copytree(ROOT / "resources" / "models" / "detect-ucm-l0", folder)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, "id": "copied"}), encoding="utf-8")
    return "copied", folder / "model.safetensors"
