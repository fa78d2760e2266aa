# SPDX-License-Identifier: GPL-2.0-or-later
"""From rasters and polygons with a class to a dataset that a model can learn from."""

from __future__ import annotations

from dataclasses import replace

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputHtml,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from ..model_runner.contract.data_requests import SCENE_SOURCES, ExportDataRequest
from ..model_runner.contract.model_card import TASKS
from .parameters import (
    FLOAT,
    INTEGER,
    POLYGONS,
    advanced,
    bands_by_number,
    explained,
    extent_choice,
    optional_number,
    resolution_choice,
    share,
)
from .runner_algorithm import RunnerAlgorithm

RASTERS = QgsProcessing.SourceType.TypeRaster
UNTIL_THERE_ARE_FILES = "raster.tif"


class ExportTrainingData(RunnerAlgorithm):
    """``lwganet:exporttrainingdata``."""

    NAME = "exporttrainingdata"
    DISPLAY_NAME = "Export training data (labelled chips)"
    SUMMARY = "Cuts labelled chips out of images and a layer of polygons with classes, to train a model with."
    TAGS = ("deep learning", "training", "labels", "chips", "tiles", "dataset", "annotation", "masks", "lwganet")
    GROUP = ("training", "Training")
    TASK = "export-data"

    def initAlgorithm(self, configuration=None):
        for parameter in (
            explained(
                QgsProcessingParameterEnum("TASK", "Task", list(TASKS), defaultValue="detect", usesStaticStrings=True),
                "What a model shall learn: detect finds objects as oriented boxes, segment gives each pixel a class, "
                "change finds what differs between two dates, classify names whole scenes.",
            ),
            explained(
                QgsProcessingParameterMultipleLayers("INPUT", "Images", RASTERS),
                "One or several images; for change those of the earlier date.",
            ),
            explained(
                QgsProcessingParameterMultipleLayers("AFTER", "Later images (change)", RASTERS, optional=True),
                "One later image for each earlier one, in the same order. They may have other pixels and reference "
                "systems.",
            ),
            explained(
                QgsProcessingParameterFeatureSource("LABELS", "Labels", POLYGONS),
                "The polygons to learn from, in any reference system: objects, areas of classes, changes or scenes.",
            ),
            explained(
                QgsProcessingParameterField("CLASS_FIELD", "Field with the class", None, "LABELS", optional=True),
                "Empty: all polygons are of one class. For change the class does not matter; scenes need it.",
            ),
            explained(
                QgsProcessingParameterFeatureSource("AREA", "Area that is fully labelled", POLYGONS, optional=True),
                "Polygons outside of which nothing counts as background: objects that nobody has drawn there do no "
                "harm. Empty: the images are labelled everywhere.",
            ),
            explained(
                QgsProcessingParameterNumber(
                    "CHIP_SIZE", "Size of a chip in pixels", INTEGER, defaultValue=512, minValue=32, maxValue=8192
                ),
                "The side of the square images that are cut. For scenes of polygons: of the largest ones.",
            ),
            explained(
                optional_number(
                    "OVERLAP", "Overlap of chips in pixels (not set: an eighth of their size)", INTEGER, 0, 8191
                ),
                "Should be about as large as the objects, so that each is seen whole in one chip. Chips of different "
                "blocks do not overlap.",
            ),
            resolution_choice(
                "Resolution in metres per pixel (not set: the image's)",
                "The images are resampled to this resolution on the ground. The model will work at it.",
            ),
            extent_choice("The part of the images to use. Not set: all of them."),
            bands_by_number("The bands that the model shall see, in its order.", default="the first three"),
            share(
                "VISIBLE",
                "Smallest visible share of an object, 0 to 1",
                0.5,
                "Objects that the edge of a chip cuts are kept if the chip shows this share of them. For scenes of a "
                "grid: the share of a cell that its class must cover.",
            ),
            advanced(
                explained(
                    QgsProcessingParameterNumber(
                        "EMPTY", "Chips without labels, for each one with labels", FLOAT, defaultValue=1.0, minValue=0
                    ),
                    "Chips that show background alone teach a model what to leave alone.",
                )
            ),
            advanced(
                explained(
                    QgsProcessingParameterString("BACKGROUND", "Class of the background (segment)", "background"),
                    "The class of pixels that lie in no polygon; none has them ignored, for layers that do not cover "
                    "everything.",
                )
            ),
            advanced(
                explained(
                    QgsProcessingParameterEnum(
                        "SCENES",
                        "Scenes from (classify)",
                        list(SCENE_SOURCES),
                        defaultValue=SCENE_SOURCES[0],
                        usesStaticStrings=True,
                    ),
                    "polygons: each polygon with its surroundings is a scene; grid: the image is cut into chips, each "
                    "of the class that covers it.",
                )
            ),
            advanced(
                explained(
                    optional_number("BLOCK", "Side of a block in chips (not set: by the labels)", INTEGER, 1, 1000),
                    "Square blocks of chips go to train, val or test as a whole, so that no pixel is in two of them.",
                )
            ),
            share("VAL", "Share for validation, 0 to 1", 0.15, "By this part the training is steered."),
            share("TEST", "Share for the test, 0 to 1", 0.15, "By this part the finished model is measured."),
            advanced(
                explained(
                    QgsProcessingParameterNumber("SEED", "Seed", INTEGER, defaultValue=0, minValue=0),
                    "Another number gives another split.",
                )
            ),
            explained(
                QgsProcessingParameterFolderDestination("OUTPUT", "Dataset"),
                "A folder that is new or empty. It gets the chips, their labels and a report.",
            ),
        ):
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))
        self.add_numbers(
            CHIPS="Number of chips",
            CHIPS_TRAIN="Number of chips for training",
            CHIPS_VAL="Number of chips for validation",
            CHIPS_TEST="Number of chips for the test",
            CHIPS_EMPTY="Number of chips without labels",
            CLASSES="Number of classes",
            SECONDS="Seconds",
        )

    def prepare(self, values):
        self._rasters, self._after = values.rasters("INPUT"), values.rasters("AFTER")
        for raster in (*self._rasters, *self._after):
            values.check_part(raster)
        self._wanted = ExportDataRequest(
            rasters=(UNTIL_THERE_ARE_FILES,) * len(self._rasters),
            task=values.choice("TASK"),
            labels="labels.gpkg",
            output="dataset",
            after=(UNTIL_THERE_ARE_FILES,) * len(self._after),
            class_field=values.text("CLASS_FIELD"),
            bands=values.bands(),
            resolution=values.number("RESOLUTION"),
            chip_size=round(values.number_or_default("CHIP_SIZE")),
            overlap=values.integer("OVERLAP"),
            visible=values.number_or_default("VISIBLE"),
            empty=values.number_or_default("EMPTY"),
            background=values.text("BACKGROUND"),
            scenes=values.choice("SCENES"),
            block=values.integer("BLOCK"),
            val=values.number_or_default("VAL"),
            test=values.number_or_default("TEST"),
            seed=round(values.number_or_default("SEED")),
        )

    def request(self, values, results, folder, feedback):
        sources = [values.raster_source(raster, folder, feedback) for raster in self._rasters]
        extents = [each.extent for each in sources if each.extent is not None]
        crs = self._rasters[0].crs
        class_fields = [self._wanted.class_field] if self._wanted.class_field else ()
        only_raster = self._rasters[0] if len(self._rasters) == 1 else None
        return replace(
            self._wanted,
            rasters=tuple(each.path for each in sources),
            after=tuple(values.raster_file(raster, folder, feedback) for raster in self._after),
            labels=values.polygons_file("LABELS", "labels", crs, folder, feedback, class_fields),
            area=values.polygons_file("AREA", "area", crs, folder, feedback, around=only_raster),
            extent=extents[0] if extents else None,
            extent_crs=sources[0].extent_crs,
            output=results.folder("OUTPUT"),
        )

    def deliver(self, finished, results):
        return {"OUTPUT": finished.outputs["dataset"], "REPORT": finished.outputs["report"]}
