# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be asked for; each task is a function of a request and a report that returns ``Finished``.

The table names them as text so that a runner says hello before it has imported PyTorch.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from model_runner.contract.messages import Finished
from model_runner.errors import InputError
from model_runner.report import Report

TASKS = {
    "detect": "model_runner.tasks.detect:detect",
    "segment": "model_runner.tasks.segment:segment",
    "change": "model_runner.tasks.change:change",
    "classify": "model_runner.tasks.classify:classify",
    "finetune": "model_runner.tasks.finetune:finetune",
    "evaluate": "model_runner.tasks.evaluate:evaluate",
    "export-data": "model_runner.tasks.export_data:export_data",
    "load-data": "model_runner.tasks.load_data:load_data",
    "import-model": "model_runner.tasks.models:import_model",
    "download-model": "model_runner.tasks.models:download_model",
    "remove-model": "model_runner.tasks.models:remove_model",
}


def find_task(name: str) -> Callable[[Any, Report], Finished]:
    """The function of a task.

    Raises:
        InputError: there is no such task.
    """
    if name not in TASKS:
        raise InputError(f"There is no task {name!r}; known are {', '.join(TASKS)}.")
    module, _, function = TASKS[name].partition(":")
    return getattr(import_module(module), function)
