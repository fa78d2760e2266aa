# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the record of a run stands, which says how a result came to be."""

from __future__ import annotations

import json
from pathlib import Path


def record_beside(name: Path, output: str | None) -> Path:
    """``NAME.run.json``; where that is the record of a result of another kind, ``NAME.ENDING.run.json``.

    Args:
        name: path of the result without ending.
        output: what the request of the run called it, of which the ending counts; None if that is not known.
    """
    usual = name.with_name(f"{name.name}.run.json")
    other = output_in(usual)
    if output is None or other is None or Path(other).suffix == Path(output).suffix:
        return usual
    return name.with_name(f"{name.name}{Path(output).suffix}.run.json")


def output_in(record: Path) -> str | None:
    """The output that the request in a record names; None if there is no such record."""
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["request"]["output"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
