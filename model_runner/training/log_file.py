# SPDX-License-Identifier: GPL-2.0-or-later
"""The table that a training writes: its losses, its learning rate and its figures by epoch."""

import csv
from math import isfinite
from pathlib import Path
from typing import NamedTuple

LOG_FOLDER, LOG_FILE = "log", "metrics.csv"
RATES = ("learning_rate", "lr")
UNTOLD = ("epoch", "step", "score")  # the score is the first figure once more


class Column(NamedTuple):
    """The epochs at which something was measured, and its values."""

    epochs: list[float]
    values: list[float]


class Course(NamedTuple):
    """How a training went: columns by name."""

    losses: dict[str, Column]
    rates: dict[str, Column]
    figures: dict[str, Column]

    @property
    def last_epoch(self) -> float | None:
        """The last epoch that was measured; None before the first."""
        return max((column.epochs[-1] for each in self for column in each.values()), default=None)


def read_course(output: Path) -> Course:
    """All tables in the log of an output folder, older ones first; of an epoch that was repeated the last row counts.

    What is no number, as the line that a full disk has cut off, is left out.
    """
    values: dict[str, dict[float, float]] = {}
    for path in sorted((output / LOG_FOLDER).rglob(LOG_FILE), key=lambda path: path.stat().st_mtime):
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                epoch = _number(row.get("epoch"))
                for name, text in row.items():
                    value = _number(text)
                    if epoch is not None and value is not None:
                        values.setdefault(name, {})[epoch] = value
    columns = {name: Column(sorted(each), [each[epoch] for epoch in sorted(each)]) for name, each in values.items()}
    losses = {name: each for name, each in columns.items() if name.startswith("loss")}
    rates = {name: each for name, each in columns.items() if name.startswith(RATES)}
    figures = {name: each for name, each in columns.items() if name not in (*losses, *rates, *UNTOLD)}
    return Course(losses, rates, figures)


def _number(text: object) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if isfinite(value) else None
