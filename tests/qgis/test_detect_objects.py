# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

pytestmark = pytest.mark.usefixtures("qgis", "models")


def run(parameters, feedback=None):
    import processing

    return processing.run("lwganet:detectobjects", parameters, feedback=feedback)


def test_only_the_image_is_needed(raster, fake_runner):
    results = run({"INPUT": raster, "OUTPUT": "memory:"})
    layer = results["OUTPUT"]
    assert [feature["class_name"] for feature in layer.getFeatures()] == ["plane", "ship"]
    assert layer.crs().authid() == "EPSG:32633"
    assert results["COUNT"] == 2
    assert results["COUNT_PLANE"] == 1
    request = fake_runner.requests[0]
    assert request["source"]["path"] == raster
    assert request["model"] == "detect-demo-l0"
    assert request["threshold"] is None
