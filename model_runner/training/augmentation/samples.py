# SPDX-License-Identifier: GPL-2.0-or-later
"""A dataset whose samples are altered by chance."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch.utils.data import Dataset

LAST_SHARE = 0.25  # of the passes


Alter = Callable[[Any, int, np.random.Generator], Any]


class AlteredSamples(Dataset[Any]):
    """The samples of a dataset, again and again, differently each time.

    Sample ``n`` is image ``n % len(self)`` altered in a way that the seed, ``n`` and the number of passes decide, so
    that a training can go on in the middle.

    Args:
        samples: the labelled images.
        alter: makes a sample from the dataset, the number of an image and the generator that decides.
        seed: of all chance.
        alter_at_last: the same for the last quarter of the passes, if these are altered otherwise.

    Attributes:
        passes: over the images that a training makes; none is the last until it is known.
    """

    def __init__(self, samples: Any, alter: Alter, seed: int, alter_at_last: Alter | None = None) -> None:
        self.passes: int | None = None
        self._samples = samples
        self._alter = alter
        self._seed = seed
        self._alter_at_last = alter_at_last or alter

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, number: int) -> Any:
        turn, index = divmod(number, len(self._samples))
        late = self.passes is not None and turn >= (1 - LAST_SHARE) * self.passes
        alter = self._alter_at_last if late else self._alter
        return alter(self._samples, index, np.random.default_rng((self._seed, number)))

    def classes_of(self, index: int) -> list[int]:
        """The numbers of the classes that an image shows."""
        return self._samples.classes_of(index)
