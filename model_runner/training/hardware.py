# SPDX-License-Identifier: GPL-2.0-or-later
"""On what a network learns: which devices, in which number format, and how several of them share the work."""

from typing import Any

import torch
from lightning.fabric.plugins import MixedPrecision
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.strategies import DDPStrategy

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.device import cuda_obstacle, resolve_device, resolve_training_precision
from model_runner.report import Report

MIXED_PRECISION = {"bf16": "bf16-mixed", "fp16": "16-mixed"}


class Autocast(MixedPrecision):
    """Mixed precision that leaves what a network is given as it is.

    Lightning's own rounds labels too: of a bfloat16 there are eight bits, so that a box at 901 pixels moves to 900.
    """

    def convert_input(self, data: Any) -> Any:
        """See ``Precision``."""
        return data


def choose_hardware(request: FinetuneRequest, report: Report) -> dict[str, Any]:
    """What ``Fabric`` wants to know, told to the user; several GPUs share the batches.

    Raises:
        InputError: the wished device is not there, or has no such precision.
    """
    device, reason = resolve_device(request.device)
    precision = resolve_training_precision(request.precision, device)
    devices: int | list[int] = 1
    if device.type == "cuda":
        devices = _gpus(request.device, device.index or 0)
        if len(devices) > 1:
            reason = f"{len(devices)} GPUs"
    report.log("info", f"Computing on {reason}, {precision}.")
    mixed = MIXED_PRECISION.get(precision)
    return {
        "accelerator": device.type,
        "devices": devices,
        "strategy": shared_work() if isinstance(devices, list) and len(devices) > 1 else "auto",
        "plugins": [LightningEnvironment(), *([Autocast(mixed, device.type)] if mixed else [])],
    }


def shared_work() -> DDPStrategy:
    """Several processes that share each batch."""
    return DDPStrategy(start_method="spawn", find_unused_parameters=True)


def _gpus(wanted: str, first: int) -> list[int]:
    """The GPUs to use: the one that was asked for, or all that are like the first, where they can share work."""
    if wanted not in ("auto", "cuda") or not torch.distributed.is_nccl_available():
        return [first]
    generation = torch.cuda.get_device_capability(first)
    others = (number for number in range(torch.cuda.device_count()) if number != first)
    alike = (each for each in others if torch.cuda.get_device_capability(each) == generation)
    return [first, *(each for each in alike if cuda_obstacle(f"cuda:{each}") is None)]
