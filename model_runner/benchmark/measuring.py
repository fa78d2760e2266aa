# SPDX-License-Identifier: GPL-2.0-or-later
"""Seconds and memory of a task on a small raster and on one with four times the tiles, in processes of their own."""

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from model_runner.benchmark.cases import CASES, write_rasters
from model_runner.contract.task_requests import Compute
from model_runner.inference.computing import choose_computer
from model_runner.model_store.loaded import loaded_model
from model_runner.model_store.store import find_model
from model_runner.report import Report
from model_runner.tasks import find_task

ROUNDS = 7
GDAL_CACHE = "32"  # MB
TIMES = 4  # as many tiles has the large raster, one above the other


def measure_case(task: str) -> dict[str, float]:
    """The figures of a task, ratios as medians of rounds in which all that is compared takes its turn.

    Raises:
        ModelError: the task's default model is not there.
    """
    card, _ = find_model("", task)
    across = CASES[task].tiles_across
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        for rasters, down in ((small, across), (large, TIMES * across)):
            rasters.mkdir()
            write_rasters(rasters, card, across, down)
        rounds = in_own_process(_time_rounds, task, small, large)
        memory = [in_own_process(_peak_memory, task, rasters) for rasters in (small, large)]
    return {
        f"{task}: end to end / network alone": statistics.median(once / alone for alone, once, _ in rounds),
        f"{task}: four times the tiles / once": statistics.median(four / once for _, once, four in rounds),
        f"{task}: network alone, {across**2} tiles (s)": statistics.median(alone for alone, *_ in rounds),
        f"{task}: peak memory, {across**2} tiles (MB)": memory[0],
        f"{task}: peak memory, {TIMES * across**2} tiles (MB)": memory[1],
    }


def in_own_process(measure: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, called in a process that does nothing else, but may start others."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def memory_of_process(what: str) -> float:
    """MB of this process: "VmRSS", resident now, or "VmHWM", the most that it ever was."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[what].split()[0]) / 1024


def _time_rounds(task: str, small: Path, large: Path) -> list[tuple[float, float, float]]:
    """Seconds of the network alone and of the task on the small raster, and of the task on the large one."""
    compute_all = _network_alone(task, small)
    for warm_up in (compute_all, lambda: _run(task, small)):
        warm_up()
    return [
        (_seconds(compute_all), _seconds(lambda: _run(task, small)), _seconds(lambda: _run(task, large)))
        for _ in range(ROUNDS)
    ]


def _network_alone(task: str, rasters: Path) -> Callable[[], None]:
    """What predicts all tiles of a raster, which are in memory, in the batches of the task."""
    case = CASES[task]
    computer = choose_computer(Compute(), Report())
    card, network = loaded_model("", task, computer.device)
    tiles = case.read(case.request(rasters, rasters), card)
    predict, size = case.predictor(network, card, computer), case.batches * computer.batch_size

    def compute_all() -> None:
        for start in range(0, len(tiles), size):
            predict(tiles[start : start + size])

    return compute_all


def _run(task: str, rasters: Path) -> None:
    """Do the task from file to file."""
    with tempfile.TemporaryDirectory() as results:
        find_task(task)(CASES[task].request(rasters, Path(results)), Report())


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _peak_memory(task: str, rasters: Path) -> float:
    """MB at the peak of a process that does the task once.

    GDAL keeps what it has read up to a twentieth of the machine's memory; here little, so that only what the program
    itself keeps can grow.
    """
    os.environ["GDAL_CACHEMAX"] = GDAL_CACHE
    _run(task, rasters)
    return memory_of_process("VmHWM")
