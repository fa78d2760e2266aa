# SPDX-License-Identifier: GPL-2.0-or-later
"""The networks, by name: tensors in, tensors out, with the state-dict keys of the official weights."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from model_runner.errors import ModelError
from model_runner.networks.a2net import A2Net
from model_runner.networks.clafa import CLAFA
from model_runner.networks.fusing import fuse_for_inference
from model_runner.networks.lwganet import SIZES, Backbone, Classifier
from model_runner.networks.oriented_rcnn import OrientedRCNN
from model_runner.networks.unetformer import UNetFormer

__all__ = ["NETWORKS", "build_network", "fuse_for_inference"]

_KINDS: dict[str, Callable[..., nn.Module]] = {
    "a2net": A2Net,
    "backbone": Backbone,
    "classifier": Classifier,
    "clafa": CLAFA,
    "oriented_rcnn": OrientedRCNN,
    "unetformer": UNetFormer,
}
NETWORKS = {f"{kind}_{size}": partial(make, size) for kind, make in _KINDS.items() for size in SIZES}


def build_network(name: str, **options: Any) -> nn.Module:
    """A network with fresh weights, for example ``build_network("oriented_rcnn_l2", num_classes=15)``.

    Args:
        name: a key of ``NETWORKS``.
        options: ``num_classes`` (not for backbones), and what the network's class takes.

    Raises:
        ModelError: there is no such network, or it does not take such options.
    """
    if name not in NETWORKS:
        raise ModelError(f"There is no network {name!r}; known are {', '.join(NETWORKS)}.")
    try:
        return NETWORKS[name](**options)
    except TypeError as error:
        raise ModelError(f"The network {name} cannot be built with {options}: {error}.") from error
