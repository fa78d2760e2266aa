# SPDX-License-Identifier: GPL-2.0-or-later
"""Which images come in which step: a function of the seed and the step alone, so that any step can be the first."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from model_runner.errors import RunnerError
from model_runner.training.plan import Plan


class Part(NamedTuple):
    """Images that go through the network at once, their targets, and their share of the batch."""

    images: Tensor
    targets: Any
    share: float


class Batch(NamedTuple):
    """The images of a step, and what is to be said of those that could not be read."""

    parts: list[Part]
    faults: list[str]


class Unreadable(NamedTuple):
    """Takes the place of a sample that could not be read."""

    fault: str


class Readable(Dataset[Any]):
    """The samples of a dataset; in the place of what cannot be read there is an ``Unreadable``.

    An error that leaves a loader's process would lose its one line to a traceback.
    """

    def __init__(self, samples: Any) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, number: int) -> Any:
        try:
            return self._samples[number]
        except RunnerError as error:
            return Unreadable(str(error))


class Steps(Sampler[list[int]]):
    """The numbers of the samples of each step, from ``first`` to the end of the training.

    Sample ``epoch * images + index`` is what an epoch makes of an image.

    Args:
        plan: of the training.
        weights: (images,), how often an image comes in an epoch, on average; they add up to their number.
        seed: of the order.
        first: the step to begin with.
        rank: of this process.
        processes: that share each batch.
    """

    def __init__(self, plan: Plan, weights: np.ndarray, seed: int, first: int, rank: int, processes: int) -> None:
        self._plan = plan
        self._weights = weights
        self._seed = seed
        self._first = first
        self._rank = rank
        self._processes = processes

    def __len__(self) -> int:
        return self._plan.steps - self._first

    def __iter__(self) -> Iterator[list[int]]:
        size, current = self._plan.batch_size, -1
        for step in range(self._first, self._plan.steps):
            epoch, place = divmod(step, self._plan.steps_per_epoch)
            if epoch != current:
                current, order = epoch, order_of_epoch(self._weights, self._seed, epoch)
            chosen = order[place * size : (place + 1) * size][self._rank :: self._processes]
            yield (epoch * self._plan.images + chosen).tolist()


def order_of_epoch(weights: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The images (n,) of an epoch in a random order; each comes as often as its weight says, rounded by chance."""
    generator = np.random.default_rng((seed, epoch))
    sums = np.cumsum(weights)
    marks = np.floor(sums * (len(weights) / sums[-1]) + generator.uniform()).astype(int)
    marks[-1] = len(weights)
    return generator.permutation(np.repeat(np.arange(len(weights)), np.diff(marks, prepend=0)))


def weights_of_images(shown: np.ndarray) -> np.ndarray:
    """How often each image is to come so that rare classes are seen more often.

    An image counts by the rarest class that it shows: by the square root of how much rarer it is than the most
    frequent one (after Gupta et al., LVIS, CVPR 2019).

    Args:
        shown: bool (images, classes), which classes an image shows.

    Returns:
        (images,), which add up to their number.
    """
    frequency = shown.mean(0)
    rarity = np.sqrt(frequency.max() / np.maximum(frequency, 1 / len(shown)))
    weights = np.maximum((shown * rarity).max(1), 1.0)
    return weights * (len(weights) / weights.sum())


def training_loader(
    samples: Any, steps: Steps, collate: Callable, parts: int, workers: int, pin_memory: bool
) -> DataLoader:
    """The batches of a training from one step to its end, each in so many parts."""
    return DataLoader(
        Readable(samples),
        batch_sampler=steps,
        num_workers=_as_many_as_cores(workers),
        collate_fn=partial(_collate, collate, parts),
        pin_memory=pin_memory,
        worker_init_fn=_end_in_silence,
    )


def validation_loader(
    samples: Any, collate: Callable, size: int, workers: int, rank: int, processes: int
) -> DataLoader:
    """The validation images of a process, each once, as batches of one part.

    Where processes are no forks, each would import all it needs anew, for every validation: there is none then.
    """
    workers = workers if multiprocessing.get_start_method() == "fork" else 0
    own = list(range(rank, len(samples), processes))
    return DataLoader(
        Readable(samples),
        batch_sampler=[own[start : start + size] for start in range(0, len(own), size)],
        num_workers=_as_many_as_cores(workers),
        collate_fn=partial(_collate, collate, 1),
        worker_init_fn=_end_in_silence,
    )


def _as_many_as_cores(workers: int) -> int:
    """So many processes, but no more than the cores that this one may use, of which PyTorch would warn."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(workers, cores)


def _end_in_silence(worker: int) -> None:
    """Let a loader's process, when it is asked to end, do so as after Ctrl+C.

    Systems ask all processes of a training at once; one that was killed would be a fault in the eyes of the others,
    which are about to keep the best model.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _collate(collate: Callable, parts: int, samples: list) -> Batch:
    good = [each for each in samples if not isinstance(each, Unreadable)]
    faults = [each.fault for each in samples if isinstance(each, Unreadable)]
    groups = [group for group in np.array_split(np.arange(len(good)), parts) if len(group)]
    return Batch([Part(*collate([good[index] for index in group]), len(group) / len(good)) for group in groups], faults)
