# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a model of the graphical modeler that runs algorithms and puts a buffer around the polygons of each."""

import json
import sys

import in_qgis  # noqa: F401  starts QGIS
from in_qgis import tell
from qgis.core import (
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterRasterLayer,
)

BUFFER = {"DISTANCE": 5, "SEGMENTS": 5, "END_CAP_STYLE": 0, "JOIN_STYLE": 0, "MITER_LIMIT": 2, "DISSOLVE": False}


def child(name, algorithm, sources, fixed):
    """A step of the model."""
    step = QgsProcessingModelChildAlgorithm(algorithm)
    step.setChildId(name)
    values = {key: QgsProcessingModelChildParameterSource.fromStaticValue(value) for key, value in fixed.items()}
    for parameter, source in {**values, **sources}.items():
        step.addParameterSources(parameter, [source])
    return step


path, images, steps = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
model = QgsProcessingModelAlgorithm("look and buffer")
for image in images:
    model.addModelParameter(QgsProcessingParameterRasterLayer(image, image), QgsProcessingModelParameter(image))
for name, (algorithm, inputs, settings, polygons) in steps.items():
    sources = {key: QgsProcessingModelChildParameterSource.fromModelParameter(image) for key, image in inputs.items()}
    model.addChildAlgorithm(child(name, algorithm, sources, settings))
    found = QgsProcessingModelChildParameterSource.fromChildOutput(name, polygons)
    buffer = child(f"buffer_{name}", "native:buffer", {"INPUT": found}, BUFFER)
    output = QgsProcessingModelOutput(name, name)
    output.setChildId(f"buffer_{name}")
    output.setChildOutputName("OUTPUT")
    buffer.setModelOutputs({name: output})
    model.addChildAlgorithm(buffer)
model.toFile(path)
saved = QgsProcessingModelAlgorithm()
saved.fromFile(path)
saved.initAlgorithm()
names = [each.name() for each in saved.destinationParameterDefinitions()]
tell(**{task: next(name for name in names if name.lower().rpartition(":")[2] == task) for task in steps})
