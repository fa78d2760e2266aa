# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.training.augmentation.maps import MapAugmentation
from model_runner.training.datasets.maps import IGNORED, LabelledMap
from model_runner.training.recipes.maps import collate_maps

SEEDS = st.integers(0, 2**32 - 1)
PLAIN = {"jitter": 0.0, "hues": 0.0}


def shape_map(height, width, dates=1):
    """A white ellipse on black, off the middle, and its mask."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    inside = ((x / width - 0.4) / 0.3) ** 2 + ((y / height - 0.6) / 0.2) ** 2 + (x - y).abs() / 4000 < 1
    image = (inside * 255).byte().expand(dates, 3, -1, -1)
    return LabelledMap(image.contiguous(), inside.byte(), "ellipse")


@given(SEEDS, st.integers(60, 260), st.integers(60, 260), st.sampled_from([1, 2]))
@settings(max_examples=40)
def test_the_mask_of_a_shape_is_where_its_pixels_are(seed, height, width, dates):
    augment = MapAugmentation(128, (0.6, 1.7), **PLAIN)
    altered = augment(shape_map(height, width, dates), np.random.default_rng(seed))
    assert altered.images.shape == (dates, 3, 128, 128)
    assert altered.labels.dtype is torch.uint8
    labelled = altered.labels != IGNORED
    for image in altered.images:
        strange = ((image[0] > 127) != (altered.labels == 1)) & labelled
        assert strange.float().mean() < 0.02  # at most a seam: a shift by a pixel or two would show
        sure = ((image[0] < 40) | (image[0] > 215)) & labelled
        assert not (strange & sure).any()


@given(SEEDS)
@settings(max_examples=20)
def test_what_is_beyond_the_image_has_the_label_that_was_told(seed):
    blank = LabelledMap(torch.full((2, 3, 40, 40), 255, dtype=torch.uint8), torch.ones(40, 40, dtype=torch.uint8), "a")
    for beyond in (0, IGNORED):
        augment = MapAugmentation(96, (1, 1), beyond=beyond, **PLAIN)
        altered = augment(blank, np.random.default_rng(seed))
        outside = altered.labels == beyond
        assert outside.sum() > 96 * 96 - 41 * 41
        middle = altered.images[0, 0] == 255
        assert (middle & outside).sum() < 100  # pixels on the border


def test_dates_share_their_geometry_but_not_their_light_and_are_swapped():
    pair = shape_map(100, 120, dates=2)
    pair.images[1] //= 2
    augment = MapAugmentation(64, (0.8, 1.2), swap_probability=0.5, jitter=0.2, hues=0.1, beyond=0)
    generator, swapped = np.random.default_rng(0), 0
    lights = set()
    for _ in range(60):
        images = augment(pair, generator).images.float()
        bright = images.amax((2, 3)).mean(1)
        swapped += bool(bright[0] < bright[1])
        lights.add(tuple(images[:, :, 30, 30].int().flatten().tolist()))
    assert 15 < swapped < 45
    assert len(lights) > 20


def test_samples_of_a_single_class_are_avoided():
    labels = torch.zeros(200, 200, dtype=torch.uint8)
    labels[:, 100:] = 1
    sample = LabelledMap(torch.zeros(1, 3, 200, 200, dtype=torch.uint8), labels, "half")
    shares = {}
    for largest in (0.75, 1.0):
        augment, generator = MapAugmentation(64, (1, 1), largest_share=largest), np.random.default_rng(0)
        drawn = [augment(sample, generator).labels for _ in range(40)]
        shares[largest] = np.mean([float(each.float().mean()) in (0.0, 1.0) for each in drawn])
    assert shares[1.0] > 0.3
    assert shares[0.75] < 0.15


def test_a_batch_has_all_earlier_images_first_on_canvases_of_one_size():
    first, second = shape_map(50, 120, dates=2), shape_map(100, 90, dates=2)
    first.images[1].zero_()
    images, targets = collate_maps([first, second])
    assert images.shape == (4, 3, 128, 128)
    assert images[0, :, :50, :120].equal(first.images[0])
    assert images[3, :, :100, :90].equal(second.images[1])
    assert targets.labels.shape == (2, 128, 128)
    assert targets.labels[0, 50:].eq(IGNORED).all()
    assert targets.labels[1, :100, :90].equal(second.labels)
    assert targets.names == ("ellipse", "ellipse")


def test_only_the_generator_decides():
    augment, sample = MapAugmentation(64, (0.8, 1.2), swap_probability=0.5, hues=0.1), shape_map(80, 90, 2)
    first, again, other = (augment(sample, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.images.equal(again.images)
    assert first.labels.equal(again.labels)
    assert not first.images.equal(other.images)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_hues_stay_within_8_bits(value):
    image = torch.full((1, 3, 64, 64), value, dtype=torch.uint8)
    sample = LabelledMap(image, torch.zeros(64, 64, dtype=torch.uint8), "grey")
    augment = MapAugmentation(64, (1, 1), rotation_probability=0, jitter=0, hues=0.5)
    bands = augment(sample, np.random.default_rng(1)).images[0].float().mean((1, 2))
    assert ((bands >= 0.49 * value) & (bands <= min(255, 1.51 * value))).all()
    assert value == 0 or bands.std() > 0
