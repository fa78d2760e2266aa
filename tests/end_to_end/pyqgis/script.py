# SPDX-License-Identifier: GPL-2.0-or-later
"""Run algorithms and load their results into the project, as the form and scripts do; tell how they look there."""

import json
import sys

from in_qgis import processing, tell
from qgis.core import QgsPalettedRasterRenderer, QgsProject, QgsRasterLayer


def legend(layer):
    """What the legend says, each entry with its colour; the opacity is told by the last two digits."""
    renderer = layer.renderer()
    if isinstance(renderer, QgsPalettedRasterRenderer):
        return [(each.label, each.color.name(each.color.HexArgb)) for each in renderer.classes()]
    if isinstance(layer, QgsRasterLayer):
        return [(text, colour.name(colour.HexArgb)) for text, colour in renderer.legendSymbologyItems()]
    return [(item.label(), item.symbol().color().name()) for item in renderer.legendSymbolItems()]


def describe(layer):
    """What a user sees of a layer."""
    facts = {"name": layer.name(), "valid": layer.isValid(), "crs": layer.crs().authid(), "legend": legend(layer)}
    if isinstance(layer, QgsRasterLayer):
        return facts
    faults = sum(not feature.geometry().isGeosValid() for feature in layer.getFeatures())
    fields = [field.name() for field in layer.fields()]
    return {**facts, "fields": fields, "features": layer.featureCount(), "invalid_geometries": faults}


told = {}
for task, (algorithm, parameters) in json.loads(sys.argv[1]).items():
    results = processing.runAndLoadResults(algorithm, parameters)
    layers = QgsProject.instance().mapLayers().values()
    loaded = {
        name: describe(layer)
        for name, value in results.items()
        for layer in layers
        if value in (layer.id(), layer.source())
    }
    told[task] = {"numbers": {name: value for name, value in results.items() if name not in loaded}, "layers": loaded}
tell(**told)
