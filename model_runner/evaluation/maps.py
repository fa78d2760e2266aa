# SPDX-License-Identifier: GPL-2.0-or-later
"""Found classes of pixels beside labelled ones: figures, pictures and what is right, false and missed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model_runner.contract.model_card import ModelCard
from model_runner.metrics.confusion import Agreement, agreement, confusion_matrix
from model_runner.raster.geotiff import class_numbers, writing_one_geotiff
from model_runner.raster.working_grid import WorkingGrid
from model_runner.report import Report
from model_runner.reports.charts import bar_chart, legend
from model_runner.reports.confusion import confusion_matrix_table
from model_runner.reports.examples import Example, Gallery, example_sections
from model_runner.reports.page import section, table
from model_runner.reports.pictures import FALSE, IGNORED, MISSED, OTHER, RIGHT, paint_numbers, scaled

# what a raster of outcomes holds, in the order of its numbers, with the colours in which it is shown
OUTCOMES = {
    "nothing, rightly": "#e6e6e6",
    "right": RIGHT,
    "false": FALSE,
    "missed": MISSED,
    "of another class": OTHER,
}
OUTCOME_NUMBERS = class_numbers("outcome", list(OUTCOMES.items()))
NOTHING, TRUE, FALSELY, MISSING, CONFUSED = range(len(OUTCOMES))


class MapTally:
    """Takes image after image and tells how well the classes of their pixels were found.

    Args:
        card: of the model.
        background: number of the class that stands for nothing of interest; None if every class is of interest.
        gallery: takes the examples.

    Attributes:
        confusion: int64 (classes, classes), labelled ones in rows.
    """

    def __init__(self, card: ModelCard, background: int | None, gallery: Gallery) -> None:
        count = len(card.classes)
        self.confusion = torch.zeros(count, count, dtype=torch.int64)
        self._card = card
        self._background = background
        self._gallery = gallery

    def add(self, name: str, found: Tensor, labels: Tensor, read: Callable[[], list[np.ndarray]]) -> np.ndarray:
        """Take class numbers (h, w), ``IGNORED`` labels among them, and return the outcomes (h, w).

        Args:
            name: of the image.
            found: class numbers.
            labels: class numbers.
            read: gives the image, or those of both dates, uint8 (h, w, 3).
        """
        confusion = confusion_matrix(found, labels, len(self._card.classes), IGNORED)
        self.confusion += confusion
        found_numbers, label_numbers = (each.numpy().astype(np.uint8) for each in (found, labels))
        outcomes = outcome_numbers(found_numbers, label_numbers, self._background)
        counted = int(confusion.sum())
        if counted:
            wrong = 1 - int(confusion.diag().sum()) / counted
            self._gallery.offer(
                wrong,
                lambda: map_example(
                    name, read(), found_numbers, label_numbers, outcomes, wrong, self._card, self._background
                ),
            )
        return outcomes

    def sections(self) -> tuple[str, ...]:
        """What the report shows."""
        names, figures = self._card.class_names, agreement(self.confusion)
        return (
            section(
                "By class",
                table(
                    ("class", "labelled pixels", "IoU", "F1", "precision", "recall"),
                    zip(
                        names,
                        self.confusion.sum(1).tolist(),
                        figures.iou,
                        figures.f1,
                        figures.precision,
                        figures.recall,
                        strict=True,
                    ),
                ),
                bar_chart("IoU by class", dict(zip(names, figures.iou, strict=True))),
                note="IoU: pixels that are both labelled and found, as a share of those that are either.",
            ),
            section("What is taken for what", confusion_matrix_table(names, self.confusion.tolist(), "pixels")),
            *example_sections(
                self._gallery,
                *map_legends(self._card, self._background),
            ),
        )


def segmentation_totals(figures: Agreement) -> dict[str, Any]:
    """The main figures of a segmentation."""
    return {
        "mIoU": figures.mean_iou,
        "mF1": figures.mean_f1,
        "accuracy": figures.overall_accuracy,
        "kappa": figures.kappa,
    }


def outcome_numbers(found: np.ndarray, labels: np.ndarray, background: int | None) -> np.ndarray:
    """What became of each pixel, uint8 (h, w): a place in ``OUTCOMES``, ``IGNORED`` where nothing is labelled.

    Args:
        found: class numbers (h, w).
        labels: class numbers (h, w).
        background: the class that stands for nothing; None if every class is of interest: then a pixel is right, or
            of another class.
    """
    outcomes = np.where(found == labels, TRUE, CONFUSED).astype(np.uint8)
    if background is not None:
        outcomes[(found == background) & (labels == background)] = NOTHING
        outcomes[(found != background) & (labels == background)] = FALSELY
        outcomes[(found == background) & (labels != background)] = MISSING
    outcomes[labels == IGNORED] = IGNORED
    return outcomes


def write_outcomes(path: Path, grid: WorkingGrid, outcomes: np.ndarray, report: Report) -> None:
    """Write the outcomes (h, w) of a whole image as a GeoTIFF.

    Raises:
        Cancelled: the user asked to stop.
        InputError: the file cannot be written.
    """
    with writing_one_geotiff(path, grid, OUTCOME_NUMBERS, report.check_cancelled) as raster:
        raster.write(0, 0, outcomes)


def map_example(
    name: str,
    images: list[np.ndarray],
    found: np.ndarray,
    labels: np.ndarray,
    outcomes: np.ndarray,
    wrong: float,
    card: ModelCard,
    background: int | None,
) -> Example:
    """The image, or both dates, the labels, what was found, and where it errs; ``map_legends`` explains the colours."""
    colours = [each.colour for each in card.classes]
    headings = ("image",) if len(images) == 1 else ("before", "after")
    last = images[-1]
    tints = [None if name not in _drawn_outcomes(card, background) else tint for name, tint in OUTCOMES.items()]
    return Example(
        name,
        f"{wrong:.1%} of the labelled pixels are wrong",
        (
            *((heading, scaled(image)) for heading, image in zip(headings, images, strict=True)),
            ("labelled", paint_numbers(last, labels, colours)),
            ("found", paint_numbers(last, found, colours)),
            ("errors" if background is None else "right, false, missed", paint_numbers(last, outcomes, tints)),
        ),
    )


def map_legends(card: ModelCard, background: int | None) -> tuple[str, str]:
    """What the colours of ``map_example`` mean: those of the classes, and those of the last picture."""
    drawn = {name: OUTCOMES[name] for name in _drawn_outcomes(card, background)}
    return legend({each.name: each.colour for each in card.classes}), legend(drawn, "In the last picture:")


def _drawn_outcomes(card: ModelCard, background: int | None) -> tuple[str, ...]:
    """The outcomes that pictures show; where every class is of interest, only errors."""
    if background is None:
        return ("of another class",)
    return ("right", "false", "missed") + (("of another class",) if len(card.classes) > 2 else ())
