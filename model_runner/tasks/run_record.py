# SPDX-License-Identifier: GPL-2.0-or-later
"""The run record: a JSON file beside a result that says how it came to be."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model_runner.contract.folders import plugin_version
from model_runner.contract.model_card import ModelCard
from model_runner.raster.writer import atomic


def write_run_record(output: str, run_id: str, request: Any, card: ModelCard, **facts: Any) -> str:
    """Write ``NAME.run.json`` beside the output ``NAME.gpkg`` and return its path.

    Args:
        output: the result's file.
        run_id: the id that the result's features carry.
        request: the request dataclass.
        card: the model's card.
        facts: what the run found out: the stretch, the device, counts, seconds.
    """
    path = Path(output).with_suffix(".run.json")
    record = {
        "run_id": run_id,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "lwganet_qgis": plugin_version(),
        "torch": version("torch"),
        "model": card.id,
        "weights_sha256": card.weights_sha256,
        "request": asdict(request),
        **facts,
    }
    with atomic(path) as unfinished:
        Path(unfinished).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return str(path)
