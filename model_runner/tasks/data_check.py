# SPDX-License-Identifier: GPL-2.0-or-later
"""A dataset looked through before a model learns from it, and what the user is told of it."""

import json
from pathlib import Path

from model_runner.contract.finetune_request import CHECK_FILE, SCRATCH
from model_runner.contract.messages import Finished
from model_runner.contract.model_card import DEFAULT_MODELS, read_card
from model_runner.contract.task_requests import FinetuneRequest
from model_runner.errors import InputError
from model_runner.model_store.store import find_folder
from model_runner.raster.geotiff import saying_what_cannot_be_written
from model_runner.raster.writer import atomic
from model_runner.report import Report
from model_runner.training.datasets.checks import DatasetCheck, check_dataset, grouped
from model_runner.training.datasets.findings import KINDS
from model_runner.training.datasets.images import COLOURS, Pixels

LISTED = 100  # findings of a kind in the log; the file has all


def check_data(request: FinetuneRequest, report: Report) -> Finished:
    """Tell all that is wrong or doubtful about a dataset; write it to ``check.json`` if there is an output folder.

    Raises:
        InputError: something is wrong.
        Cancelled: the user asked to stop.
    """
    tolerated = ("unreadable",) if request.skip_unreadable else ()
    found = check_dataset(request.task, Path(request.data), report, tolerated, _pixels(request))
    outputs = {}
    if request.output:
        path = Path(request.output) / CHECK_FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"The output folder {request.output} cannot be made: {error.strerror}.") from error
        with atomic(path) as unfinished:
            facts = {"task": request.task, "data": str(Path(request.data).resolve()), **found.plain()}
            text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
            with saying_what_cannot_be_written(path):
                unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")  # names need not be UTF-8
        outputs["check"] = str(path)
    if request.check or found.errors or found.doubts:
        _tell(found, report, outputs.get("check"))
    if found.errors:
        count, files = len(found.errors), len({each.file for each in found.errors})
        where = f"in {outputs['check']}" if outputs else "above"
        listed = f"{_some(count, 'fault')} in {_some(files, 'place')}, listed {where}; nothing was trained."
        raise InputError(f"The dataset {request.data} cannot be used: {listed if count > 1 else found.errors[0].text}")
    images = {f"images {split}": count for split, count in found.images.items()}
    return Finished(job="", outputs=outputs, numbers={**images, "errors": 0, "warnings": len(found.doubts)})


def _pixels(request: FinetuneRequest) -> Pixels:
    """The bands that a training would see: those that the user chose, or as many as the first model wants."""
    if request.bands:
        return Pixels(request.bands, len(request.bands))
    folder = None if request.init == SCRATCH else find_folder(request.init or DEFAULT_MODELS[request.task])
    return COLOURS if folder is None else Pixels(count=len(read_card(folder).bands))


def _tell(found: DatasetCheck, report: Report, file: str | None) -> None:
    """Log the findings by kind: all of them if no file has them."""
    for level, findings in (("info", found.errors), ("warning", found.doubts)):
        for kind, group in grouped(findings):
            report.log(level, f"{KINDS[kind].title} ({len(group)}): {KINDS[kind].remedy}.")
            listed = group if file is None else group[:LISTED]
            for each in listed:
                report.log("info", f"  {each.text}")
            if len(group) > len(listed):
                report.log("info", f"  and {len(group) - LISTED} more: see {file}")
    told = ", ".join(f"{count} of {split}" for split, count in found.images.items()) or "none"
    report.log("info", f"Images: {told}. {_some(len(found.errors), 'fault')}, {_some(len(found.doubts), 'doubt')}.")


def _some(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
