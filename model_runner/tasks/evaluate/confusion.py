# SPDX-License-Identifier: GPL-2.0-or-later
"""What reports say of a confusion matrix."""

from typing import Any

from torch import Tensor

from model_runner.metrics.confusion import Agreement


def class_figures(names: tuple[str, ...], figures: Agreement, confusion: Tensor, counted: str) -> dict[str, Any]:
    """How well each class is found.

    Args:
        names: of the classes.
        figures: of all classes.
        confusion: (classes, classes), labelled ones in rows.
        counted: what the matrix counts, such as "pixels".
    """
    return {
        name: {
            "IoU": figures.iou[index],
            "F1": figures.f1[index],
            "precision": figures.precision[index],
            "recall": figures.recall[index],
            counted: int(confusion[index].sum()),
        }
        for index, name in enumerate(names)
    }


def confusion_table(names: tuple[str, ...], confusion: Tensor) -> dict[str, dict[str, int]]:
    """By labelled class, how often which class was found; zeros are left out."""
    return {
        labelled: {found: count for found, count in zip(names, row, strict=True) if count}
        for labelled, row in zip(names, confusion.tolist(), strict=True)
    }
