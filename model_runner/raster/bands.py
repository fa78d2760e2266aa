# SPDX-License-Identifier: GPL-2.0-or-later
"""Which bands of a raster a model sees."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from rasterio import DatasetReader
from rasterio.enums import ColorInterp

from model_runner.errors import InputError, UnreadableRaster

COLOUR_NAMES = ("red", "green", "blue")
COLOUR_BANDS = len(COLOUR_NAMES)


@dataclass(frozen=True)
class BandChoice:
    """The bands to read, and what the user should know of the choice.

    ``palette`` (entries, 4) holds red, green, blue and opacity of the values of the only band where these are numbers
    of colours; the band then becomes three. ``alpha`` is the number of the band with the opacity, if there is one that
    is not among those to read. ``names`` are those of the bands that a model sees.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...] = ()
    palette: np.ndarray | None = None
    alpha: int | None = None
    warnings: tuple[str, ...] = ()


def choose_bands(dataset: DatasetReader, wanted: tuple[int, ...], count: int, names: Sequence[str] = ()) -> BandChoice:
    """The ``count`` bands that a model sees.

    Without a choice of the user these are the first ones that are no alpha channel. A palette is expanded to colours,
    and a single grey band is shown three times, to models that want three bands.

    Args:
        dataset: the raster.
        wanted: band numbers that the user chose, first is 1; empty if none.
        count: how many bands the model wants.
        names: what these show; a raster that has them at other places is told.

    Raises:
        InputError: the raster has no such bands, too few of them, or bands of complex numbers.
        UnreadableRaster: the raster has no bands at all.
    """
    _refuse_without_bands(dataset)
    choice = _chosen(dataset, wanted, count) if wanted else _default(dataset, count, names)
    choice = replace(
        choice,
        names=band_names(dataset, choice.numbers) if choice.palette is None else COLOUR_NAMES,
        alpha=_alpha_besides(dataset, choice.numbers),
    )
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


def _default(dataset: DatasetReader, count: int, names: Sequence[str]) -> BandChoice:
    numbers = tuple(
        number
        for number, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True)
        if meaning is not ColorInterp.alpha
    )
    if len(numbers) >= count:
        return BandChoice(numbers[:count], warnings=_found_elsewhere(dataset, numbers[:count], names))
    if len(numbers) == 1 and count == COLOUR_BANDS:
        palette = _palette(dataset, numbers[0])
        if palette is not None:
            return BandChoice(numbers, palette=palette)
        return BandChoice(
            numbers * count,
            warnings=(f"{dataset.name} has one band and the model wants {count}; the band is used {count} times.",),
        )
    raise InputError(
        f"The model wants {count} bands and {dataset.name} has {len(numbers)}, alpha not counted; choose another "
        f"raster or model, or name {count} bands, the same one several times if need be."
    )


def _found_elsewhere(dataset: DatasetReader, numbers: tuple[int, ...], names: Sequence[str]) -> tuple[str, ...]:
    """What to say of a raster that has all bands of these names, but not as the numbers."""
    told = [each.casefold() for each in band_names(dataset, dataset.indexes)]
    wanted = [each.casefold() for each in names]
    if not wanted or not set(wanted) <= set(told):
        return ()
    places = tuple(told.index(each) + 1 for each in wanted)
    if all(told[number - 1] == name for number, name in zip(numbers, wanted, strict=True)):
        return ()
    chosen, better = (",".join(map(str, each)) for each in (numbers, places))
    return (
        f"The model has learnt from {', '.join(names)}, the bands {better} of {dataset.name} by their names, and "
        f"{chosen} are used; choose the bands {better} if the names are right.",
    )


def band_names(dataset: DatasetReader, numbers: Sequence[int]) -> tuple[str, ...]:
    """What bands show, as far as the file tells; the first three, if it tells nothing, are taken for colours."""
    descriptions, colours = dataset.descriptions, dataset.colorinterp  # of all bands, looked up anew each time
    names = []
    for number in numbers:
        told, colour = descriptions[number - 1], colours[number - 1]
        if not told and colour in (ColorInterp.undefined, ColorInterp.gray):
            told = COLOUR_NAMES[number - 1] if number <= COLOUR_BANDS <= dataset.count else ""
        names.append(told or (colour.name if colour != ColorInterp.undefined else f"band {number}"))
    return tuple(names)


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
