# SPDX-License-Identifier: GPL-2.0-or-later
"""Rasters opened as a model wants to see them: their bands, and a ground resolution at which it works."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import numpy as np

from model_runner.contract.model_card import ModelCard, Resolution
from model_runner.contract.task_requests import ChangeRequest
from model_runner.contract.task_requests import RasterSource as SourceRequest
from model_runner.errors import InputError
from model_runner.raster.colour_matching import match_colours
from model_runner.raster.overlap import NamedGrid
from model_runner.raster.pair import RasterPair, pair_on_first_grid
from model_runner.raster.pair_checks import PairFigures, check_pair, sample_pair
from model_runner.raster.source import RasterSource, open_source
from model_runner.report import Report

ROUNDING = 0.01  # share by which a resolution may miss the model's range
FEWEST_PIXELS = 32  # along the shorter side of an averaged raster, in which a model makes something out


@contextmanager
def open_for_model(
    request: SourceRequest, card: ModelCard, report: Report, within: NamedGrid | None = None
) -> Iterator[RasterSource]:
    """Open the raster of a request at the ground resolution for a model and log what the user should know of it.

    Args:
        request: which pixels of which raster.
        card: of the model.
        report: is told.
        within: another raster; only what lies within that one too is looked at.

    Raises:
        InputError: bands, extent, mask, resolution or the other raster do not fit raster or model.
        UnreadableRaster: GDAL cannot read it.
    """
    refuse_bands(request.bands, card)
    if request.resolution and card.resolution and not knows(card.resolution, request.resolution):
        report.log(
            "warning", f"{known_range(card)}; you chose {request.resolution:g} m: its results will hardly be right."
        )
    resolution = request.resolution or automatic_resolution(request, card, report, within)
    with open_at(request, card, resolution, report, within) as source:
        yield source


@contextmanager
def open_at(
    request: SourceRequest,
    card: ModelCard,
    resolution: float | None,
    report: Report,
    within: NamedGrid | None = None,
) -> Iterator[RasterSource]:
    """Open the raster of a request at a ground resolution in metres; None keeps the raster's own pixels.

    Raises:
        InputError: bands, extent, mask, resolution or the other raster do not fit raster or model.
        UnreadableRaster: GDAL cannot read it.
    """
    with _opened(request, card, resolution, within) as source:
        _tell_warnings(source, report)
        metres = source.grid.metres_per_pixel
        scale = f"{metres:.3g} m a pixel" if metres else "unknown ground resolution"
        report.log("info", f"Looking at {source.grid.width} x {source.grid.height} pixels, {scale}.")
        yield source


@contextmanager
def open_pair_for_model(
    request: ChangeRequest, card: ModelCard, report: Report
) -> Iterator[tuple[RasterPair, PairFigures]]:
    """Open the pair of a request on the earlier raster's working grid and log what is doubtful about it.

    Raises:
        InputError: as ``open_for_model``, for either raster; or they cannot be laid on each other.
        UnreadableRaster: GDAL cannot read one of them.
    """
    after_bands = request.after_bands or request.before.bands
    refuse_bands(after_bands, card)
    with (
        _opened(SourceRequest(request.after, after_bands), card) as after,
        open_for_model(request.before, card, report, within=after.native) as before,
    ):
        _tell_warnings(after, report)
        pair = pair_on_first_grid(before, after)
        sample = sample_pair(pair)
        figures = check_pair(pair, sample, request.match_colours)
        for warning in figures.warnings:
            report.log("warning", warning)
        yield pair.matched(match_colours(sample.before, sample.after)) if request.match_colours else pair, figures


def refuse_bands(bands: Sequence[int], card: ModelCard) -> None:
    """Return only when the bands that the user chose, if any, are as many as the model takes.

    Raises:
        InputError: they are not.
    """
    refusal = card.refuse_bands(len(bands)) if bands else None
    if refusal:
        raise InputError(refusal)


def _opened(
    request: SourceRequest, card: ModelCard, resolution: float | None = None, within: NamedGrid | None = None
) -> AbstractContextManager[RasterSource]:
    return open_source(
        request.path,
        band_count=len(card.bands),
        bands=request.bands,
        band_names=card.bands,
        extent=request.extent,
        extent_crs=request.extent_crs,
        mask=request.mask,
        resolution=resolution,
        percentiles=card.stretch_percentiles,
        limits=card.stretch_limits,
        within=within,
    )


def _tell_warnings(source: RasterSource, report: Report) -> None:
    for warning in source.warnings:
        report.log("warning", warning)


def automatic_resolution(
    request: SourceRequest, card: ModelCard, report: Report, within: NamedGrid | None = None
) -> float | None:
    """The ground resolution to work at when the user names none; None keeps the raster's own.

    A raster that is finer than the model has seen is averaged to the resolution at which the model works best. A
    coarser one stays as it is, with a warning: details that are not there cannot be had; so does one without reference
    system, whose resolution is unknown. Pixels that are no squares on the ground, as those of geographic rasters far
    from the equator, become squares of their longer side.
    """
    with _opened(replace(request, mask=None), card, within=within) as source:
        across, down = source.grid.width, source.grid.height
        sides = source.grid.metres_along_axes_at(across / 2, down / 2)
        oblong = source.grid.oblong_sides
    if sides is None:
        warn_of_unknown_scale(card, report)
        return None
    metres, known = max(sides), card.resolution
    if known and metres < known.finest * (1 - ROUNDING):
        report.log("info", f"{known_range(card)}; the raster's {metres:.3g} m are averaged to {known.best:g} m.")
        left = min(across * sides[0], down * sides[1]) / known.best
        if left < FEWEST_PIXELS:
            report.log(
                "warning",
                f"At {known.best:g} m a pixel the model sees {left:.0f} pixels across the shorter side: too few to "
                "tell anything; choose a model for finer rasters.",
            )
        return known.best
    if known and not knows(known, metres):
        report.log("warning", f"{known_range(card)}; the raster has {metres:.3g} m: its results will hardly be right.")
    if oblong is None:
        return None
    report.log("info", f"The raster's pixels measure {sides[0]:.3g} x {sides[1]:.3g} m; they are made squares.")
    return metres


def knows(resolution: Resolution, metres: float | np.ndarray) -> bool | np.ndarray:
    """Whether a model works at so many metres per pixel, or at which of several."""
    return (resolution.finest * (1 - ROUNDING) <= metres) & (metres <= resolution.coarsest * (1 + ROUNDING))


def known_range(card: ModelCard) -> str:
    """In words, at which ground resolutions a model works."""
    return f"Model {card.id} knows {card.resolution.finest:g} to {card.resolution.coarsest:g} m a pixel"


def warn_of_unknown_scale(card: ModelCard, report: Report) -> None:
    """Tell that nobody can check whether a model knows the ground resolution of what has no reference system."""
    if card.resolution:
        report.log(
            "warning",
            f"{known_range(card)}; the ground resolution here is unknown without a reference system: if it is another, "
            "the results will hardly be right.",
        )
