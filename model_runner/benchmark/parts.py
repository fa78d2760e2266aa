# SPDX-License-Identifier: GPL-2.0-or-later
"""Parts that are worth a look of their own: the merge of very many boxes, and the official detector's size."""

import statistics
import time

import torch

from model_runner.benchmark.measuring import memory_of_process
from model_runner.inference.detections import Detections, merge
from model_runner.networks import build_network, fuse_for_inference

MERGED_BOXES = 100_000


def merge_boxes() -> tuple[float, float]:
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
    before, began = memory_of_process("VmRSS"), time.perf_counter()
    merge(found, cut, 0.1)
    return time.perf_counter() - began, memory_of_process("VmHWM") - before


def oriented_rcnn_l2() -> float:
    """Median seconds of the official detector's size on one tile."""
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
