# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user is told of a doubtful pair."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.raster.colour_matching import match_colours
from model_runner.raster.pair import pair_on_first_grid
from model_runner.raster.pair_checks import check_pair, measure_shift, sample_pair
from model_runner.raster.source import open_source

HALF_METRES = Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)


def scene(height, width, seed=0, coarseness=8):
    """Grey patches (height, width) with some detail, as fields and roofs have."""
    random = np.random.default_rng(seed)
    patches = random.integers(40, 200, (height // coarseness + 1, width // coarseness + 1))
    blocks = patches.repeat(coarseness, 0).repeat(coarseness, 1)[:height, :width]
    return blocks + random.normal(0, 6, (height, width))


def shifted(image, x, y):
    """An image moved by fractions of pixels, cyclically."""
    rows, columns = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])
    return np.fft.irfft2(np.fft.rfft2(image) * np.exp(-2j * np.pi * (columns * x + rows * y)), s=image.shape)


def check(before, after, is_matched=False, after_bands=()):
    with (
        open_source(after, band_count=3, bands=after_bands) as later,
        open_source(before, band_count=3, within=later.native) as earlier,
    ):
        pair = pair_on_first_grid(earlier, later)
        return check_pair(pair, sample_pair(pair), is_matched)


@pytest.fixture
def make_scene(make_raster):
    def make(name, image, **options):
        return make_raster(name, np.stack([image] * 3).clip(0, 255).round().astype(np.uint8), **options)

    return make


@settings(max_examples=25)
@given(st.floats(-20, 20), st.floats(-20, 20), st.integers(0, 99))
def test_a_shift_is_measured_to_a_fraction_of_a_pixel(x, y, seed):
    before = scene(220, 250, seed)
    after = 0.6 * shifted(before, x, y) + 30 + np.random.default_rng(seed + 1).normal(0, 8, before.shape)
    found = measure_shift(before[30:-30, 30:-30], after[30:-30, 30:-30])
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.2)


def test_no_shift_is_found_between_strangers():
    assert measure_shift(scene(200, 200, 1), scene(200, 200, 2, coarseness=11)) is None
    assert measure_shift(np.full((100, 100), 7.0), np.full((100, 100), 7.0)) is None


def test_nothing_is_said_of_two_alike_rasters(make_scene):
    image = scene(300, 400)
    figures = check(make_scene("b.tif", image), make_scene("a.tif", image))
    assert figures.warnings == ()
    assert figures.shift.length == pytest.approx(0, abs=0.02)


def test_a_raster_and_itself_is_told_behind_a_link_too(make_scene, tmp_path):
    raster = make_scene("a.tif", scene(300, 400))
    link = tmp_path / "link.tif"
    link.symlink_to(raster)
    for after in (raster, str(link)):
        (warning,) = check(raster, after).warnings
        assert "are the same one" in warning
        assert after in warning


def test_two_dates_in_one_file_are_no_doubt(make_raster):
    image = np.stack([scene(300, 400)] * 6).clip(0, 255).round().astype(np.uint8)
    raster = make_raster("stack.tif", image)
    assert check(raster, raster, after_bands=(4, 5, 6)).warnings == ()


def test_a_shift_is_told_in_metres_and_with_its_direction(make_scene):
    before = scene(300, 400)
    figures = check(make_scene("b.tif", before), make_scene("a.tif", shifted(before, 4.3, -4.3)))
    (warning,) = figures.warnings
    assert "3 m (6.1 pixels) towards the north-east" in warning
    assert figures.shift_metres == pytest.approx(0.5 * 4.3 * 2**0.5, rel=0.02)


@pytest.mark.parametrize(("pixels", "side"), [(50, 600), (120, 1200), (200, 1800)])
def test_a_shift_that_is_larger_than_windows_show_is_told_too(pixels, side, make_scene):
    image = scene(side, side + pixels, coarseness=30)
    figures = check(make_scene("b.tif", image[:, pixels:]), make_scene("a.tif", image[:, :-pixels]))
    assert figures.shift.x == pytest.approx(pixels, abs=5)
    assert figures.shift.y == pytest.approx(0, abs=5)
    assert "towards the east" in figures.warnings[0]


def test_nothing_is_said_of_strangers(make_scene):
    images = (scene(900, 900, seed, coarseness) for seed, coarseness in ((1, 30), (2, 41)))
    figures = check(*map(make_scene, ("b.tif", "a.tif"), images))
    assert (figures.shift, figures.warnings) == (None, ())


def test_a_shift_in_the_georeference_alone_is_a_shift_too(make_scene):
    image = scene(300, 400)
    moved = Affine.translation(0, -1.5) @ HALF_METRES
    figures = check(make_scene("b.tif", image), make_scene("a.tif", image, transform=moved))
    assert (figures.shift.x, figures.shift.y) == pytest.approx((0, 3), abs=0.05)
    assert "towards the south" in figures.warnings[0]


def test_fractions_of_a_pixel_are_tolerated(make_scene):
    before = scene(300, 400)
    figures = check(make_scene("b.tif", before), make_scene("a.tif", shifted(before, 0.5, 0.5)))
    assert figures.warnings == ()
    assert figures.shift.length == pytest.approx(0.7, abs=0.1)


def test_different_ground_resolutions_are_told_with_both(make_scene):
    fine = make_scene("fine.tif", scene(300, 400))
    coarse = make_scene("coarse.tif", scene(100, 133), transform=HALF_METRES @ Affine.scale(3))
    lines = check(fine, coarse).warnings[0], check(coarse, fine).warnings[0]
    assert "earlier raster has 0.5 m a pixel and the later one 1.5 m" in lines[0]
    assert "work at 1.5 m" in lines[0]
    assert "earlier raster has 1.5 m a pixel and the later one 0.5 m" in lines[1]
    assert "averaged" in lines[1]


def test_very_different_light_is_told_unless_it_will_be_matched(make_scene):
    image = scene(300, 400)
    before, after = make_scene("b.tif", image), make_scene("a.tif", image * 0.4 + 10)
    (warning,) = check(before, after).warnings
    assert "colours are matched" in warning
    assert check(before, after, is_matched=True).warnings == ()


def test_a_raster_without_data_in_common_is_no_trouble(make_scene):
    figures = check(make_scene("b.tif", scene(90, 90) * 0, nodata=0), make_scene("a.tif", scene(90, 90)))
    assert figures.light is None
    assert figures.shift is None


@settings(max_examples=25)
@given(st.floats(0.6, 2.0), st.floats(-40, 40), st.integers(0, 99))
def test_matching_removes_a_linear_change_of_light_whatever_has_changed(gain, offset, seed):
    random = np.random.default_rng(seed)
    before = random.uniform(60, 160, (3, 5000))
    after = np.clip((before - offset) / gain + random.normal(0, 1, before.shape), 0, 255)
    after[:, :750] = random.uniform(0, 255, (3, 750))
    matched = match_colours(before, after).apply(after[:, :, None])[..., 0]
    usable = (after > 0) & (after < 255)
    usable[:, :750] = False
    assert np.abs(matched - before)[usable].mean() < 4
