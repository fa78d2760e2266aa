# SPDX-License-Identifier: GPL-2.0-or-later
"""The labels of a dataset as layers, to look at them over the images."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingParameterFile
from qgis.PyQt.QtGui import QColor

from ..lwganet_qgis.styles import ClassPolygons, Drawing
from ..model_runner.contract.data_requests import LoadDataRequest
from ..model_runner.contract.model_card import ModelClass
from .parameters import explained, polygon_output
from .runner_algorithm import RunnerAlgorithm

COUNT = "count_"


class LoadTrainingData(RunnerAlgorithm):
    """``lwganet:loadtrainingdata``."""

    NAME = "loadtrainingdata"
    DISPLAY_NAME = "Load training data (labels as layers)"
    SUMMARY = "Shows the labels of a dataset and the outlines of its images on the map."
    TAGS = ("deep learning", "training", "labels", "chips", "dataset", "check", "lwganet")
    GROUP = ("training", "Training")
    TASK = "load-data"

    def initAlgorithm(self, configuration=None):
        for parameter in (
            explained(
                QgsProcessingParameterFile("DATA", "Dataset", QgsProcessingParameterFile.Behavior.Folder),
                "A folder with a dataset of any of the four tasks, whose images have a georeference.",
            ),
            polygon_output("OUTPUT", "Labels", "One polygon for each object, connected area of a class or scene."),
            polygon_output("CHIPS", "Outlines of the images", "One polygon for each image, with its split.", True),
        ):
            self.addParameter(parameter)
        self.add_numbers(
            IMAGES="Number of images",
            LABELS="Number of labels",
            WITHOUT_GEOREFERENCE="Number of images without georeference, which are left out",
        )

    def prepare(self, values):
        self._folder = values.text("DATA")

    def request(self, values, results, folder, feedback):
        chips = str(folder / "chips.gpkg") if results.is_wanted("CHIPS") else None
        return LoadDataRequest(self._folder, str(folder / "labels.gpkg"), chips)

    def deliver(self, finished, results):
        name = Path(self._folder).name
        classes = [key[len(COUNT) :] for key in finished.numbers if key.startswith(COUNT)]
        colours = [QColor.fromHsvF(number / len(classes), 0.85, 0.9).name() for number in range(len(classes))]
        look = ClassPolygons("class_polygons.qml", tuple(map(ModelClass, classes, colours)))
        delivered = {
            "OUTPUT": results.deliver_features(finished, "labels", "OUTPUT", f"Labels of {name}", look, has_crs=True)
        }
        if "chips" in finished.outputs:
            delivered["CHIPS"] = results.deliver_features(
                finished, "chips", "CHIPS", f"Images of {name}", Drawing("chips.qml"), has_crs=True
            )
        return delivered
