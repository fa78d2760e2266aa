# SPDX-License-Identifier: GPL-2.0-or-later
"""Weights and inputs of the golden data, drawn from seeds: no file of weights is needed. And comparisons with it.

The draw of a tensor depends on the seed, its key and its shape alone. Buffers that hold constants keep them.
"""

import zlib
from typing import Any

import numpy as np
import pytest
import torch

from model_runner.networks import fuse_for_inference

CONSTANT = {"filt", "relative_position_index", "inv_freq"}
UNIFORM = {"running_var", "weights", "scale"}  # from 0.5 to 1.5
GAINS = {
    ".GA12.": 0.7,
    ".mlp.": 0.6,
    "rpn_head.rpn_cls.": 0.5,
    "rpn_head.rpn_reg.": 0.3,
    "bbox_head.fc_cls.": 1.5,
}
BACKGROUND_BIAS = 9.0  # keeps the detections of random weights to a few hundred


def fill(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Give the network the golden weights of a seed."""
    state = {key: _draw(key, value, seed) for key, value in network.state_dict().items()}
    network.load_state_dict(state)
    return network


def _draw(key: str, value: torch.Tensor, seed: int) -> torch.Tensor:
    last, shape = key.rsplit(".", 1)[-1], tuple(value.shape)
    if last in CONSTANT or last == "num_batches_tracked":
        return value
    random = np.random.default_rng([seed, zlib.crc32(key.encode())])
    if last in UNIFORM:
        drawn = random.uniform(0.5, 1.5, shape)
    elif last == "relative_position_bias_table":
        drawn = random.standard_normal(shape) * 0.5
    elif len(shape) == 1 and last == "weight":
        drawn = random.uniform(0.8, 1.2, shape)
    elif len(shape) <= 1:
        drawn = random.standard_normal(shape) * 0.1
    else:
        gain = next((gain for part, gain in GAINS.items() if part in key), 1.0)
        drawn = random.standard_normal(shape) * gain / np.sqrt(np.prod(shape[1:]))
    if key.endswith("bbox_head.fc_cls.bias"):
        drawn[-1] += BACKGROUND_BIAS
    return torch.from_numpy(drawn.astype(np.float32))


def golden_input(shape: list[int], seed: int) -> torch.Tensor:
    """A standard normal input, rounded to float32."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(tuple(shape)).astype(np.float32))


def sampled(tensor: torch.Tensor, step: int) -> torch.Tensor:
    """Every ``step``-th value in C order, as the golden files store large tensors; 1 stores it whole."""
    return tensor if step == 1 else tensor.reshape(-1)[::step]


def keys_and_shapes(network: torch.nn.Module) -> list[tuple[str, list[int]]]:
    """The state dict in its order."""
    return [(key, list(value.shape)) for key, value in network.state_dict().items()]


def official_keys_and_shapes(manifest: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """The same of a golden manifest."""
    return [(entry["key"], entry["shape"]) for entry in manifest["entries"]]


def without_dropout(network: torch.nn.Module) -> torch.nn.Module:
    """The network in training mode, but without chance."""
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
            module.eval()
    return network


def assert_official_step(network: torch.nn.Module, facts: dict[str, Any], golden: dict[str, torch.Tensor]) -> None:
    """Gradients and running statistics after a training step are those of a golden case."""
    gradients = {key: parameter.grad for key, parameter in network.named_parameters() if parameter.grad is not None}
    norms = {key: gradient.norm().item() for key, gradient in gradients.items()}
    assert norms == pytest.approx(facts["grad_norms"], rel=1e-6, abs=1e-12)
    state = network.state_dict()
    for key, stored in golden.items():
        kind, _, tensor = key.partition(":")
        if kind in ("grad", "buffer_after"):
            found = sampled(gradients[tensor] if kind == "grad" else state[tensor], facts["arrays"][key]["step"])
            torch.testing.assert_close(found, stored, atol=1e-9, rtol=1e-6, check_dtype=False)


def assert_equal_but_for_rare_flips(found: torch.Tensor, stored: torch.Tensor) -> None:
    """Single precision gives the golden values, but where the strongest of nearly equal pixels is another one."""
    difference = (found - stored).abs()
    assert difference.median() < 1e-5
    assert (difference > 1e-3).double().mean() < 0.02


def assert_fused_is_the_same(network: torch.nn.Module, *images: torch.Tensor) -> torch.Tensor:
    """Folding normalisations away changes nothing of what a network in double precision says; returns that."""
    with torch.inference_mode():
        plain = network(*images)
        torch.testing.assert_close(fuse_for_inference(network)(*images), plain, atol=1e-9, rtol=1e-6)
    return plain
