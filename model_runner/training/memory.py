# SPDX-License-Identifier: GPL-2.0-or-later
"""How many images of a batch go through a network at once, by the memory that there is."""

import copy
import ctypes
import sys
from typing import Any

import torch
from torch import Tensor, nn

from model_runner.device import is_lack_of_memory

USED_SHARE = 0.7  # of the free memory
OVERHEAD = 1.6  # of a step over what the forward pass keeps for the backward pass: gradients, workspaces


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of Windows."""

    _fields_ = [
        ("size", ctypes.c_ulong),
        ("used_percent", ctypes.c_ulong),
        *((name, ctypes.c_ulonglong) for name in ("all", "free", "all_paged", "free_paged")),
        *((name, ctypes.c_ulonglong) for name in ("all_virtual", "free_virtual", "free_extended")),
    ]


def parts_that_fit(learner: nn.Module, images: Tensor, targets: Any, batch_size: int) -> int:
    """In how many parts a batch is computed, a power of two, so that each fits into the free memory.

    Args:
        learner: gives the losses of images and targets; a copy of it is tried.
        images: a few of the training images (n, bands, h, w), on the learner's device.
        targets: theirs.
        batch_size: images of a batch.
    """
    free = free_memory(images.device)
    if free is None:
        return 1
    try:
        needed = OVERHEAD * _kept_bytes(copy.deepcopy(learner), images, targets) / len(images)
    except (RuntimeError, MemoryError) as error:
        if not is_lack_of_memory(error):
            raise
        return batch_size
    parts = 1
    while parts < batch_size and needed * -(-batch_size // parts) > USED_SHARE * free:
        parts *= 2
    return min(parts, batch_size)


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where the system does not tell."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    if sys.platform == "win32":
        status = _MemoryStatus(size=ctypes.sizeof(_MemoryStatus))
        return status.free if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            facts = dict(line.split(":") for line in lines)
        return 1024 * int(facts["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None


def _kept_bytes(learner: nn.Module, images: Tensor, targets: Any) -> int:
    """What the forward pass keeps for the backward pass, the weights apart."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = learner(images, targets)  # kept alive until all is counted
    weights = {parameter.untyped_storage().data_ptr() for parameter in learner.parameters()}
    del losses
    return sum(size for place, size in kept.items() if place not in weights)
