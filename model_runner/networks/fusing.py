# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks that are no longer trained: the same numbers in less time.

Normalisations with fixed statistics are folded into the layers beside them, and weights lie in memory as the
convolutions of images want them that are stored pixel by pixel (channels last).
"""

from typing import TypeVar

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)


def fold_into_previous(layer: Layer, norm: nn.BatchNorm2d) -> Layer:
    """A layer that gives what ``norm`` makes of the output of ``layer``, which has a weight and maybe a bias."""
    scale, shift = _scale_and_shift(norm)
    outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    weight = layer.weight * scale.view(*[1] * outputs, -1, *[1] * (layer.weight.ndim - 1 - outputs))
    bias = shift if layer.bias is None else shift + layer.bias * scale
    return _with(layer, weight, bias)


def fold_into_next(norm: nn.BatchNorm2d, layer: nn.Conv2d, first_channel: int) -> nn.Conv2d:
    """A 1 x 1 convolution that does to its input what ``norm`` does, to the channels from the first one on."""
    scale, shift = _scale_and_shift(norm)
    channels = slice(first_channel, first_channel + len(scale))
    weight = layer.weight.clone()
    weight[:, channels] *= scale[None, :, None, None]
    bias = layer.weight[:, channels, 0, 0] @ shift
    return _with(layer, weight, bias if layer.bias is None else bias + layer.bias)


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    deviation = (norm.running_var + norm.eps).sqrt()
    if not norm.affine:
        return 1 / deviation, -norm.running_mean / deviation
    scale = norm.weight / deviation
    return scale, norm.bias - norm.running_mean * scale


def _with(layer: Layer, weight: Tensor, bias: Tensor) -> Layer:
    """The layer with other numbers; it becomes one with a bias."""
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer


class FusableSequence(nn.Sequential):
    """Layers one after the other, of which normalisations can be folded into the convolutions before them."""

    def fuse(self) -> None:
        """Fold every normalisation that follows a convolution into it."""
        for index in range(1, len(self)):
            layer, norm = self[index - 1], self[index]
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                self[index - 1], self[index] = fold_into_previous(layer, norm), nn.Identity()


def fuse_for_inference(network: nn.Module) -> nn.Module:
    """The network in evaluation mode with its normalisations folded away; it can no longer be trained or saved.

    Every module that knows how has a method ``fuse``.
    """
    network.eval()
    with torch.no_grad():
        for module in list(network.modules()):
            fuse = getattr(module, "fuse", None)
            if fuse is not None:
                fuse()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)
