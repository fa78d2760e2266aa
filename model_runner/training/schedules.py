# SPDX-License-Identifier: GPL-2.0-or-later
"""The course of the learning rate, stretched to the length of the run: its share of the highest one, step by step."""

import math

STEPS_DOWN = (16 / 30, 22 / 30, 27 / 30)  # of all steps
POWER = 0.9


def warm_up(step: int, length: int, start: float) -> float:
    """A linear rise from ``start`` to 1 in ``length`` steps."""
    return min(1.0, start + (1 - start) * step / max(length, 1))


def staircase(step: int, steps: int) -> float:
    """A tenth of what it was from each of the published marks on."""
    return 0.1 ** sum(step >= mark * steps for mark in STEPS_DOWN)


def cosine(step: int, steps: int, end: float = 0.0) -> float:
    """Half a wave from 1 down to ``end``."""
    return end + (1 - end) * (1 + math.cos(math.pi * min(step / steps, 1.0))) / 2


def polynomial(step: int, steps: int) -> float:
    """Almost a straight line from 1 down to 0."""
    return max(1 - step / steps, 0.0) ** POWER
