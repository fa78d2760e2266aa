# SPDX-License-Identifier: GPL-2.0-or-later
"""The kind of scene in each cell or zone of a raster."""

from __future__ import annotations

from dataclasses import replace

from qgis.core import QgsProcessing, QgsProcessingParameterFeatureSource, QgsProcessingParameterNumber

from ..lwganet_qgis.styles import ClassPolygons
from ..model_runner.contract.task_requests import ClassifyRequest, RasterSource
from .parameters import (
    FLOAT,
    INTEGER,
    advanced,
    explained,
    how_to_compute,
    mirrored_views,
    model_choice,
    optional_number,
    polygon_output,
    raster_input,
    resolution_choice,
    where_to_look,
)
from .runner_algorithm import RunnerAlgorithm


class ClassifyScenes(RunnerAlgorithm):
    """``lwganet:classifyscenes``."""

    NAME = "classifyscenes"
    DISPLAY_NAME = "Classify scenes (a class for each cell or zone)"
    SUMMARY = "Names the kind of scene, such as harbour or forest, in each cell of a grid or in each of your polygons."
    TAGS = ("deep learning", "scene classification", "land use", "zones", "grid", "lwganet")
    GROUP = ("scenes", "Scene classification")
    TASK = "classify"

    def initAlgorithm(self, configuration=None):
        for parameter in (
            raster_input("INPUT", "Image"),
            model_choice("MODEL", self.TASK),
            explained(
                optional_number(
                    "CELL_SIZE",
                    "Size of a cell in metres (not set: as large as the scenes that the model knows)",
                    FLOAT,
                    0.001,
                    1_000_000,
                ),
                "The image is cut into square cells of this side, each of which is named as a whole.",
            ),
            explained(
                QgsProcessingParameterFeatureSource(
                    "ZONES",
                    "Zones instead of cells",
                    [QgsProcessing.SourceType.TypeVectorPolygon],
                    optional=True,
                ),
                "Each polygon is named by the square of the image around it. The result has these polygons with their "
                "fields.",
            ),
            *where_to_look("INPUT"),
            resolution_choice(
                "Resolution from which the size of cells follows, in metres per pixel (not set: the model's best)",
                "Cells become as large as what the model would see of the ground at this resolution. Leave it empty "
                "where you name the size of a cell or zones: these tell how large scenes are.",
            ),
            *how_to_compute("scenes"),
            mirrored_views("scene"),
            advanced(
                explained(
                    optional_number(
                        "CELL_PIXELS", "Size of a cell in pixels, instead of metres", INTEGER, 1, 1_000_000
                    ),
                    "For images without reference system.",
                )
            ),
            advanced(
                explained(
                    QgsProcessingParameterNumber(
                        "TOP", "How many of the likeliest classes to tell", INTEGER, defaultValue=3, minValue=1
                    ),
                    "The second likeliest class stands in the fields class_2 and probability_2, and so on.",
                )
            ),
            polygon_output(
                "OUTPUT", "Scenes", "One polygon for each cell or zone with its likeliest classes and probabilities."
            ),
        ):
            self.addParameter(parameter)
        self.add_numbers(COUNT="Number of scenes")
        self.add_numbers_by_class("count", "Number of scenes")
        self.add_numbers(LEFT_OUT="Number of cells or zones without data", SECONDS="Seconds")

    def prepare(self, values):
        self._card = values.card("MODEL", self.TASK)
        self._raster = values.raster("INPUT")
        values.check_raster(self._raster, self._card, values.bands())
        zones = values.polygons("ZONES")
        self._has_crs = self._raster.crs.isValid() or (zones is not None and zones.sourceCrs().isValid())
        self._wanted = ClassifyRequest(
            source=RasterSource("", resolution=self._resolution(values)),
            output="scenes.gpkg",
            model=self._card.id,
            zones=None if zones is None else "zones.gpkg",
            cell_size=values.number("CELL_SIZE"),
            cell_pixels=values.integer("CELL_PIXELS"),
            top=values.integer("TOP") or 3,
            flips=values.flag("FLIPS"),
            compute=values.compute(),
        )

    def _resolution(self, values):
        """The resolution from which the size of cells follows; where that is chosen, a layer is exported at it."""
        is_size_chosen = any(values.is_given(name) for name in ("ZONES", "CELL_SIZE", "CELL_PIXELS"))
        return None if is_size_chosen and self._raster.path is None else values.number("RESOLUTION")

    def request(self, values, results, folder, feedback):
        source = values.raster_source(self._raster, folder, feedback)
        return replace(
            self._wanted,
            source=replace(source, resolution=self._wanted.source.resolution),
            output=str(folder / self._wanted.output),
            zones=values.polygons_file("ZONES", "zones", self._raster.crs, folder, feedback, fields=None),
        )

    def deliver(self, finished, results):
        found = tuple(each for each in self._card.classes if finished.numbers.get(f"count_{each.name}", 0))
        layer_id = results.deliver_features(
            finished,
            "scenes",
            "OUTPUT",
            f"Scenes in {self._raster.name}",
            ClassPolygons("scenes.qml", found),
            has_crs=self._has_crs,
        )
        return {"OUTPUT": layer_id}
