# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster opened as a model wants to see it: its bands, and a ground resolution at which it works."""

from collections.abc import Iterator
from contextlib import contextmanager

from model_runner.contract.model_card import ModelCard, Resolution
from model_runner.contract.task_requests import RasterSource as SourceRequest
from model_runner.errors import InputError
from model_runner.raster.source import RasterSource, open_source
from model_runner.report import Report

ROUNDING = 0.01  # share by which a resolution may miss the model's range


@contextmanager
def open_for_model(request: SourceRequest, card: ModelCard, report: Report) -> Iterator[RasterSource]:
    """Open the raster of a request and log what the user should know of it.

    Raises:
        InputError: bands, extent, mask or resolution do not fit raster or model.
        UnreadableRaster: GDAL cannot read it.
    """
    refusal = card.refuse_bands(len(request.bands)) if request.bands else None
    if refusal:
        raise InputError(refusal)
    if request.resolution and card.resolution and not _knows(card.resolution, request.resolution):
        report.log("warning", f"{_known(card)}; you chose {request.resolution:g} m: do not expect it to find anything.")
    resolution = request.resolution or automatic_resolution(request, card, report)
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


def automatic_resolution(request: SourceRequest, card: ModelCard, report: Report) -> float | None:
    """The ground resolution to work at when the user names none; None keeps the raster's own.

    A raster that is finer than the model has seen is averaged to the resolution at which the model works best. A
    coarser one stays as it is, with a warning: details that are not there cannot be had.
    """
    if card.resolution is None:
        return None
    with open_source(
        request.path,
        band_count=len(card.bands),
        bands=request.bands,
        extent=request.extent,
        extent_crs=request.extent_crs,
    ) as source:
        metres = source.grid.metres_per_pixel
    if metres is None:
        return None
    if _knows(card.resolution, metres):
        return None
    if metres < card.resolution.finest:
        report.log("info", f"{_known(card)}; the raster's {metres:.3g} m are averaged to {card.resolution.best:g} m.")
        return card.resolution.best
    report.log("warning", f"{_known(card)}; the raster has {metres:.3g} m: do not expect it to find anything.")
    return None


def _knows(resolution: Resolution, metres: float) -> bool:
    return resolution.finest * (1 - ROUNDING) <= metres <= resolution.coarsest * (1 + ROUNDING)


def _known(card: ModelCard) -> str:
    return f"Model {card.id} knows {card.resolution.finest:g} to {card.resolution.coarsest:g} m a pixel"
