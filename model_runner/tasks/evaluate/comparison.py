# SPDX-License-Identifier: GPL-2.0-or-later
"""Two models on the same data, figure by figure."""

from collections.abc import Iterator, Mapping
from typing import Any

from model_runner.reports.page import section, table

SETTINGS = ("threshold", "iou")  # told among the figures


def comparison(first: str, second: str, figures: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    """The section of a report that sets the figures of two models side by side.

    Args:
        first: id of the model that the report is about.
        second: id of the other one.
        figures: of the first, as in ``Measured``.
        others: of the second.
    """
    beside = dict(_named_figures(others))
    rows = [
        (name, value, beside[name], f"{value - beside[name]:+.3f}")
        for name, value in _named_figures(figures)
        if name in beside
    ]
    columns = ("", first, second, "difference")
    return section(f"Beside {second}", table(columns, rows), note="Both measured on the same data.")


def _named_figures(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Figures of all, and those of the classes by such names as "IoU water"; counts are left out."""
    for name, value in figures.items():
        if isinstance(value, float) and name not in SETTINGS:
            yield name, value
    for class_name, values in figures.get("classes", {}).items():
        for name, value in values.items():
            if isinstance(value, float):
                yield f"{name} {class_name}", value
