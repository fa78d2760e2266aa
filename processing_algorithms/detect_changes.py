# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed between two rasters of one place."""

from __future__ import annotations

from dataclasses import replace

from ..lwganet_qgis.styles import Drawing
from ..model_runner.contract.errors import InputError
from ..model_runner.contract.task_requests import ChangeRequest
from .parameter_reader import NO_SOURCE
from .parameters import (
    FLOAT,
    bands_of,
    explained,
    how_to_compute,
    how_to_tile,
    match_colours,
    mirrored_views,
    model_choice,
    model_pixels,
    optional_number,
    outline_settings,
    polygon_output,
    raster_input,
    raster_output,
    where_to_look,
    working_resolution,
)
from .runner_algorithm import RunnerAlgorithm


class DetectChanges(RunnerAlgorithm):
    """``lwganet:detectchanges``."""

    NAME = "detectchanges"
    DISPLAY_NAME = "Detect changes (between two dates)"
    SUMMARY = "Finds what changed between two images of one place: a raster and, if wanted, polygons."
    TAGS = ("deep learning", "change detection", "two dates", "before", "after", "monitoring", "lwganet")
    GROUP = ("change", "Change detection")
    TASK = "change"

    def initAlgorithm(self, configuration=None):
        for parameter in (
            raster_input("BEFORE", "Earlier image"),
            raster_input("AFTER", "Later image"),
            model_choice("MODEL", self.TASK),
            explained(
                optional_number(
                    "THRESHOLD", "Smallest probability of a change, 0 to 1 (not set: the model's)", FLOAT, 0, 1
                ),
                "Pixels with a lower probability count as unchanged: higher means fewer and surer changes.",
            ),
            *where_to_look(
                "BEFORE", bands_of("AFTER", "AFTER_BANDS", "Bands of the later image (none: the same ones)")
            ),
            working_resolution(),
            *how_to_tile("twice the surroundings by which one tells a change; tiles are blended there"),
            *how_to_compute("tiles"),
            mirrored_views(),
            model_pixels("the earlier image"),
            match_colours(),
            *outline_settings(),
            raster_output("OUTPUT", "Changes", "A GeoTIFF: 0 unchanged, 1 changed."),
            raster_output(
                "PROBABILITY",
                "Probability of change",
                "A GeoTIFF of the probability, 0 to 1, that a pixel has changed.",
                optional=True,
            ),
            polygon_output(
                "POLYGONS",
                "Outlines of the changes",
                "One polygon for each connected area that changed, with its area and mean probability.",
                optional=True,
            ),
        ):
            self.addParameter(parameter)
        self.add_numbers(
            AREA_M2_CHANGED="Square metres that changed",
            PIXELS_CHANGED="Number of pixels that changed",
            SHARE_CHANGED="Share of the common area that changed, 0 to 1",
            COUNT="Number of outlines",
            TILES="Number of tiles",
            TILES_SKIPPED="Number of tiles without data",
            SECONDS="Seconds",
        )

    def prepare(self, values):
        card = values.card("MODEL", self.TASK)
        self._before, self._after = values.raster("BEFORE"), values.raster("AFTER")
        bands, after_bands = values.bands(), values.bands("AFTER_BANDS")
        values.check_raster(self._before, card, bands)
        values.check_raster(self._after, card, after_bands or bands)
        if self._before.is_same_as(self._after) and after_bands in ((), bands):
            raise InputError(
                f"Both images are '{self._before.name}', so that nothing can have changed; choose another later image."
            )
        self._wanted = ChangeRequest(
            before=NO_SOURCE,
            after="",
            output="change.tif",
            model=card.id,
            after_bands=after_bands,
            threshold=values.number("THRESHOLD"),
            outlines=values.outlines(),
            model_grid=values.flag("MODEL_GRID"),
            match_colours=values.flag("MATCH_COLOURS"),
            flips=values.flag("FLIPS"),
            tiling=values.tiling(),
            compute=values.compute(),
        )

    def request(self, values, results, folder, feedback):
        return replace(
            self._wanted,
            before=values.raster_source(self._before, folder, feedback),
            after=values.raster_file(self._after, folder, feedback),
            output=results.raster_file("OUTPUT"),
            probability=results.raster_file("PROBABILITY"),
            polygons=str(folder / "polygons.gpkg") if results.is_wanted("POLYGONS") else None,
        )

    def deliver(self, finished, results):
        dates = f"from {self._before.name} to {self._after.name}"
        delivered = {
            "OUTPUT": results.deliver_raster(finished, "changes", "OUTPUT", f"Changes {dates}", Drawing("change.qml"))
        }
        if "probability" in finished.outputs:
            delivered["PROBABILITY"] = results.deliver_raster(
                finished, "probability", "PROBABILITY", f"Probability of change {dates}", Drawing("probability.qml")
            )
        if "polygons" in finished.outputs:
            delivered["POLYGONS"] = results.deliver_features(
                finished,
                "polygons",
                "POLYGONS",
                f"Outlines of changes {dates}",
                Drawing("change_polygons.qml"),
                has_crs=self._before.crs.isValid(),
            )
        return delivered
