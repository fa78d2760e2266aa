# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster opened as a model wants to see it: its bands, and a ground resolution at which it works."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from model_runner.contract.model_card import ModelCard, Resolution
from model_runner.contract.task_requests import RasterSource as SourceRequest
from model_runner.errors import InputError
from model_runner.raster.source import RasterSource, open_source
from model_runner.report import Report

ROUNDING = 0.01  # share by which a resolution may miss the model's range
MOST_OBLONG = 1.05  # longer over shorter side of a pixel that passes for a square


@contextmanager
def open_for_model(request: SourceRequest, card: ModelCard, report: Report) -> Iterator[RasterSource]:
    """Open the raster of a request at the ground resolution for a model and log what the user should know of it.

    Raises:
        InputError: bands, extent, mask or resolution do not fit raster or model.
        UnreadableRaster: GDAL cannot read it.
    """
    refuse_bands(request, card)
    if request.resolution and card.resolution and not knows(card.resolution, request.resolution):
        report.log(
            "warning", f"{known_range(card)}; you chose {request.resolution:g} m: do not expect it to find anything."
        )
    resolution = request.resolution or automatic_resolution(request, card, report)
    with open_at(request, card, resolution, report) as source:
        yield source


@contextmanager
def open_at(
    request: SourceRequest, card: ModelCard, resolution: float | None, report: Report
) -> Iterator[RasterSource]:
    """Open the raster of a request at a ground resolution in metres; None keeps the raster's own pixels.

    Raises:
        InputError: bands, extent, mask or resolution do not fit raster or model.
        UnreadableRaster: GDAL cannot read it.
    """
    with open_source(
        request.path,
        band_count=len(card.bands),
        bands=request.bands,
        extent=request.extent,
        extent_crs=request.extent_crs,
        mask=request.mask,
        resolution=resolution,
        percentiles=card.stretch_percentiles,
    ) as source:
        for warning in source.warnings:
            report.log("warning", warning)
        metres = source.grid.metres_per_pixel
        scale = f"{metres:.3g} m a pixel" if metres else "unknown ground resolution"
        report.log("info", f"Looking at {source.grid.width} x {source.grid.height} pixels, {scale}.")
        yield source


def refuse_bands(request: SourceRequest, card: ModelCard) -> None:
    """Return only when the bands that the user chose, if any, are as many as the model takes.

    Raises:
        InputError: they are not.
    """
    refusal = card.refuse_bands(len(request.bands)) if request.bands else None
    if refusal:
        raise InputError(refusal)


def automatic_resolution(request: SourceRequest, card: ModelCard, report: Report) -> float | None:
    """The ground resolution to work at when the user names none; None keeps the raster's own.

    A raster that is finer than the model has seen is averaged to the resolution at which the model works best. A
    coarser one stays as it is, with a warning: details that are not there cannot be had. Pixels that are no squares
    on the ground, as those of geographic rasters far from the equator, become squares of their longer side.
    """
    with open_source(
        request.path,
        band_count=len(card.bands),
        bands=request.bands,
        extent=request.extent,
        extent_crs=request.extent_crs,
    ) as source:
        sides = source.grid.metres_along_axes_at(source.grid.width / 2, source.grid.height / 2)
    if sides is None:
        return None
    metres, known = max(sides), card.resolution
    if known and metres < known.finest * (1 - ROUNDING):
        report.log("info", f"{known_range(card)}; the raster's {metres:.3g} m are averaged to {known.best:g} m.")
        return known.best
    if known and not knows(known, metres):
        report.log("warning", f"{known_range(card)}; the raster has {metres:.3g} m: do not expect it to find anything.")
    if metres <= MOST_OBLONG * min(sides):
        return None
    report.log("info", f"The raster's pixels measure {sides[0]:.3g} x {sides[1]:.3g} m; they are made squares.")
    return metres


def knows(resolution: Resolution, metres: float | np.ndarray) -> bool | np.ndarray:
    """Whether a model works at so many metres per pixel, or at which of several."""
    return (resolution.finest * (1 - ROUNDING) <= metres) & (metres <= resolution.coarsest * (1 + ROUNDING))


def known_range(card: ModelCard) -> str:
    """In words, at which ground resolutions a model works."""
    return f"Model {card.id} knows {card.resolution.finest:g} to {card.resolution.coarsest:g} m a pixel"
