# SPDX-License-Identifier: GPL-2.0-or-later
"""Several views of a tile, whose mean is a little better than one."""

from collections.abc import Callable

from torch import Tensor

MIRRORED = ((), (-1,), (-2,), (-2, -1))  # axes along which a view is turned round


def mean_of_mirrored_views(predict: Callable[..., Tensor], *images: Tensor) -> Tensor:
    """The mean of four predictions, one view after the other to need no more memory than one.

    Args:
        predict: from images to maps (n, C, h, w).
        images: (n, bands, h, w) each, mirrored alike.
    """
    maps = (predict(*(each.flip(axes) for each in images)).flip(axes) for axes in MIRRORED)
    return sum(maps) / len(MIRRORED)
