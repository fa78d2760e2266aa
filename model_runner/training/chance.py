# SPDX-License-Identifier: GPL-2.0-or-later
"""How much of a figure on the validation images is chance."""

import copy
import math

from model_runner.training.recipes.recipe import Metric

GROUPS = 8


def standard_error(metric: Metric) -> float:
    """Standard error of a metric's first figure over the images that it has seen; 0 where there are too few to tell.

    By the jackknife over groups of images (Quenouille 1956, Tukey 1958): the images are dealt into at most eight
    groups, and the figure is computed as often, each time without one of them. With t_i these figures and g their
    number, it is the root of (g - 1) / g times the sum of (t_i - mean of t)².
    """
    names = sorted(metric.seen)
    count = min(GROUPS, len(names))
    if count < 2:
        return 0.0
    figures = [_without(metric, set(names[first::count])) for first in range(count)]
    mean = math.fsum(figures) / count
    error = math.sqrt((count - 1) / count * math.fsum((figure - mean) ** 2 for figure in figures))
    return 0.0 if math.isnan(error) else error


def _without(metric: Metric, names: set[str]) -> float:
    rest = copy.copy(metric)
    rest.seen = {name: seen for name, seen in metric.seen.items() if name not in names}
    return next(iter(rest.compute().values()))
