# SPDX-License-Identifier: GPL-2.0-or-later
"""Oriented boxes around the objects in a raster."""

from __future__ import annotations

from dataclasses import replace

from qgis.core import QgsProcessingParameterString

from ..lwganet_qgis.styles import ClassPolygons
from ..model_runner.contract.errors import InputError
from ..model_runner.contract.task_requests import DetectRequest
from .parameter_reader import NO_SOURCE
from .parameters import (
    FLOAT,
    explained,
    how_to_compute,
    how_to_tile,
    largest_overlap,
    model_choice,
    optional_number,
    polygon_output,
    raster_input,
    where_to_look,
    working_resolution,
)
from .runner_algorithm import RunnerAlgorithm


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
            working_resolution(),
            *how_to_tile("the largest object, which is otherwise cut at the edge of a tile"),
            *how_to_compute("tiles"),
            largest_overlap(),
            polygon_output(
                "OUTPUT",
                "Detected objects",
                "One polygon for each object with its class, score, direction, length, width and area.",
            ),
        ):
            self.addParameter(parameter)
        self.add_numbers(COUNT="Number of objects")
        self.add_numbers_by_class("count", "Number of objects")
        self.add_numbers(TILES="Number of tiles", TILES_SKIPPED="Number of tiles without data", SECONDS="Seconds")

    def prepare(self, values):
        self._card = values.card("MODEL", self.TASK)
        self._raster = values.raster("INPUT")
        values.check_raster(self._raster, self._card, values.bands())
        self._wanted = DetectRequest(
            source=NO_SOURCE,
            output="detections.gpkg",
            model=self._card.id,
            threshold=values.number("THRESHOLD"),
            classes=values.names("CLASSES"),
            nms_iou=values.number("NMS_IOU"),
            tiling=values.tiling(),
            compute=values.compute(),
        )
        refusal = self._card.refuse_classes(self._wanted.classes)
        if refusal:
            raise InputError(refusal)

    def request(self, values, results, folder, feedback):
        return replace(
            self._wanted,
            source=values.raster_source(self._raster, folder, feedback),
            output=str(folder / self._wanted.output),
        )

    def deliver(self, finished, results):
        found = tuple(each for each in self._card.classes if finished.numbers.get(f"count_{each.name}", 0))
        layer_id = results.deliver_features(
            finished,
            "detections",
            "OUTPUT",
            f"Objects in {self._raster.name}",
            ClassPolygons("detections.qml", found),
            has_crs=self._raster.crs.isValid(),
        )
        return {"OUTPUT": layer_id}
