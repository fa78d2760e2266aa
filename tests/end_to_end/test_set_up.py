# SPDX-License-Identifier: GPL-2.0-or-later
"""The first minutes with the plugin: no environment, its set-up from the package index, and the first result."""

from functools import partial

import pyogrio

from tests.end_to_end.four_tasks import TASKS

SECONDS_FOR_DOWNLOADS = 900


def test_the_plugin_makes_its_environment_and_works_with_it(tmp_path, home, planes, qgis_process):
    run = partial(qgis_process, runner="", seconds=SECONDS_FOR_DOWNLOADS)
    found = tmp_path / "scenes.gpkg"
    request = {"INPUT": planes, "CELL_PIXELS": 128, "OUTPUT": found}
    too_early = run("lwganet:classifyscenes", **request)
    assert too_early.returncode != 0
    assert "Run the algorithm 'Set up the environment'" in too_early.stderr
    made = run("lwganet:setupenvironment", PYTORCH="cpu")
    assert made.returncode == 0, made.stderr
    for task in TASKS:
        assert any(line.startswith(f"{task} with ") and line.endswith(": works") for line in made.stdout.splitlines())
    assert f"RUNNER_PYTHON:\t{home / 'environment' / 'bin' / 'python'}" in made.stdout
    done = run("lwganet:classifyscenes", **request)
    assert done.returncode == 0, done.stderr
    assert len(pyogrio.read_dataframe(found)) == 4
