# SPDX-License-Identifier: GPL-2.0-or-later
"""The average of a network's weights over the last steps, which often sees better than the weights themselves."""

import copy
from typing import Any

import torch
from torch import nn


class AveragedNetwork:
    """A network whose tensors follow those of another one.

    Args:
        network: the one that is trained.
        decay: share of the average that a step leaves, in a long training; at the beginning, where there is little to
            keep, it is less: (1 + n) / (10 + n) after n steps, so that the average never reaches back further than
            the last tenth of the steps or so, however few there are.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the averages towards the tensors of the trained network."""
        kept = min(self._decay, (1 + self._steps) / (10 + self._steps)) if self._steps else 0.0
        self._steps += 1
        current = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[name], 1 - kept)
            else:
                average.copy_(current[name])

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` takes."""
        return {"network": self.network.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(state["network"])
        self._steps = state["steps"]
