# SPDX-License-Identifier: GPL-2.0-or-later
"""The run record: a JSON file beside a result that says how it came to be."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from model_runner.contract.folders import plugin_version
from model_runner.contract.messages import Finished
from model_runner.contract.model_card import ModelCard
from model_runner.contract.run_record import record_beside
from model_runner.inference.computing import Computer
from model_runner.inference.engine import Throughput
from model_runner.raster.writer import atomic


class Run:
    """A task at work, from when it is made.

    Attributes:
        id: what the features of its result carry.
    """

    def __init__(self) -> None:
        self.id = uuid4().hex[:12]
        self._began = time.perf_counter()

    def finish(
        self,
        request: Any,
        card: ModelCard,
        computer: Computer,
        throughput: Throughput,
        outputs: Mapping[str, str],
        numbers: Mapping[str, Any],
        **facts: Any,
    ) -> Finished:
        """Write the record beside the request's output, see ``record_beside``, and return what the task answers.

        Args:
            request: the request dataclass.
            card: the model's card.
            computer: on what the network ran.
            throughput: what the run over the tiles did.
            outputs: the files of the result; the record joins them.
            numbers: the result's numbers; the seconds since the beginning join them.
            facts: what else the run found out: the raster, the stretch, checks.
        """
        numbers = {**numbers, "seconds": round(time.perf_counter() - self._began, 3)}
        path = record_beside(Path(request.output).with_suffix(""), request.output)
        record = {
            "run_id": self.id,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "lwganet_qgis": plugin_version(),
            "torch": version("torch"),
            "model": card.id,
            "weights_sha256": card.weights_sha256,
            "request": asdict(request),
            **facts,
            "computed_on": str(computer),
            "numbers": numbers,
            "throughput": asdict(throughput),
        }
        with atomic(path) as unfinished:
            unfinished.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return Finished(job="", outputs={**outputs, "record": str(path)}, numbers=numbers)
