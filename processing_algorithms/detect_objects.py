# SPDX-License-Identifier: GPL-2.0-or-later
"""Oriented boxes around the objects in a raster."""

from __future__ import annotations

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterString,
)

from ..lwganet_qgis.layers import copy_record_beside
from ..lwganet_qgis.styles import DetectionStyler, keep_style
from ..model_runner.contract.errors import InputError
from ..model_runner.contract.model_card import find_cards
from ..model_runner.contract.task_requests import DetectRequest
from .parameters import (
    FLOAT,
    advanced,
    explained,
    how_to_compute,
    model_choice,
    optional_number,
    raster_input,
    where_to_look,
)
from .runner_algorithm import RunnerAlgorithm, output_name


class DetectObjects(RunnerAlgorithm):
    """``lwganet:detectobjects``."""

    NAME = "detectobjects"
    DISPLAY_NAME = "Detect objects (oriented boxes)"
    SUMMARY = "Finds objects in an aerial or satellite image and returns oriented boxes with class, score and size."
    TAGS = ("deep learning", "object detection", "oriented", "rotated", "ship", "plane", "vehicle", "lwganet")
    GROUP = ("detection", "Detection")
    TASK = "detect"

    def initAlgorithm(self, configuration=None):
        for parameter in (
            raster_input("INPUT", "Image"),
            model_choice("MODEL", self.TASK),
            explained(
                QgsProcessingParameterString("CLASSES", "Only these classes (empty: all)", optional=True),
                "Names of classes with commas between them, for example: plane, ship. The help lists those that each "
                "model knows.",
            ),
            explained(
                optional_number("THRESHOLD", "Smallest score, 0 to 1 (not set: the model's)", FLOAT, 0, 1),
                "Objects with a lower score are left out: higher means fewer and surer ones.",
            ),
            *where_to_look("INPUT"),
            *how_to_compute(),
            advanced(
                explained(
                    optional_number(
                        "NMS_IOU", "Largest overlap of two objects, 0 to 1 (not set: the model's)", FLOAT, 0, 1
                    ),
                    "Of two boxes of a class that share more than this part of their common area (IoU), the one with "
                    "the lower score is left out. Raise it where objects stand so close that some are missed.",
                )
            ),
            explained(
                QgsProcessingParameterFeatureSink(
                    "OUTPUT", "Detected objects", QgsProcessing.SourceType.TypeVectorPolygon
                ),
                "One polygon for each object with its class, score, direction, length, width and area.",
            ),
        ):
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputNumber("COUNT", "Number of objects"))
        names = dict.fromkeys(name for card in find_cards(self.TASK) for name in card.class_names)
        for name in names:
            self.addOutput(QgsProcessingOutputNumber(output_name(f"count_{name}"), f"Number of objects: {name}"))
        self.addOutput(QgsProcessingOutputNumber("TILES", "Number of tiles"))
        self.addOutput(QgsProcessingOutputNumber("TILES_SKIPPED", "Number of tiles without data"))
        self.addOutput(QgsProcessingOutputNumber("SECONDS", "Seconds"))

    def prepare(self, values):
        values.refuse_bad_destination("OUTPUT")
        self._card = values.card("MODEL", self.TASK)
        self._raster = values.raster("INPUT")
        values.check_raster(self._raster, self._card)
        refusal = self._card.refuse_classes(values.names("CLASSES"))
        if refusal:
            raise InputError(refusal)
        values.tiling()
        values.compute()

    def request(self, values, folder, feedback):
        return DetectRequest(
            source=values.raster_source(self._raster, folder, feedback),
            output=str(folder / "detections.gpkg"),
            model=self._card.id,
            threshold=values.number("THRESHOLD"),
            classes=values.names("CLASSES"),
            nms_iou=values.number("NMS_IOU"),
            tiling=values.tiling(),
            compute=values.compute(),
        )

    def deliver(self, finished, values):
        layer_id = values.copy_features(finished.outputs["detections"], "OUTPUT", self._raster)
        found = [each for each in self._card.classes if finished.numbers.get(f"count_{each.name}", 0)]
        values.name_on_load(layer_id, "OUTPUT", f"Objects in {self._raster.name}", DetectionStyler(found))
        keep_style(layer_id, found)
        copy_record_beside(layer_id, finished.outputs["record"])
        return {"OUTPUT": layer_id}
