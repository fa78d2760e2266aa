# SPDX-License-Identifier: GPL-2.0-or-later
"""A pretended device beside the processor: it computes as the processor does, and refuses what a GPU refuses.

So a test without a GPU finds tensors that stay behind: an operation on tensors of both devices fails, as does NumPy on
a tensor of the device. Nor does it compute in float64, which Apple's GPUs do not have. PyTorch lets no code invent a
device, so this one goes by the name of one that has no memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

ELSEWHERE = torch.device("meta")
BETWEEN_DEVICES = ("aten::_to_copy", "aten::to", "aten::copy_")


class _TensorElsewhere(Tensor):
    """A tensor of the pretended device; ``here`` has its values."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "_TensorElsewhere":
        tensor = Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=ELSEWHERE,
            requires_grad=here.requires_grad,
        )
        tensor.here = here
        return tensor

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _compute(operation, args, kwargs or {})


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _compute(operation, args, kwargs or {})


class _Conversions(TorchFunctionMode):
    """From and to plain numbers, which PyTorch does without asking those above."""

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is Tensor.tolist:
            return function(_here(args[0]))
        if function is Tensor.new_tensor and isinstance(args[0], _TensorElsewhere):
            device = kwargs.pop("device", ELSEWHERE)
            return torch.tensor(args[1], **{"dtype": args[0].dtype, **kwargs}).to(device)
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return function(*args, **kwargs).to(device)
        return function(*args, **kwargs)


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """The pretended device, which is there as long as the context lasts; it has one precision, float32."""
    with _Conversions(), _Operations(), patch("torch.autocast", lambda *args, **kwargs: nullcontext()):
        yield ELSEWHERE


def _compute(operation: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Do an operation of PyTorch on the processor, with the result where a GPU would leave it."""
    leaves = tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    are_elsewhere = any(isinstance(tensor, _TensorElsewhere) for tensor in tensors)
    name = operation._schema.name
    if any(tensor.dtype == torch.float64 for tensor in tensors if isinstance(tensor, _TensorElsewhere)):
        raise RuntimeError(f"{name} has a tensor of float64, which not every device has.")
    if are_elsewhere and name not in BETWEEN_DEVICES:
        left_behind = [each for each in tensors if each.dim() and not isinstance(each, _TensorElsewhere)]
        if left_behind:
            raise RuntimeError(f"{name} has a tensor of the processor {tuple(left_behind[0].shape)} beside others.")
    wanted = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
    here = tree_map_only(torch.device, lambda device: torch.device("cpu"), tree_map_only(Tensor, _here, (args, kwargs)))
    result = operation(*here[0], **here[1])
    if operation._schema.is_mutable and args and isinstance(result, Tensor):
        return args[0]
    stays = are_elsewhere if wanted is None else wanted == ELSEWHERE
    return tree_map_only(Tensor, _TensorElsewhere, result) if stays else result


def _here(tensor: Tensor) -> Tensor:
    return tensor.here if isinstance(tensor, _TensorElsewhere) else tensor
