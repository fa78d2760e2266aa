# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m model_runner benchmark``: speed and memory on this machine, as ratios taken in one run.

``cases`` says what a task is measured on, ``measuring`` how, and ``parts`` times what is worth a look of its own;
``training`` sets the trainings beside a bare loop.
"""

import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from model_runner.benchmark.measuring import in_own_process, measure_case
from model_runner.benchmark.parts import merge_boxes, oriented_rcnn_l2
from model_runner.benchmark.training import measure_training
from model_runner.errors import InputError


def run_benchmark(tasks: Sequence[str], training: bool, output: str | None) -> None:
    """Measure some of the four tasks, print a table, and write the figures to a JSON file if one is named.

    Args:
        tasks: that are measured.
        training: measures how they are learnt, not how they are done.
        output: the JSON file, or None.

    Raises:
        InputError: on systems other than Linux, which do not tell a process's memory in this way.
        ModelError: a task's default model is not there.
    """
    if sys.platform != "linux":
        raise InputError("The benchmark runs on Linux only; elsewhere, each task tells its seconds.")
    figures = _tell({"machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"})
    measure = measure_training if training else measure_case
    for task in tasks:
        figures |= _tell(measure(task))
    if "detect" in tasks and not training:
        seconds, memory = in_own_process(merge_boxes)
        figures |= _tell(
            {
                "merge of 100 000 boxes (s)": seconds,
                "merge of 100 000 boxes (MB, at most)": memory,
                "Oriented R-CNN L2, 1024 px (s)": in_own_process(oriented_rcnn_l2),
            }
        )
    if output:
        Path(output).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _tell(figures: dict[str, str | float]) -> dict[str, str | float]:
    for name, figure in figures.items():
        print(f"{name:45} {figure if isinstance(figure, str) else f'{figure:.3g}'}", flush=True)
    return figures
