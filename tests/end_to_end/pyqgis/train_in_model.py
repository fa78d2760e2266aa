# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a model of the graphical modeler that cuts out a dataset, trains on it and measures what was learnt."""

import json
import sys

from in_qgis import processing, tell
from qgis.core import (
    QgsApplication,
    QgsProcessing,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterRasterLayer,
)

Source = QgsProcessingModelChildParameterSource


def child(name, algorithm, sources, settings):
    """A step of the model; what is not given has its default, as in the modeler's form."""
    definitions = QgsApplication.processingRegistry().algorithmById(algorithm).parameterDefinitions()
    defaults = {each.name(): each.defaultValue() for each in definitions if each.defaultValue() is not None}
    values = {key: Source.fromStaticValue(value) for key, value in {**defaults, **settings}.items()}
    step = QgsProcessingModelChildAlgorithm(algorithm)
    step.setChildId(name)
    for parameter, source in {**values, **sources}.items():
        step.addParameterSources(parameter, [source])
    return step


image, labels, folder, settings = (json.loads(argument) for argument in sys.argv[1:])
model = QgsProcessingModelAlgorithm("label, train and measure")
for parameter in (
    QgsProcessingParameterRasterLayer("IMAGE", "Image"),
    QgsProcessingParameterFeatureSource("LABELS", "Labels", [QgsProcessing.SourceType.TypeVectorPolygon]),
):
    model.addModelParameter(parameter, QgsProcessingModelParameter(parameter.name()))
image_and_labels = {"INPUT": Source.fromModelParameter("IMAGE"), "LABELS": Source.fromModelParameter("LABELS")}
dataset = {"DATA": Source.fromChildOutput("export", "OUTPUT")}
trained = {**dataset, "MODEL": Source.fromChildOutput("train", "MODEL")}
model.addChildAlgorithm(child("export", "lwganet:exporttrainingdata", image_and_labels, settings["export"]))
model.addChildAlgorithm(child("train", "lwganet:finetunemodel", dataset, settings["train"]))
measure = child("measure", "lwganet:evaluatemodel", trained, settings["measure"])
output = QgsProcessingModelOutput("Evaluation", "Evaluation")
output.setChildId("measure")
output.setChildOutputName("OUTPUT")
measure.setModelOutputs({"Evaluation": output})
model.addChildAlgorithm(measure)
model.initAlgorithm()
destination = model.destinationParameterDefinitions()[0].name()
results = processing.run(model, {"IMAGE": image, "LABELS": labels, destination: folder})
tell(steps=results["CHILD_RESULTS"], evaluation=results[destination])
