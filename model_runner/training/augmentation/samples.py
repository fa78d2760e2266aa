# SPDX-License-Identifier: GPL-2.0-or-later
"""A dataset whose samples are altered by chance."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset


class AlteredSamples(Dataset[Any]):
    """The samples of a dataset, differently in each epoch.

    Args:
        samples: the labelled images.
        alter: makes a sample from the dataset, the number of a sample and the generator that decides.
        seed: of all chance.
    """

    def __init__(self, samples: Any, alter: Callable[[Any, int, np.random.Generator], Any], seed: int) -> None:
        self._samples = samples
        self._alter = alter
        self._seed = seed

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Any:
        # torch seeds every worker anew in each epoch: a generator from it repeats with the run's seed only
        generator = np.random.default_rng((self._seed, index, int(torch.randint(2**31, ()))))
        return self._alter(self._samples, index, generator)
