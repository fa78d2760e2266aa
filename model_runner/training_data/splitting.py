# SPDX-License-Identifier: GPL-2.0-or-later
"""Which blocks of chips teach, which validate and which test.

Blocks go to a split as a whole. Blocks of later rasters that lie on blocks of earlier ones, such as those of another
date, go with them; chips of different splits that still share ground are thinned out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import shapely

SPLITS = ("train", "val", "test")
SAME_GROUND = 1e-6  # share of the smaller chip, up to which common ground is a matter of rounding


def join_blocks(outlines: Mapping[tuple[int, int, int], shapely.Polygon]) -> dict[tuple[int, int, int], int]:
    """The number of the unit to which each block belongs; units go to a split as a whole.

    Args:
        outlines: of the blocks on common ground, those of the first raster first.
    """
    units: dict[tuple[int, int, int], int] = {}
    earlier: list[tuple[int, int, int]] = []
    index, place = shapely.STRtree([]), None
    for number, block in enumerate(outlines):
        if block[0] != place:
            earlier = [each for each in units if each[0] < block[0]]
            index, place = shapely.STRtree([outlines[each] for each in earlier]), block[0]
        under = index.query(shapely.centroid(outlines[block]), predicate="within")
        units[block] = units[earlier[under.min()]] if len(under) else number
    return units


def split_units(weights: np.ndarray, shares: Sequence[float], generator: np.random.Generator) -> np.ndarray:
    """The split of each unit: number 0, 1 or 2.

    The rarest class is given out first, each of its units, the richest first, to the split that lacks most of it, so
    that every split gets about its share of every class (iterative stratification, Sechidis et al. 2011). A split
    that is wanted gets one unit with labels at least, as long as there are enough: train first.

    Args:
        weights: (units, classes) how much there is of each class; the last column counts chips and is nowhere 0.
        shares: of the splits, adding up to 1.
        generator: decides between equals.
    """
    count = len(weights)
    splits = np.full(count, -1)
    lacking = np.outer(shares, weights.sum(axis=0))
    order = generator.permutation(count)
    while (splits < 0).any():
        open_units = order[splits[order] < 0]
        holders = (weights[open_units] > 0).sum(axis=0)
        rarest = int(np.where(holders > 0, holders, count + 1).argmin())
        unit = open_units[weights[open_units, rarest].argmax()]
        wants = lacking[:, rarest] / max(weights[:, rarest].sum(), 1e-12)
        splits[unit] = np.lexsort((-lacking[:, -1], -wants))[0]
        lacking[splits[unit]] -= weights[unit]
    labels = weights[:, :-1].sum(axis=1)
    for split in sorted(np.flatnonzero(np.asarray(shares) > 0), key=lambda each: -shares[each]):
        holders = np.bincount(splits[labels > 0], minlength=len(shares))
        if not holders[split] and holders.max() > 1:
            givers = np.flatnonzero((splits == holders.argmax()) & (labels > 0))
            splits[givers[labels[givers].argmin()]] = split
    return splits


def without_common_ground(footprints: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Which chips (n,) remain so that chips of different splits have no ground in common.

    Those of test stay before those of val, and these before those for training.

    Args:
        footprints: (n,) polygons on common ground.
        splits: (n,) numbers of the splits.
    """
    keep = np.ones(len(footprints), dtype=bool)
    first, second = shapely.STRtree(footprints).query(footprints, predicate="intersects")
    differ = splits[first] < splits[second]
    first, second = first[differ], second[differ]
    common = shapely.area(shapely.intersection(footprints[first], footprints[second]))
    smaller = np.minimum(shapely.area(footprints[first]), shapely.area(footprints[second]))
    clash = common > SAME_GROUND * smaller
    for split in (1, 0):  # what clashes with a chip that went already may stay
        losing = clash & (splits[first] == split) & keep[second]
        keep[first[losing]] = False
    return keep
