# SPDX-License-Identifier: GPL-2.0-or-later
"""Cancel a training after its first epoch, go on with it, and tell what is said and how the model was offered."""

import json
import sys

from in_qgis import processing, tell
from qgis.core import QgsApplication, QgsProcessingException, QgsProcessingFeedback


class AfterAnEpoch(QgsProcessingFeedback):
    """Cancels when the figures of an epoch are told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def setProgressText(self, text):
        self.told.append(text)

    def pushInfo(self, text):
        if text.startswith("Epoch 1 "):
            self.cancel()


def offered():
    """The models that the form for scenes offers."""
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("lwganet:classifyscenes")
    return algorithm.parameterDefinition("MODEL").metadata()["widget_wrapper"]["value_hints"]


parameters = json.loads(sys.argv[1])
feedback, error = AfterAnEpoch(), None
try:
    processing.run("lwganet:finetunemodel", parameters, feedback=feedback)
except QgsProcessingException as exception:
    error = str(exception)
models = offered()
results = processing.run("lwganet:finetunemodel", {**parameters, "RESUME": True})
tell(error=error, told=feedback.told, offered=models, results=results)
