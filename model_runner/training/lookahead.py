# SPDX-License-Identifier: GPL-2.0-or-later
"""Optimisers beyond those of PyTorch."""

from collections.abc import Callable
from typing import Any

import torch

STEPS, SHARE = 5, 0.5  # as published with UNetFormer's training


class LookaheadAdamW(torch.optim.AdamW):
    """AdamW whose weights, after every few steps, go back half of the way (Zhang et al., Lookahead, NeurIPS 2019)."""

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Any:
        """A step; the weights to go back to are part of the state of each parameter."""
        parameters = [each for group in self.param_groups for each in group["params"] if each.grad is not None]
        first = {each: each.detach().clone() for each in parameters if not self.state[each]}
        loss = super().step(closure)
        for each in parameters:
            state = self.state[each]
            if each in first:
                state["slow"] = first[each]
            if int(state["step"]) % STEPS == 0:
                each.copy_(state["slow"].lerp_(each, SHARE))
        return loss
