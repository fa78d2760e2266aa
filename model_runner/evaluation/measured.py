# SPDX-License-Identifier: GPL-2.0-or-later
"""What an evaluation found out, whatever the task."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measured:
    """Figures, and what a report and a map show of them.

    Attributes:
        figures: for ``metrics.json``, nested; NaN where there was nothing to measure.
        main: names of the figures that tell most, those in one line.
        sections: HTML of the report.
        files: what was written, by kind.
    """

    figures: dict[str, Any]
    main: tuple[str, ...]
    sections: tuple[str, ...]
    files: dict[str, str]
