# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a model of the graphical modeler that detects objects and puts a buffer around them."""

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

DETECT = {"MODEL": "detect-ucm-l0", "THRESHOLD": 0.05, "DEVICE": "cpu", "PRECISION": "auto"}
BUFFER = {"DISTANCE": 5, "SEGMENTS": 5, "END_CAP_STYLE": 0, "JOIN_STYLE": 0, "MITER_LIMIT": 2, "DISSOLVE": False}


def child(name, algorithm, source, fixed):
    """A step of the model."""
    step = QgsProcessingModelChildAlgorithm(algorithm)
    step.setChildId(name)
    step.addParameterSources("INPUT", [source])
    for parameter, value in fixed.items():
        step.addParameterSources(parameter, [QgsProcessingModelChildParameterSource.fromStaticValue(value)])
    return step


path = sys.argv[1]
model = QgsProcessingModelAlgorithm("detect and buffer")
model.addModelParameter(QgsProcessingParameterRasterLayer("IMAGE", "Image"), QgsProcessingModelParameter("IMAGE"))
image = QgsProcessingModelChildParameterSource.fromModelParameter("IMAGE")
model.addChildAlgorithm(child("detect", "lwganet:detectobjects", image, DETECT))
objects = QgsProcessingModelChildParameterSource.fromChildOutput("detect", "OUTPUT")
buffer = child("buffer", "native:buffer", objects, BUFFER)
output = QgsProcessingModelOutput("buffered", "buffered")
output.setChildId("buffer")
output.setChildOutputName("OUTPUT")
buffer.setModelOutputs({"buffered": output})
model.addChildAlgorithm(buffer)
model.toFile(path)
saved = QgsProcessingModelAlgorithm()
saved.fromFile(path)
saved.initAlgorithm()
tell(destination=next(each.name() for each in saved.destinationParameterDefinitions()))
