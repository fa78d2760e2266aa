# SPDX-License-Identifier: GPL-2.0-or-later
"""How well a model does on a labelled dataset, or on an image with a reference layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qgis.core import (
    QgsProcessingOutputFile,
    QgsProcessingOutputHtml,
    QgsProcessingOutputMapLayer,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..lwganet_qgis.layers import lies_on_the_map
from ..lwganet_qgis.styles import Drawing
from ..model_runner.contract.errors import InputError
from ..model_runner.contract.task_requests import EvaluateRequest
from .parameters import (
    FLOAT,
    POLYGONS,
    advanced,
    bands_by_number,
    explained,
    extent_choice,
    how_to_compute,
    how_to_tile,
    largest_overlap,
    match_colours,
    mirrored_views,
    model_choice,
    optional_number,
    resolution_choice,
    share,
)
from .runner_algorithm import RunnerAlgorithm

SPLITS = ("val", "test", "train")
UNTIL_THERE_ARE_FILES = "reference.gpkg"
STYLES = {".gpkg": "outcomes.qml", ".tif": "outcome_pixels.qml"}


class EvaluateModel(RunnerAlgorithm):
    """``lwganet:evaluatemodel``."""

    NAME = "evaluatemodel"
    DISPLAY_NAME = "Evaluate model (on labelled data)"
    SUMMARY = (
        "Measures a model on a dataset, or on an image with a reference layer: figures, a report and a map of errors."
    )
    TAGS = ("deep learning", "accuracy", "validation", "metrics", "mAP", "IoU", "F1", "confusion matrix", "lwganet")
    GROUP = ("training", "Training")
    TASK = "evaluate"

    def initAlgorithm(self, configuration=None):
        for parameter in (
            model_choice("MODEL"),
            explained(
                QgsProcessingParameterFile(
                    "DATA", "Dataset", QgsProcessingParameterFile.Behavior.Folder, optional=True
                ),
                "A folder with labelled images, such as 'Export training data' makes. Or leave it empty and choose an "
                "image and its reference below.",
            ),
            explained(
                QgsProcessingParameterEnum(
                    "SPLIT", "Part of the dataset", list(SPLITS), defaultValue=SPLITS[0], usesStaticStrings=True
                ),
                "By val a training is steered; test is what the model has never met. Datasets without parts are "
                "measured as a whole.",
            ),
            explained(
                QgsProcessingParameterRasterLayer("INPUT", "Image instead of a dataset", optional=True),
                "The image to measure on, which a reference labels; for change the earlier one.",
            ),
            explained(
                QgsProcessingParameterRasterLayer("AFTER", "Later image (change)", optional=True),
                "The image of the later date. It may have other pixels and another reference system.",
            ),
            explained(
                QgsProcessingParameterFeatureSource("REFERENCE", "Reference", POLYGONS, optional=True),
                "Polygons of what is truly there, in any reference system: objects, areas of classes, changes or "
                "scenes.",
            ),
            explained(
                QgsProcessingParameterField("CLASS_FIELD", "Field with the class", None, "REFERENCE", optional=True),
                "Its values are the names of the model's classes. Empty: class_name. Models of changes or of a single "
                "class need none.",
            ),
            explained(
                QgsProcessingParameterFeatureSource("AREA", "Area that is fully labelled", POLYGONS, optional=True),
                "Polygons outside of which nothing counts: what the model finds there is not false. Empty: the image "
                "is labelled everywhere.",
            ),
            extent_choice("The part of the image to measure on. Not set: all of it."),
            resolution_choice(
                "Resolution to work at, in metres per pixel (not set: automatic)",
                "As in the algorithm in which the model is used, which finds something else at another resolution.",
            ),
            explained(
                optional_number("THRESHOLD", "Threshold, 0 to 1 (not set: automatic)", FLOAT, 0, 1),
                "detect: the smallest score of a detection that counts; automatic: 0.05 for the figures and the "
                "model's for the map. change: the probability from which a pixel has changed; automatic: the model's.",
            ),
            explained(
                QgsProcessingParameterString("AGAINST", "Model to compare with", optional=True),
                "The id of another model, such as the one that training started from. It is measured on the same data, "
                "and the report has both side by side.",
            ),
            share(
                "IOU",
                "Overlap from which a detection is right, 0 to 1 (IoU)",
                0.5,
                "The area that a detection and a labelled object share, divided by the area that they cover.",
            ),
            advanced(
                explained(
                    QgsProcessingParameterString(
                        "REFERENCE_CLASS", "Class of all polygons, instead of a field", optional=True
                    ),
                    "For a reference that shows one of the model's classes only.",
                )
            ),
            advanced(
                explained(
                    QgsProcessingParameterRasterLayer(
                        "REFERENCE_RASTER", "Reference as a raster of class numbers", optional=True
                    ),
                    "Instead of polygons, for segment: the numbers of the model's classes from 0 on; for change: 0 "
                    "where nothing changed.",
                )
            ),
            advanced(
                explained(
                    QgsProcessingParameterString(
                        "BACKGROUND", "Class of what is nothing of interest (segment)", optional=True
                    ),
                    "Pixels of other classes are then right, false or missed, and no polygon need cover it. Empty: the "
                    "class called background, else the only one that no polygon has; if there are several, pixels in "
                    "no polygon do not count.",
                )
            ),
            bands_by_number(
                "The bands of the dataset's images, or of the image (for change of both), that the model shall see, in "
                "its order: those with which it was trained."
            ),
            bands_by_number(
                "The bands of the later image, where they are others (change).",
                "AFTER_BANDS",
                "Bands of the later image",
                "the same ones",
            ),
            match_colours(),
            mirrored_views(),
            *how_to_tile("what one needs to tell a thing by; tiles are blended or merged there"),
            *how_to_compute("tiles"),
            largest_overlap(),
            explained(
                QgsProcessingParameterFolderDestination("OUTPUT", "Evaluation"),
                "A folder that is new or empty. It gets the report, the figures and what is right and wrong where.",
            ),
        ):
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))
        self.addOutput(QgsProcessingOutputFile("METRICS", "All figures (JSON)"))
        self.addOutput(QgsProcessingOutputMapLayer("OUTCOMES", "What is right, false and missed"))
        self.add_numbers(
            MAP50="detect: mean average precision at an overlap of 0.5",
            MAP75="detect: mean average precision at an overlap of 0.75",
            BEST_THRESHOLD="detect: score from which detections have the highest F1",
            MIOU="segment: mean IoU of the classes",
            MF1="segment: mean F1 of the classes",
            ACCURACY="segment: share of the pixels that are right",
            F1="detect (at the best threshold) and change: F1",
            IOU="change: IoU of the changed pixels",
            TOP_1="classify: share of the scenes whose likeliest class is right",
            TOP_5="classify: share of the scenes whose class is among the five likeliest",
            KAPPA="segment, change and classify: kappa",
            SECONDS="Seconds",
        )

    def prepare(self, values):
        self._card = card = values.card("MODEL")
        self._raster, self._after, self._reference_raster = (
            values.raster(name) if values.is_given(name) else None for name in ("INPUT", "AFTER", "REFERENCE_RASTER")
        )
        has_polygons, on_dataset = values.is_given("REFERENCE"), values.is_given("DATA")
        if on_dataset == (self._raster is not None):
            raise InputError("Choose either a dataset, or an image and the reference that labels it.")
        if has_polygons and self._reference_raster is not None:
            raise InputError("Choose polygons or a raster as reference, not both.")
        has_reference = has_polygons or self._reference_raster is not None
        if has_reference == on_dataset:
            raise InputError(
                "A dataset has labels of its own; choose no reference."
                if on_dataset
                else f"Choose the reference that labels the image '{self._raster.name}'."
            )
        bands, after_bands = values.bands(), values.bands("AFTER_BANDS")
        refusal = card.refuse_bands(len(bands)) if bands else None
        if refusal:
            raise InputError(refusal)
        for raster, chosen in ((self._raster, bands), (self._after, after_bands or bands)):
            if raster is not None:
                values.check_raster(raster, card, chosen)
        self._wanted = EvaluateRequest(
            task=card.task,
            data=values.text("DATA"),
            output="evaluation",
            model=card.id,
            against=values.card("AGAINST", card.task).id if values.text("AGAINST") else None,
            split=values.choice("SPLIT"),
            iou=values.number_or_default("IOU"),
            threshold=values.number("THRESHOLD"),
            reference=UNTIL_THERE_ARE_FILES if has_reference else None,
            class_field=values.text("CLASS_FIELD") or EvaluateRequest.class_field,
            reference_class=values.text("REFERENCE_CLASS") or None,
            background=values.text("BACKGROUND") or None,
            after=UNTIL_THERE_ARE_FILES if self._after is not None else None,
            bands=bands,
            extent=values.extent_in(self._raster),
            area=UNTIL_THERE_ARE_FILES if values.is_given("AREA") else None,
            resolution=values.number("RESOLUTION"),
            after_bands=after_bands,
            match_colours=values.flag("MATCH_COLOURS"),
            flips=values.flag("FLIPS"),
            nms_iou=values.number("NMS_IOU"),
            tiling=values.tiling(),
            compute=values.compute(),
        )

    def request(self, values, results, folder, feedback):
        wanted = replace(self._wanted, output=results.folder("OUTPUT"))
        if self._raster is None:
            return wanted
        crs = self._raster.crs
        reference = self._reference_raster
        return replace(
            wanted,
            data=values.raster_file(self._raster, folder, feedback),
            after=None if self._after is None else values.raster_file(self._after, folder, feedback),
            reference=values.polygons_file("REFERENCE", "reference", crs, folder, feedback, [wanted.class_field])
            if reference is None
            else values.raster_file(reference, folder, feedback),
            area=values.polygons_file("AREA", "area", crs, folder, feedback, around=self._raster),
        )

    def deliver(self, finished, results):
        report, metrics = finished.outputs["report"], finished.outputs["metrics"]
        delivered = {"OUTPUT": str(Path(report).parent), "REPORT": report, "METRICS": metrics}
        outcomes = Path(finished.outputs.get("outcomes", ""))
        if outcomes.suffix in STYLES and (self._raster is not None or lies_on_the_map(str(outcomes))):
            where = Path(self._wanted.data).name if self._raster is None else self._raster.name
            look = Drawing(STYLES[outcomes.suffix])
            results.load_file(str(outcomes), "OUTCOMES", f"Right and wrong of {self._card.id} in {where}", look)
            delivered["OUTCOMES"] = str(outcomes)
        return delivered
