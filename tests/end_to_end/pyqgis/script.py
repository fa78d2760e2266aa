# SPDX-License-Identifier: GPL-2.0-or-later
"""Detect objects in a raster and keep the layer in memory."""

import sys

from in_qgis import detect, tell

results = detect(INPUT=sys.argv[1], THRESHOLD=float(sys.argv[2]), OUTPUT="memory:")
layer = results["OUTPUT"]
tell(
    valid=layer.isValid(),
    crs=layer.crs().authid(),
    fields=[field.name() for field in layer.fields()],
    features=layer.featureCount(),
    count=results["COUNT"],
    invalid_geometries=sum(not feature.geometry().isGeosValid() for feature in layer.getFeatures()),
)
