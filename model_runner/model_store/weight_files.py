# SPDX-License-Identifier: GPL-2.0-or-later
"""Tensors in safetensors files, in which matrices of weights may take eight bits a number.

Each output channel of such a matrix has a scale of its own, its largest magnitude over 127, and the numbers are stored
as whole multiples of it, from -127 to 127 (Krishnamoorthi, 2018, arXiv:1806.08342, symmetric, per channel). They are
multiplied out on reading: networks compute with floating point as ever.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

SCALE = ".scale"  # after the name of the tensor
LARGEST = 127


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, those in eight bits as float32.

    Raises:
        OSError: the file cannot be read.
        SafetensorError: it is none of tensors, or scales are missing.
    """
    return weights_of(path.read_bytes())


def weights_of(content: bytes) -> dict[str, Tensor]:
    """The tensors in the content of a file; see ``read_weights``."""
    weights = load(content)
    for name in [name for name, tensor in weights.items() if tensor.dtype is torch.int8]:
        rows = weights[name]
        scale = weights.pop(name + SCALE, torch.empty(0))
        if scale.shape != (len(rows), *(1,) * (rows.ndim - 1)):
            raise SafetensorError(f"{name} has {len(rows)} rows of eight bits, and {scale.numel()} scales")
        weights[name] = rows * scale
    return weights


def in_eight_bits(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they are stored with eight bits for each number of a matrix.

    Args:
        state_dict: tensors by name. Those named ``….weight`` that have rows, such as convolutions (out, in, h, w), are
            rounded; all others stay.
    """
    stored = dict(state_dict)
    for name, tensor in state_dict.items():
        if name.endswith(".weight") and tensor.ndim >= 2:
            rows = tensor.float()
            scale = rows.abs().amax(tuple(range(1, rows.ndim)), keepdim=True) / LARGEST
            scale = torch.where(scale == 0, 1.0, scale)
            stored[name], stored[name + SCALE] = (rows / scale).round().to(torch.int8), scale
    return stored
