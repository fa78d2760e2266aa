# SPDX-License-Identifier: GPL-2.0-or-later
"""Training and measuring in QGIS with the real runner, on datasets so small that a CPU does it in seconds."""

import json
from pathlib import Path

import pyogrio


def results_of(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["results"]


def test_what_a_model_finds_is_its_perfect_reference(qgis_process, planes, tmp_path):
    found, folder = tmp_path / "found.gpkg", tmp_path / "evaluation"
    detected = results_of(qgis_process("lwganet:detectobjects", "--json", INPUT=planes, OUTPUT=found))
    results = results_of(
        qgis_process("lwganet:evaluatemodel", "--json", INPUT=planes, REFERENCE=found, CLASS_FIELD="class_name",
                     OUTPUT=folder)
    )  # fmt: skip
    assert detected["COUNT"] > 0
    assert (results["MAP50"], results["MAP75"], results["F1"]) == (1, 1, 1)
    assert results["OBJECTS"] == detected["COUNT"]
    assert results["OUTPUT"] == str(folder)
    assert results["REPORT"] == str(folder / "report.html")
    assert "detect-ucm-l0" in Path(results["REPORT"]).read_text(encoding="utf-8")
    outcomes = pyogrio.read_dataframe(results["OUTCOMES"])
    assert (outcomes["outcome"] == "true").sum() == detected["COUNT"]
    assert outcomes.crs.to_epsg() == 26911
    assert (folder / "outcomes.qml").is_file()
