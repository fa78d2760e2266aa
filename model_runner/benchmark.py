# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m model_runner benchmark``: speed and memory on this machine, as ratios taken in one run.

Rasters are the demo's image, repeated; each case runs in a process of its own, so that peaks of memory are its own.
"""

import json
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch

from model_runner.contract.folders import PLUGIN_ROOT
from model_runner.contract.task_requests import DetectRequest, RasterSource
from model_runner.device import resolve_device, resolve_precision
from model_runner.errors import InputError
from model_runner.inference.detections import Detections, detector, merge
from model_runner.inference.opening import open_for_model
from model_runner.model_store.loaded import loaded_model
from model_runner.networks import build_network, fuse_for_inference
from model_runner.raster.tiling import plan_tiles
from model_runner.report import Report
from model_runner.tasks.detect import detect

DEMO = PLUGIN_ROOT / "resources" / "demo" / "airfield.tif"
SMALL, LARGE = 2672, 5144  # pixels: 3 x 3 and 6 x 6 tiles of 1024 with 200 overlap, four times the area
MERGED_BOXES = 100_000


def run_benchmark(output: str | None) -> None:
    """Measure, print a table, and write the figures to a JSON file if one is named.

    Raises:
        InputError: on systems other than Linux, which do not tell a process's memory in this way.
    """
    if sys.platform != "linux":
        raise InputError("The benchmark runs on Linux only; elsewhere, detect tells its seconds.")
    with tempfile.TemporaryDirectory() as folder:
        small, large = (_repeat_demo(Path(folder) / f"{side}.tif", side) for side in (SMALL, LARGE))
        network_alone = _in_own_process(_network_seconds, small)
        small_seconds, small_memory = _in_own_process(_detect, small)
        large_seconds, large_memory = _in_own_process(_detect, large)
    merge_seconds, merge_memory = _in_own_process(_merge)
    official_size = _in_own_process(_oriented_rcnn_l2)
    figures = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "end to end / network alone": small_seconds / network_alone,
        "four times the tiles / once": large_seconds / small_seconds,
        "peak memory, 9 tiles (MB)": small_memory,
        "peak memory, 36 tiles (MB)": large_memory,
        "merge of 100 000 boxes (s)": merge_seconds,
        "merge of 100 000 boxes (MB, at most)": merge_memory,
        "Oriented R-CNN L2, 1024 px (s)": official_size,
    }
    for name, figure in figures.items():
        print(f"{name:40} {figure if isinstance(figure, str) else f'{figure:.3g}'}")
    if output:
        Path(output).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _in_own_process(case: Callable[..., Any], *arguments: Any) -> Any:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(case, arguments)


def _memory(what: str) -> float:
    """MB of this process: "VmRSS", resident now, or "VmHWM", the most that it ever was."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[what].split()[0]) / 1024


def _repeat_demo(path: Path, side: int) -> str:
    with rasterio.open(DEMO) as demo:
        pixels, profile = demo.read(), demo.profile
    repeats = (1, -(-side // pixels.shape[1]), -(-side // pixels.shape[2]))
    profile.update(width=side, height=side)
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(np.tile(pixels, repeats)[:, :side, :side])
    return str(path)


def _detect(path: str) -> tuple[float, float]:
    """Seconds and MB of a detection with the model loaded already."""
    _detect_once(str(DEMO))
    began = time.perf_counter()
    _detect_once(path)
    return time.perf_counter() - began, _memory("VmHWM")


def _detect_once(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        detect(DetectRequest(RasterSource(path), output=f"{folder}/boxes.gpkg"), Report())


def _network_seconds(path: str) -> float:
    """Seconds that the network alone takes for the raster's tiles, which are in memory."""
    device, _ = resolve_device("auto")
    card, network = loaded_model("", "detect", device)
    with open_for_model(RasterSource(path), card, Report()) as source:
        plan = plan_tiles(source.grid.width, source.grid.height, card.tile_size, card.overlap)
        tiles = [source.read(tile) for tile in plan]
    predict = detector(network, card, device, resolve_precision("auto", device), card.threshold, card.merge_iou)
    predict(tiles[:1])
    began = time.perf_counter()
    for tile in tiles:
        predict([tile])
    return time.perf_counter() - began


def _merge() -> tuple[float, float]:
    """Seconds and MB of merging 100 000 boxes, five to an object, as overlapping tiles give them.

    The MB are those from before the merge to the process's peak, which may be an earlier one: at most so many.
    """
    generator = torch.Generator().manual_seed(0)
    objects = MERGED_BOXES // 5
    side = 40 * objects**0.5
    centres = torch.rand(objects, 2, generator=generator, dtype=torch.float64) * side
    sizes = 10 + 30 * torch.rand(objects, 2, generator=generator, dtype=torch.float64)
    angles = (torch.rand(objects, 1, generator=generator, dtype=torch.float64) - 0.5) * torch.pi
    boxes = torch.cat((centres, sizes, angles), 1).repeat(5, 1)
    boxes = boxes + torch.randn(boxes.shape, generator=generator, dtype=torch.float64) * torch.tensor(
        [1, 1, 1, 1, 0.02]
    )
    found = Detections(
        boxes,
        torch.rand(MERGED_BOXES, generator=generator),
        torch.randint(0, 4, (objects,), generator=generator).repeat(5),
    )
    cut = torch.rand(MERGED_BOXES, generator=generator) < 0.1
    merge(found.only(torch.arange(1000)), cut[:1000], 0.1)
    before, began = _memory("VmRSS"), time.perf_counter()
    merge(found, cut, 0.1)
    return time.perf_counter() - began, _memory("VmHWM") - before


def _oriented_rcnn_l2() -> float:
    """Median seconds of the official detector's size on one tile of the demo's image."""
    network = fuse_for_inference(build_network("oriented_rcnn_l2", num_classes=15).eval())
    image = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0))
    seconds = []
    with torch.inference_mode():
        network(image)
        for _ in range(5):
            began = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
