# SPDX-License-Identifier: GPL-2.0-or-later
"""The ground resolution at which a model works on a raster."""

import numpy as np
import pytest
from affine import Affine

from model_runner.contract.model_card import Licence, ModelCard, ModelClass, Resolution
from model_runner.contract.task_requests import ChangeRequest, RasterSource
from model_runner.errors import InputError
from model_runner.inference.opening import open_for_model, open_pair_for_model
from model_runner.report import Report

CARD = ModelCard(
    id="ships-l0",
    title="Ships",
    task="detect",
    network="oriented_rcnn_l0",
    classes=(ModelClass("ship", "#1f78b4"),),
    resolution=Resolution(0.2, 0.3, 0.6),
    licence=Licence("CC0-1.0"),
)
UNKNOWN = "its results will hardly be right"


class Lines(Report):
    def __init__(self):
        self.texts = {"info": [], "warning": []}

    def log(self, level, text):
        self.texts[level].append(text)


@pytest.fixture
def opened(make_raster):
    """Opens a raster of square pixels: its working resolution in metres and the warnings."""

    def look(metres, height=None, side=64, **options):
        transform = Affine(metres, 0, 400_000, 0, -(height or metres), 5_800_000)
        raster = make_raster("a.tif", np.full((3, side, side), 9, np.uint8), transform=transform)
        report = Lines()
        with open_for_model(RasterSource(raster, **options), CARD, report) as source:
            return source.grid.metres_per_pixel, report.texts["warning"]

    return look


@pytest.mark.parametrize("metres", [0.2, 0.3, 0.5, 0.6])
def test_a_resolution_that_the_model_knows_is_kept(opened, metres):
    worked_at, warnings = opened(metres)
    assert worked_at == pytest.approx(metres, rel=0.002)  # the map's scale
    assert not warnings


def test_a_finer_raster_is_averaged_to_the_best_resolution(opened):
    worked_at, warnings = opened(0.05, side=256)
    assert worked_at == pytest.approx(0.3, rel=0.1)  # whole pixels
    assert not warnings


@pytest.mark.parametrize(("metres", "warns"), [(0.1, True), (0.18, False)])
def test_a_raster_of_which_averaging_leaves_too_few_pixels_is_told(opened, metres, warns):
    _, warnings = opened(metres)  # 21 and 38 pixels of 0.3 m
    assert ["sees 21 pixels" in each for each in warnings] == [True] * warns


def test_a_coarser_raster_is_kept_with_a_warning(opened):
    worked_at, warnings = opened(10)
    assert worked_at == pytest.approx(10, rel=0.002)
    assert len(warnings) == 1
    assert UNKNOWN in warnings[0]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_without_reference_system_is_kept_with_a_warning_of_what_the_model_knows(make_raster):
    raster, report = (
        make_raster("a.tif", np.full((3, 64, 64), 9, np.uint8), transform=Affine.identity(), crs=None),
        Lines(),
    )
    with open_for_model(RasterSource(raster), CARD, report) as source:
        assert (source.grid.width, source.grid.height) == (64, 64)
    assert [each for each in report.texts["warning"] if "knows 0.2 to 0.6 m" in each and "unknown" in each]


@pytest.mark.parametrize(("chosen", "known"), [(0.25, True), (0.6, True), (0.1, False), (5.0, False)])
def test_a_chosen_resolution_is_obeyed_and_an_unknown_one_is_told(opened, chosen, known):
    worked_at, warnings = opened(0.5, resolution=chosen)
    assert worked_at == pytest.approx(chosen, rel=0.1)
    assert bool(warnings) != known
    assert all(f"you chose {chosen:g} m" in each and UNKNOWN in each for each in warnings)


@pytest.mark.parametrize(("width", "height", "side"), [(0.3, 0.31, 0.305), (0.12, 0.3, 0.3), (0.5, 0.25, 0.5)])
def test_pixels_that_are_no_squares_become_squares_of_their_longer_side(opened, width, height, side):
    worked_at, warnings = opened(width, height)
    assert worked_at == pytest.approx(side, rel=0.03)
    assert not warnings


def test_both_dates_of_a_pair_are_brought_to_a_resolution_that_the_model_knows(make_raster):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 300, 300)).astype(np.uint8)
    fine, finer = Affine(0.05, 0, 400_000, 0, -0.05, 5_800_000), Affine(0.04, 0, 400_000, 0, -0.04, 5_800_000)
    before, after = make_raster("b.tif", pixels, transform=fine), make_raster("a.tif", pixels, transform=finer)
    report = Lines()
    with open_pair_for_model(ChangeRequest(RasterSource(before), after, "c.tif"), CARD, report) as (pair, figures):
        assert pair.grid.metres_per_pixel == pytest.approx(0.3, rel=0.01)
        assert (pair.grid.width, pair.grid.height) == (40, 40)  # what both have
    assert (figures.metres_before, figures.metres_after) == pytest.approx((0.05, 0.04), rel=0.01)
    assert report.texts["warning"] == []


def test_the_bands_of_both_dates_must_fit_the_model(make_raster):
    raster = make_raster("a.tif", np.ones((4, 20, 20), np.uint8))
    request = ChangeRequest(RasterSource(raster, bands=(1, 2, 3)), raster, "c.tif", after_bands=(4, 3))
    with (
        pytest.raises(InputError, match="you chose 2"),
        open_pair_for_model(request, CARD, Report()),
    ):
        pass
