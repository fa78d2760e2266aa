# SPDX-License-Identifier: GPL-2.0-or-later
"""The first minutes with the plugin: no environment, its set-up from the package index, and the first result."""

import pyogrio

from tests.end_to_end.conftest import start


def qgis_process(home, what, **parameters):
    """Run an algorithm with the environment that the plugin has made, if any."""
    values = [f"{name}={value}" for name, value in parameters.items()]
    return start("scripts/with_qgis.sh", "qgis_process", "run", what, "--", *values, home=home, runner=None)


def test_the_plugin_makes_its_environment_and_works_with_it(tmp_path, home, planes):
    found = tmp_path / "scenes.gpkg"
    request = {"INPUT": planes, "CELL_PIXELS": 128, "OUTPUT": found}
    too_early = qgis_process(home, "lwganet:classifyscenes", **request)
    assert too_early.returncode != 0
    assert "Run the algorithm 'Set up the environment'" in too_early.stderr
    made = qgis_process(home, "lwganet:setupenvironment", PYTORCH="cpu")
    assert made.returncode == 0, made.stderr
    for task in ("detect", "segment", "change", "classify"):
        assert any(line.startswith(f"{task} with ") and line.endswith(": works") for line in made.stdout.splitlines())
    assert f"RUNNER_PYTHON:\t{home / 'environment' / 'bin' / 'python'}" in made.stdout
    done = qgis_process(home, "lwganet:classifyscenes", **request)
    assert done.returncode == 0, done.stderr
    assert len(pyogrio.read_dataframe(found)) == 4
