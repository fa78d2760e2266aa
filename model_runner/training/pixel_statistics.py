# SPDX-License-Identifier: GPL-2.0-or-later
"""What the pixels of training images are like, where they are not the colours of 8 bits that networks start from."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from model_runner.contract.model_card import ModelCard
from model_runner.errors import InputError, UnreadableRaster
from model_runner.raster.bands import COLOUR_BANDS, choose_bands
from model_runner.raster.handles import reading
from model_runner.raster.pixels import read_pixels
from model_runner.raster.stretch import Stretch, limits_of
from model_runner.training.datasets.images import Pixels, opened

IMAGES_LOOKED_AT = 200
SAMPLES_PER_IMAGE = 128**2


def pixels_of(card: ModelCard, numbers: tuple[int, ...] = ()) -> Pixels:
    """How images are read for a model; ``numbers`` are the bands that the user chose, perhaps none."""
    limits = card.stretch_limits
    return Pixels(numbers, len(card.bands), Stretch(*zip(*limits, strict=True)) if limits else None)


def pixel_facts(paths: Sequence[Path], numbers: tuple[int, ...], first: ModelCard | None) -> dict[str, Any]:
    """What the card of a new model says of its pixels; nothing where that of the first model, or colours, will do.

    Limits, mean and standard deviation are those of the valid pixels of all images together, as a raster's stretch at
    inference is that of the whole raster.

    Args:
        paths: of the training images.
        numbers: bands that the user chose, first is 1; may be empty.
        first: card of the model to start from.

    Raises:
        InputError: an image has no such bands, or none can be read.
    """
    wanted = COLOUR_BANDS if first is None else len(first.bands)
    count = len(numbers) or wanted
    chosen = paths[:: -(-len(paths) // IMAGES_LOOKED_AT)]
    samples, types, names, is_named = [], set(), (), bool(numbers)
    for path in chosen:
        with suppress(UnreadableRaster), reading(str(path)), opened(path) as raster:
            choice = choose_bands(raster, numbers, count)
            kinds = tuple(raster.dtypes[number - 1] for number in choice.numbers)
            names = names or choice.names
            is_named |= all(raster.descriptions[number - 1] for number in choice.numbers)
            types.add(kinds)
            if set(kinds) != {"uint8"} or count != wanted:
                values, valid = read_pixels(raster, choice, Window(0, 0, raster.width, raster.height))
                pixels = values[:, valid]
                samples.append(pixels[:, :: max(1, -(-pixels.shape[1] // SAMPLES_PER_IMAGE))].astype(np.float64))
    if not types:
        raise InputError(f"None of the {len(chosen)} training images that were looked at can be read.")
    is_8_bit = all(set(kinds) == {"uint8"} for kinds in types)
    if is_8_bit and count == wanted:
        return {"stretch_limits": (), **({"bands": names} if is_named else {})}
    seen = np.concatenate(samples, axis=1)
    limits = [(0.0, 255.0) if is_8_bit else limits_of(band, ModelCard.stretch_percentiles) for band in seen]
    stretched = Stretch(*zip(*limits, strict=True)).apply(seen)
    return {
        "bands": names,
        "mean": tuple(round(float(value), 3) for value in stretched.mean(1)),
        "std": tuple(round(max(float(value), 1.0), 3) for value in stretched.std(1)),
        "stretch_limits": () if is_8_bit else tuple(limits),
    }
