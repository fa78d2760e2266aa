# SPDX-License-Identifier: GPL-2.0-or-later
"""The parameters that several forms share."""

from __future__ import annotations

from typing import Any, Optional, Sequence

from qgis.core import (
    QgsProcessing,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..lwganet_qgis import settings
from ..model_runner.contract.model_card import DEFAULT_MODELS, TASKS, find_cards
from ..model_runner.contract.request_parts import DEVICES, PRECISIONS

FLOAT = QgsProcessingParameterNumber.Type.Double
INTEGER = QgsProcessingParameterNumber.Type.Integer
POLYGONS = [QgsProcessing.SourceType.TypeVectorPolygon]


def explained(parameter: QgsProcessingParameterDefinition, help_text: str) -> QgsProcessingParameterDefinition:
    """The parameter with its help."""
    parameter.setHelp(help_text)
    return parameter


def advanced(parameter: QgsProcessingParameterDefinition) -> QgsProcessingParameterDefinition:
    """The parameter, folded away among the advanced ones."""
    parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    return parameter


def text_with_choices(name: str, label: str, choices: Sequence[str], default: str) -> QgsProcessingParameterDefinition:
    """A text for which the form offers choices; scripts and models may hold others, a model installed later say.

    The default comes first: QGIS's form shows the first choice in place of a text that is not among them.
    """
    parameter = QgsProcessingParameterString(name, label, default)
    parameter.setMetadata({"widget_wrapper": {"value_hints": list(dict.fromkeys([default, *choices]))}})
    return parameter


def optional_number(name: str, label: str, kind: Any, smallest: float, largest: float) -> QgsProcessingParameterNumber:
    """A number that may stay empty."""
    return QgsProcessingParameterNumber(
        name, label, kind, defaultValue=None, optional=True, minValue=smallest, maxValue=largest
    )


def share(name: str, label: str, default: float, help_text: str) -> QgsProcessingParameterDefinition:
    """An advanced number from 0 to 1."""
    number = QgsProcessingParameterNumber(name, label, FLOAT, defaultValue=default, minValue=0, maxValue=1)
    return advanced(explained(number, help_text))


def raster_input(name: str, label: str) -> QgsProcessingParameterDefinition:
    """A raster to look at."""
    return explained(
        QgsProcessingParameterRasterLayer(name, label),
        "An aerial or satellite image: a raster file of any size, or a layer of a web map service, which also needs "
        "an extent and a resolution.",
    )


def model_choice(name: str, task: Optional[str] = None) -> QgsProcessingParameterDefinition:
    """Which model to use; the default one, to be installed if need be, and all installed ones (for the task)."""
    installed = [card.id for card in find_cards(task)]
    return explained(
        text_with_choices(name, "Model", installed, DEFAULT_MODELS[task or TASKS[0]]),
        "The id of an installed model; the help tells what each one finds. 'Manage models' brings others.",
    )


def bands_of(raster: str, name: str, label: str) -> QgsProcessingParameterDefinition:
    """Which bands of the raster of that name the model shall see."""
    return explained(
        QgsProcessingParameterBand(name, label, parentLayerParameterName=raster, optional=True, allowMultiple=True),
        "The bands that the model shall see, in its order; most models want red, green and blue. Drag the chosen ones "
        "into order in the list.",
    )


def bands_by_number(
    help_text: str, name: str = "BANDS", label: str = "Bands", default: str = "the first ones"
) -> QgsProcessingParameterDefinition:
    """An advanced text of numbers of bands, where no single layer tells which bands there are."""
    text = QgsProcessingParameterString(name, f"{label}, such as 4,3,2 (empty: {default})", optional=True)
    return advanced(explained(text, help_text))


def extent_choice(help_text: str) -> QgsProcessingParameterDefinition:
    """The part of a raster that is used."""
    return explained(QgsProcessingParameterExtent("EXTENT", "Only within this extent", optional=True), help_text)


def resolution_choice(label: str, help_text: str) -> QgsProcessingParameterDefinition:
    """A resolution on the ground, in metres per pixel, that may stay empty."""
    return explained(optional_number("RESOLUTION", label, FLOAT, 0.001, 1000), help_text)


def working_resolution() -> QgsProcessingParameterDefinition:
    """The resolution at which a raster is looked at."""
    return resolution_choice(
        "Resolution to work at, in metres per pixel (not set: automatic)",
        "The image is resampled to this resolution on the ground while it is read. Automatic: an image finer than "
        "the model knows is averaged to the model's best; any other is taken as it is.",
    )


def where_to_look(raster: str, *more_bands: QgsProcessingParameterDefinition) -> list[QgsProcessingParameterDefinition]:
    """Part and bands of the raster of that name, and the bands of others."""
    return [
        extent_choice("The part of the image to look at. Not set: all of it."),
        explained(
            QgsProcessingParameterFeatureSource("MASK", "Only within these polygons", POLYGONS, optional=True),
            "What lies outside of the polygons is not looked at. Empty: all of the image is.",
        ),
        bands_of(raster, "BANDS", "Bands for red, green, blue (none: the first ones)"),
        *more_bands,
    ]


def how_to_tile(largest: str) -> list[QgsProcessingParameterDefinition]:
    """The advanced settings of tiles; the overlap should be larger than ``largest``."""
    return [
        advanced(
            explained(
                optional_number("TILE_SIZE", "Size of a tile in pixels (not set: the model's)", INTEGER, 96, 16384),
                "The image is computed in square tiles of this side, a multiple of 32. Smaller tiles need less memory.",
            )
        ),
        advanced(
            explained(
                optional_number("OVERLAP", "Overlap of tiles in pixels (not set: the model's)", INTEGER, 0, 8192),
                f"Should be larger than {largest}.",
            )
        ),
    ]


def how_to_compute(things: str) -> list[QgsProcessingParameterDefinition]:
    """Device, and the advanced settings of batches, of ``things`` such as tiles, and of precision."""
    return [
        device_choice(),
        advanced(
            explained(
                optional_number(
                    "BATCH_SIZE", f"{things.capitalize()} computed at once (not set: automatic)", INTEGER, 1, 1024
                ),
                "More are faster on a GPU and need more memory. The number is lowered when memory runs out.",
            )
        ),
        precision_choice(),
    ]


def device_choice() -> QgsProcessingParameterDefinition:
    """On what the network is computed."""
    return explained(
        text_with_choices("DEVICE", "Compute on (auto: the GPU if there is one)", DEVICES, settings.default_device()),
        "cuda is an NVIDIA GPU, mps the GPU of a Mac. Scripts may name one of several GPUs: cuda:1.",
    )


def precision_choice() -> QgsProcessingParameterDefinition:
    """The advanced setting of numerical precision."""
    return advanced(
        explained(
            QgsProcessingParameterEnum(
                "PRECISION", "Numerical precision", list(PRECISIONS), defaultValue="auto", usesStaticStrings=True
            ),
            "auto computes with half precision (bf16 or fp16) where the GPU is made for it: faster, and the result "
            "is nearly the same.",
        )
    )


def mirrored_views(what: str = "tile") -> QgsProcessingParameterDefinition:
    """Whether the network looks at each tile, or whatever it looks at, four times."""
    return switch(
        "FLIPS",
        "Average over four mirrored views",
        f"Each {what} is also computed mirrored left to right, top to bottom and both: a little better, four times as "
        "slow.",
    )


def match_colours() -> QgsProcessingParameterDefinition:
    """Whether the later image's colours are brought to the earlier one's."""
    return switch(
        "MATCH_COLOURS",
        "Match the later image's colours",
        "Brings the brightness and contrast of the later image's bands to the earlier one's, for images that were "
        "taken in very different light or by different cameras.",
    )


def largest_overlap() -> QgsProcessingParameterDefinition:
    """From which overlap on two boxes are one object."""
    return advanced(
        explained(
            optional_number("NMS_IOU", "Largest overlap of two objects, 0 to 1 (not set: the model's)", FLOAT, 0, 1),
            "Of two boxes of a class that share more than this part of their common area (IoU), the one with the lower "
            "score is left out. Raise it where objects stand so close that some are missed.",
        )
    )


def model_pixels(image: str) -> QgsProcessingParameterDefinition:
    """Whether the result has the pixels that the network works on; else it has those of ``image``."""
    return switch(
        "MODEL_GRID",
        "Write the pixels that the model sees",
        f"The result then has the resolution at which the network worked. Otherwise it has the pixels of {image}.",
    )


def switch(name: str, label: str, help_text: str) -> QgsProcessingParameterDefinition:
    """An advanced yes or no, which is no unless chosen."""
    return advanced(explained(QgsProcessingParameterBoolean(name, label, defaultValue=False), help_text))


def outline_settings() -> list[QgsProcessingParameterDefinition]:
    """How regions of a raster become polygons."""
    return [
        length_or_area(
            "MINIMUM_AREA",
            "Smallest polygon in square metres",
            "Smaller ones are left out. In an image without reference system areas are counted in pixels.",
        ),
        length_or_area("FILL_HOLES", "Fill holes up to this many square metres", "0 keeps all holes in the polygons."),
        length_or_area(
            "SIMPLIFY",
            "Smooth outlines: cut off corners of up to this many metres",
            "Outlines follow the edges of pixels; with about the size of a pixel they become smooth. Corners whose "
            "triangle is smaller than a square of this side are cut off; so are spikes and ditches that are as narrow.",
        ),
    ]


def length_or_area(name: str, label: str, help_text: str) -> QgsProcessingParameterDefinition:
    """An advanced size on the ground, 0 unless chosen."""
    return advanced(explained(QgsProcessingParameterNumber(name, label, FLOAT, defaultValue=0, minValue=0), help_text))


def polygon_output(name: str, label: str, help_text: str, optional: bool = False) -> QgsProcessingParameterDefinition:
    """A layer of polygons; an optional one is not made unless chosen."""
    kind = QgsProcessing.SourceType.TypeVectorPolygon
    return explained(
        QgsProcessingParameterFeatureSink(name, label, kind, optional=optional, createByDefault=not optional), help_text
    )


def table_output(name: str, label: str, help_text: str) -> QgsProcessingParameterDefinition:
    """A table without geometry, which is not made unless chosen."""
    kind = QgsProcessing.SourceType.TypeVector
    return explained(
        QgsProcessingParameterFeatureSink(name, label, kind, optional=True, createByDefault=False), help_text
    )


def raster_output(name: str, label: str, help_text: str, optional: bool = False) -> QgsProcessingParameterDefinition:
    """A GeoTIFF; an optional one is not made unless chosen."""
    return explained(
        QgsProcessingParameterRasterDestination(name, label, optional=optional, createByDefault=not optional), help_text
    )
