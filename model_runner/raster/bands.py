# SPDX-License-Identifier: GPL-2.0-or-later
"""Which bands of a raster a model sees."""

from dataclasses import dataclass, replace

import numpy as np
from rasterio import DatasetReader
from rasterio.enums import ColorInterp

from model_runner.errors import InputError, UnreadableRaster

COLOUR_BANDS = 3


@dataclass(frozen=True)
class BandChoice:
    """The bands to read, and what the user should know of the choice.

    ``palette`` (entries, 4) holds red, green, blue and opacity of the values of the only band where these are numbers
    of colours; the band then becomes three. ``alpha`` is the number of the band with the opacity, if there is one that
    is not among those to read.
    """

    numbers: tuple[int, ...]
    palette: np.ndarray | None = None
    alpha: int | None = None
    warnings: tuple[str, ...] = ()


def choose_bands(dataset: DatasetReader, wanted: tuple[int, ...], count: int) -> BandChoice:
    """The ``count`` bands that a model sees.

    Without a choice of the user these are the first ones that are no alpha channel. A palette is expanded to colours,
    and a single grey band is shown three times, to models that want three bands.

    Args:
        dataset: the raster.
        wanted: band numbers that the user chose, first is 1; empty if none.
        count: how many bands the model wants.

    Raises:
        InputError: the raster has no such bands, too few of them, or bands of complex numbers.
        UnreadableRaster: the raster has no bands at all.
    """
    _refuse_without_bands(dataset)
    choice = _chosen(dataset, wanted, count) if wanted else _default(dataset, count)
    choice = replace(choice, alpha=_alpha_besides(dataset, choice.numbers))
    complex_bands = [number for number in choice.numbers if "complex" in dataset.dtypes[number - 1]]
    if complex_bands:
        raise InputError(
            f"Band {complex_bands[0]} of {dataset.name} holds complex numbers; convert it to amplitudes first."
        )
    return choice


def _refuse_without_bands(dataset: DatasetReader) -> None:
    if dataset.count:
        return
    if dataset.subdatasets:
        raise InputError(
            f"{dataset.name} is a container of several rasters; choose one of {', '.join(dataset.subdatasets)}."
        )
    raise UnreadableRaster(f"The raster {dataset.name} cannot be read: it has no bands.")


def _chosen(dataset: DatasetReader, wanted: tuple[int, ...], count: int) -> BandChoice:
    beyond = [number for number in wanted if not 1 <= number <= dataset.count]
    if beyond:
        raise InputError(f"{dataset.name} has no band {beyond[0]}; its bands are 1 to {dataset.count}.")
    if len(wanted) != count:
        raise InputError(
            f"The model wants {count} bands and {len(wanted)} were chosen ({','.join(map(str, wanted))}); "
            f"choose {count} of the bands 1 to {dataset.count}, the same one several times if need be."
        )
    return BandChoice(tuple(wanted))


def _default(dataset: DatasetReader, count: int) -> BandChoice:
    numbers = tuple(
        number
        for number, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True)
        if meaning is not ColorInterp.alpha
    )
    if len(numbers) >= count:
        return BandChoice(numbers[:count])
    if len(numbers) == 1 and count == COLOUR_BANDS:
        palette = _palette(dataset, numbers[0])
        if palette is not None:
            return BandChoice(numbers, palette)
        return BandChoice(
            numbers * count,
            warnings=(f"{dataset.name} has one band and the model wants {count}; the band is used {count} times.",),
        )
    raise InputError(
        f"The model wants {count} bands and {dataset.name} has {len(numbers)}, alpha not counted; choose another "
        f"raster or model, or name {count} bands, the same one several times if need be."
    )


def _alpha_besides(dataset: DatasetReader, numbers: tuple[int, ...]) -> int | None:
    meanings = zip(dataset.indexes, dataset.colorinterp, strict=True)
    return next((each for each, meaning in meanings if meaning is ColorInterp.alpha and each not in numbers), None)


def colour_table(dataset: DatasetReader, number: int) -> dict[int, tuple[int, ...]]:
    """Red, green, blue and opacity of a band's values; empty where it has none."""
    if dataset.colorinterp[number - 1] is not ColorInterp.palette:
        return {}
    try:
        return dataset.colormap(number)
    except ValueError:  # called a palette, but without one
        return {}


def _palette(dataset: DatasetReader, number: int) -> np.ndarray | None:
    """Red, green, blue, opacity (entries, 4) for every value that the band can have; None without a colour table."""
    colours = colour_table(dataset, number) if dataset.dtypes[number - 1] in ("uint8", "uint16") else {}
    if not colours:
        return None
    palette = np.zeros((np.iinfo(dataset.dtypes[number - 1]).max + 1, 4), dtype=np.uint8)
    for value, colour in colours.items():
        palette[value] = colour
    return palette
