# SPDX-License-Identifier: GPL-2.0-or-later
"""Which device computes, in which precision, and how many tiles at once."""

import re

import torch

from model_runner.errors import InputError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LACK_OF_MEMORY = re.compile(
    "can't allocate memory|out of memory|not enough memory|ALLOC_FAILED|CUBLAS_STATUS_NOT_INITIALIZED"
    "|unable to find an engine|valid cuDNN algorithm|Invalid buffer size",  # cuDNN without room to work; Apple GPUs
    re.IGNORECASE,
)
BFLOAT16_SINCE = 8  # compute capability of a GPU
TILES_AT_ONCE = {"cpu": 1, "mps": 1, "cuda": 4}


def resolve_device(wanted: str) -> tuple[torch.device, str]:
    """The device for a wish ("auto", "cpu", "cuda", "cuda:1", "mps") and the reason in words.

    A wish is fulfilled or refused; only "auto" chooses.

    Raises:
        InputError: the wished device is not there or cannot be used by this build of PyTorch.
    """
    if wanted == "cpu":
        return torch.device("cpu"), "CPU, as asked for"
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("There is no Apple GPU that PyTorch can use; choose the device auto or cpu.")
        return torch.device("mps"), "Apple GPU, as asked for"
    obstacle = cuda_obstacle(wanted)
    if obstacle is None:
        device = torch.device("cuda:0" if wanted == "auto" else wanted)
        return device, f"{torch.cuda.get_device_name(device)} ({device})"
    if wanted != "auto":
        raise InputError(f"The device {wanted} cannot be used: {obstacle}. Choose the device auto or cpu.")
    if torch.backends.mps.is_available():
        return torch.device("mps"), "Apple GPU"
    return torch.device("cpu"), f"CPU, threads: {torch.get_num_threads()} ({obstacle})"


def cuda_obstacle(wanted: str) -> str | None:
    """Why CUDA cannot be used on a wished device ("auto", "cuda", "cuda:1"), or None."""
    if torch.version.cuda is None:
        return "this build of PyTorch is for the CPU only"
    if not torch.cuda.is_available():
        return "no NVIDIA GPU with a working driver was found"
    index = 0 if wanted in ("auto", "cuda") else int(wanted.partition(":")[2])
    if index >= torch.cuda.device_count():
        return f"there are only {torch.cuda.device_count()} GPUs"
    major, minor = torch.cuda.get_device_capability(index)
    if not any(_runs_on(architecture, major, minor) for architecture in torch.cuda.get_arch_list()):
        return f"the GPU is of compute capability {major}.{minor}, for which this build of PyTorch has no code"
    return None


def _runs_on(architecture: str, major: int, minor: int) -> bool:
    """Whether code for an architecture such as "sm_90" or "compute_80" (compiled when loaded) runs on a GPU."""
    kind, _, digits = architecture.partition("_")
    number = int("".join(filter(str.isdigit, digits)))
    if kind == "compute":
        return number <= 10 * major + minor
    return number // 10 == major and number % 10 <= minor


def resolve_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The number format of the convolutions; "auto" is float16 on CUDA and float32 elsewhere.

    Boxes are computed in float32 whatever is chosen.

    Raises:
        InputError: the format does not work on the device.
    """
    if wanted == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    precision = PRECISIONS[wanted]
    if precision is torch.float16 and device.type == "cpu":
        raise InputError("The precision fp16 does not work on the CPU; choose auto, fp32 or bf16.")
    return precision


def resolve_training_precision(wanted: str, device: torch.device) -> str:
    """The name of the number format in which a network is trained; "auto" is one that is fast on the device.

    GPUs before those of 2020 have no bfloat16.

    Raises:
        InputError: the format does not work on the device.
    """
    if wanted != "auto":
        resolve_precision(wanted, device)
        return wanted
    if device.type != "cuda":
        return "fp32"
    generation, _ = torch.cuda.get_device_capability(device)
    return "bf16" if generation >= BFLOAT16_SINCE else "fp16"


def resolve_batch_size(wanted: int | None, device: torch.device) -> int:
    """How many tiles are computed at once; the engine halves it when memory runs out."""
    return wanted or TILES_AT_ONCE[device.type]


def is_lack_of_memory(error: BaseException) -> bool:
    """PyTorch has an exception of its own for GPUs only; on processors the text alone tells."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or bool(LACK_OF_MEMORY.search(str(error)))
