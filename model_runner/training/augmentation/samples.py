# SPDX-License-Identifier: GPL-2.0-or-later
"""A dataset whose samples are altered by chance."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch.utils.data import Dataset


class AlteredSamples(Dataset[Any]):
    """The samples of a dataset, again and again, differently each time.

    Sample ``n`` is image ``n % len(self)`` altered in a way that the seed and ``n`` alone decide, so that a training
    can go on in the middle.

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

    def __getitem__(self, number: int) -> Any:
        index = number % len(self._samples)
        return self._alter(self._samples, index, np.random.default_rng((self._seed, number)))

    def classes_of(self, index: int) -> list[int]:
        """The numbers of the classes that an image shows."""
        return self._samples.classes_of(index)
