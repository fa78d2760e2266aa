# SPDX-License-Identifier: GPL-2.0-or-later
"""A class for every pixel of a raster."""

from __future__ import annotations

from dataclasses import replace

from ..lwganet_qgis.styles import ClassNumbers, ClassPolygons, Drawing
from ..model_runner.contract.task_requests import SegmentRequest
from .parameter_reader import NO_SOURCE
from .parameters import (
    how_to_compute,
    how_to_tile,
    mirrored_views,
    model_choice,
    model_pixels,
    outline_settings,
    polygon_output,
    raster_input,
    raster_output,
    table_output,
    where_to_look,
    working_resolution,
)
from .runner_algorithm import RunnerAlgorithm


class SegmentImage(RunnerAlgorithm):
    """``lwganet:segmentimage``."""

    NAME = "segmentimage"
    DISPLAY_NAME = "Segment image (a class for every pixel)"
    SUMMARY = "Gives every pixel of an aerial or satellite image a class: a raster, areas and, if wanted, polygons."
    TAGS = ("deep learning", "semantic segmentation", "land cover", "land use", "classification", "water", "lwganet")
    GROUP = ("segmentation", "Segmentation")
    TASK = "segment"

    def initAlgorithm(self, configuration=None):
        for parameter in (
            raster_input("INPUT", "Image"),
            model_choice("MODEL", self.TASK),
            *where_to_look("INPUT"),
            working_resolution(),
            *how_to_tile("twice the surroundings by which one tells what a pixel shows; tiles are blended there"),
            *how_to_compute("tiles"),
            mirrored_views(),
            model_pixels("the image"),
            *outline_settings(),
            raster_output("OUTPUT", "Classes", "A GeoTIFF of class numbers with the classes' names and colours."),
            raster_output(
                "CONFIDENCE",
                "Confidence",
                "A GeoTIFF of the probability, 0 to 1, of the class that each pixel was given.",
                optional=True,
            ),
            polygon_output(
                "POLYGONS", "Outlines of the classes", "One polygon for each connected area of a class.", optional=True
            ),
            table_output("AREAS", "Areas of the classes", "A table with a row for each class."),
        ):
            self.addParameter(parameter)
        self.add_numbers_by_class("area_m2", "Square metres")
        self.add_numbers_by_class("pixels", "Number of pixels")
        self.add_numbers(
            COUNT="Number of outlines",
            TILES="Number of tiles",
            TILES_SKIPPED="Number of tiles without data",
            SECONDS="Seconds",
        )

    def prepare(self, values):
        self._card = values.card("MODEL", self.TASK)
        self._raster = values.raster("INPUT")
        values.check_raster(self._raster, self._card, values.bands())
        self._wanted = SegmentRequest(
            source=NO_SOURCE,
            output="classes.tif",
            model=self._card.id,
            outlines=values.outlines(),
            model_grid=values.flag("MODEL_GRID"),
            flips=values.flag("FLIPS"),
            tiling=values.tiling(),
            compute=values.compute(),
        )

    def request(self, values, results, folder, feedback):
        return replace(
            self._wanted,
            source=values.raster_source(self._raster, folder, feedback),
            output=results.raster_file("OUTPUT"),
            confidence=results.raster_file("CONFIDENCE"),
            polygons=str(folder / "polygons.gpkg") if results.is_wanted("POLYGONS") else None,
            areas=str(folder / "areas.gpkg") if results.is_wanted("AREAS") else None,
        )

    def deliver(self, finished, results):
        name, classes = self._raster.name, self._card.classes
        delivered = {
            "OUTPUT": results.deliver_raster(finished, "classes", "OUTPUT", f"Classes in {name}", ClassNumbers(classes))
        }
        if "confidence" in finished.outputs:
            delivered["CONFIDENCE"] = results.deliver_raster(
                finished, "confidence", "CONFIDENCE", f"Confidence of classes in {name}", Drawing("confidence.qml")
            )
        if "polygons" in finished.outputs:
            delivered["POLYGONS"] = results.deliver_features(
                finished,
                "polygons",
                "POLYGONS",
                f"Outlines of classes in {name}",
                ClassPolygons("class_polygons.qml", classes),
                has_crs=self._raster.crs.isValid(),
            )
        if "areas" in finished.outputs:
            delivered["AREAS"] = results.deliver_table(finished, "areas", "AREAS", f"Areas of classes in {name}")
        return delivered
