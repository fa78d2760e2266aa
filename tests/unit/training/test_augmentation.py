# SPDX-License-Identifier: GPL-2.0-or-later
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.rotated_boxes.geometry import corners, long_side_first
from model_runner.training.augmentation.affine import MEAN_COLOUR, MIRRORS, place_on_canvas
from model_runner.training.augmentation.colours import LUMINANCE, jitter_colours
from model_runner.training.augmentation.objects import (
    ObjectAugmentation,
    flip,
    join_mosaic,
    rotate,
    transform,
    visible_parts,
)
from model_runner.training.datasets.objects import Sample

SEEDS = st.integers(0, 2**32 - 1)


def sample_of(image, boxes, labels=None):
    labels = torch.arange(len(boxes)) if labels is None else labels
    return Sample(image, boxes, labels, labels % 2 == 1, "name")


def drawn(height, width, box, supersampling=4):
    """A black image with a white filled box, its border antialiased."""
    steps = (torch.arange(max(height, width) * supersampling) + 0.5) / supersampling
    y, x = torch.meshgrid(steps[: height * supersampling], steps[: width * supersampling], indexing="ij")
    centre_x, centre_y, along, across, angle = box
    offset_x, offset_y = x - centre_x, y - centre_y
    u = offset_x * math.cos(angle) + offset_y * math.sin(angle)
    v = offset_y * math.cos(angle) - offset_x * math.sin(angle)
    inside = ((u.abs() <= along / 2) & (v.abs() <= across / 2)).float()
    grey = torch.nn.functional.avg_pool2d(inside[None], supersampling)[0] * 255
    return grey.round().byte().expand(3, -1, -1).contiguous()


def measured(image):
    """Centre, sides and angle of the only white box in a black image, from the moments of its pixels."""
    weight = image[0].double()
    y, x = torch.meshgrid(*(torch.arange(length) + 0.5 for length in weight.shape), indexing="ij")
    total = weight.sum()
    centre = torch.stack(((weight * x).sum(), (weight * y).sum())) / total
    dx, dy = x - centre[0], y - centre[1]
    xy = (weight * dx * dy).sum()
    spread = torch.stack(((weight * dx * dx).sum(), xy, xy, (weight * dy * dy).sum())).view(2, 2) / total
    variances, directions = torch.linalg.eigh(spread)
    sides = (12 * variances.flip(0)).sqrt()
    return torch.cat((centre, sides, torch.atan2(directions[1, 1], directions[0, 1])[None]))


def turn_between(first, second):
    """The angle in radians between two directions without heads."""
    return abs((float(first - second) + math.pi / 2) % math.pi - math.pi / 2)


@pytest.fixture
def golden(golden_arrays):
    return golden_arrays("ops/pipeline")


@pytest.fixture
def resized(golden):
    return sample_of(golden["resized"].permute(2, 0, 1), golden["resized_boxes"])


@pytest.mark.parametrize("direction", MIRRORS)
def test_flips_are_the_official_ones(golden, resized, direction):
    flipped = flip(resized, direction)
    torch.testing.assert_close(flipped.boxes, golden[f"flip_boxes_{direction}"], atol=1e-4, rtol=0)
    axes = {"horizontal": [2], "vertical": [1], "diagonal": [1, 2]}[direction]
    assert flipped.image.equal(resized.image.flip(axes))
    assert flipped.labels is resized.labels


def test_a_turn_is_the_official_one(golden, resized):
    upright = resized._replace(boxes=long_side_first(resized.boxes))
    turned = rotate(upright, 30, fill=(0, 0, 0))
    assert len(turned.boxes) == 4
    turned = turned.where((turned.boxes[:, 2:4] > 5).all(1))  # the official code drops what is smaller
    torch.testing.assert_close(turned.boxes, golden["rotated30_boxes"], atol=1e-3, rtol=0)
    assert turned.labels.equal(golden["rotated30_labels"])
    assert turned.difficult.equal(turned.labels % 2 == 1)
    difference = (turned.image.permute(1, 2, 0).int() - golden["rotated30"].int()).abs()
    assert difference.max() <= 6  # OpenCV interpolates at 32nds of a pixel
    assert difference.float().mean() < 0.5


@pytest.mark.parametrize("quarters", [1, 2, 3, 4])
def test_quarter_turns_move_pixels_without_interpolation(quarters):
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    turned = rotate(sample_of(image, torch.zeros(0, 5)), 90 * quarters).image
    assert (turned.int() - torch.rot90(image, quarters, (1, 2)).int()).abs().max() <= 1


@given(st.floats(-180, 180), st.sampled_from([(1, 1), *MIRRORS.values()]), st.floats(0.6, 1.6), st.floats(-1.57, 1.57))
@settings(max_examples=25)
def test_boxes_go_where_their_pixels_go(degrees, mirror, scale, angle):
    box = torch.tensor([[53.0, 41.5, 30, 12, angle]])
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    linear = scale * np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(mirror)
    sample = sample_of(drawn(90, 100, box[0].tolist()), box)
    moved = transform(sample, linear, np.array([50.3, 44.9]), 110, 120, fill=(0, 0, 0))
    found = measured(moved.image)
    assert (found[:2] - moved.boxes[0, :2]).abs().max() < 0.2  # half a pixel would be a mistake
    assert (found[2:4] - moved.boxes[0, 2:4]).abs().max() < 0.5
    assert turn_between(found[4], moved.boxes[0, 4]) < 0.02
    assert -math.pi / 2 <= moved.boxes[0, 4] < math.pi / 2


def test_the_canvas_beyond_the_image_shows_the_fill():
    image = torch.full((3, 20, 30), 200, dtype=torch.uint8)
    canvas = transform(sample_of(image, torch.zeros(0, 5)), np.eye(2), np.array([15, 10]), 40, 50, (1, 2, 3)).image
    assert canvas[:, 10:30, 10:40].eq(200).all()
    assert canvas[:, :10].eq(torch.tensor([1, 2, 3]).view(3, 1, 1)).all()
    assert canvas[:, :, 40:].eq(torch.tensor([1, 2, 3]).view(3, 1, 1)).all()
    away = transform(sample_of(image, torch.zeros(0, 5)), np.eye(2), np.array([500, 500]), 8, 8, (1, 2, 3)).image
    assert away.eq(torch.tensor([1, 2, 3]).view(3, 1, 1)).all()


def test_objects_outside_and_small_ones_are_dropped():
    inside = [[10.0, 10, 12, 8, 0], [19, 10, 40, 8, 0], [9, 9, 40, 3, 0]]
    outside, small = [21, 10, 12, 8, 0], [9, 9, 9, 1.9, 0]
    boxes = torch.tensor([*inside, outside, small])
    image = torch.zeros(3, 20, 20, dtype=torch.uint8)
    kept = rotate(sample_of(image, boxes), 0)
    assert kept.labels.tolist() == [0, 1, 2]
    torch.testing.assert_close(kept.boxes, boxes[:3])


@given(SEEDS, st.integers(40, 300), st.integers(40, 300), st.sampled_from([64, 96, 160]))
@settings(max_examples=40)
def test_a_random_sample_has_the_asked_size_and_keeps_an_object(seed, height, width, side):
    generator = np.random.default_rng(seed)
    centres = generator.uniform((1, 1), (width - 1, height - 1), (4, 2))
    boxes = torch.tensor(np.column_stack((centres, np.tile([20.0, 10.0, 0.4], (4, 1)))), dtype=torch.float32)
    image = torch.from_numpy(generator.integers(0, 256, (3, height, width), dtype=np.uint8))
    augmented = ObjectAugmentation(side)(sample_of(image, boxes), generator)
    assert augmented.image.shape == (3, side, side)
    assert augmented.image.dtype is torch.uint8
    assert 1 <= len(augmented.boxes) == len(augmented.labels) == len(augmented.difficult)
    assert ((augmented.boxes[:, :2] > 0) & (augmented.boxes[:, :2] < side)).all()


@given(SEEDS)
@settings(max_examples=25)
def test_random_boxes_lie_on_their_objects(seed):
    box = torch.tensor([[130.0, 95, 44, 18, 0.7]])
    sample = sample_of(drawn(200, 240, box[0].tolist()), box)
    augment = ObjectAugmentation(400, jitter=0, fill=(0, 0, 0))  # no object reaches beyond so large a canvas
    augmented = augment(sample, np.random.default_rng(seed))
    found = measured(augmented.image)
    reach = corners(augmented.boxes)
    if reach.min() > 1 and reach.max() < 399:
        assert (found[:2] - augmented.boxes[0, :2]).abs().max() < 0.2  # half a pixel would be a mistake
        assert (found[2:4] - augmented.boxes[0, 2:4]).abs().max() < 0.5
        assert turn_between(found[4], augmented.boxes[0, 4]) < 0.02


def test_larger_images_fill_the_canvas_and_smaller_ones_lie_in_it_whole():
    augment = ObjectAugmentation(100, scale=(1, 1), rotation_probability=0, jitter=0, fill=(0, 0, 0))
    for seed in range(20):
        large = sample_of(torch.full((3, 150, 250), 255, dtype=torch.uint8), torch.tensor([[3.0, 3, 20, 10, 0]]))
        small = sample_of(torch.full((3, 30, 40), 255, dtype=torch.uint8), torch.tensor([[3.0, 3, 20, 10, 0]]))
        assert augment(large, np.random.default_rng(seed)).image.eq(255).all()
        whole = augment(small, np.random.default_rng(seed)).image[0].double().sum() / 255
        assert whole == pytest.approx(30 * 40, rel=0.01)


def test_every_object_of_a_large_image_is_shown_at_times_and_the_background_too():
    boxes = torch.tensor([[20.0, 20, 20, 10, 0], [480, 20, 20, 10, 0], [250, 380, 20, 10, 0]])
    image = torch.zeros(3, 400, 500, dtype=torch.uint8)
    augment, generator = ObjectAugmentation(64), np.random.default_rng(0)
    shown = {int(label) for _ in range(40) for label in augment(sample_of(image, boxes), generator).labels}
    assert shown == {0, 1, 2}
    assert augment(sample_of(image, boxes[:0]), generator).boxes.shape == (0, 5)


def test_scales_turns_and_flips_come_as_often_as_told():
    box = torch.tensor([[50.0, 50, 40, 20, 0.3]])
    colours = torch.diag(torch.tensor([255, 255, 255], dtype=torch.uint8))
    image = torch.zeros(3, 100, 100, dtype=torch.uint8)
    image[:, :50, :50], image[:, :50, 50:], image[:, 50:, :50] = colours.view(3, 3, 1, 1)
    sample, generator = sample_of(image, box), np.random.default_rng(5)
    augment = ObjectAugmentation(270, rotation_probability=0, jitter=0)  # shows all of the image
    corners_seen, scales = Counter(), []
    for _ in range(300):
        augmented = augment(sample, generator)
        scales.append(float(augmented.boxes[0, 2]) / 40)
        x, y = augmented.boxes[0, :2].int().tolist()
        corners_seen[tuple(int(augmented.image[:, y - 8, x + side].argmax()) for side in (-8, 8))] += 1
    upright, mirrored = (0, 1), [(1, 0), (2, 0), (0, 2)]
    assert set(corners_seen) <= {upright, *mirrored}
    assert all(50 < count < 100 for count in corners_seen.values())
    assert 0.75 <= min(scales) < 0.8
    assert 1.25 < max(scales) <= 1.3301
    turning = ObjectAugmentation(270, flip_probability=0)
    turned = sum(abs(float(turning(sample, generator).boxes[0, 4]) - 0.3) > 1e-4 for _ in range(300))
    assert 120 < turned < 180


def test_only_the_generator_decides():
    image = torch.randint(0, 256, (3, 120, 90), dtype=torch.uint8)
    sample = sample_of(image, torch.tensor([[50.0, 50, 40, 20, 0.3]]))
    augment = ObjectAugmentation(64)
    first, again, other = (augment(sample, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.image.equal(again.image)
    assert first.boxes.equal(again.boxes)
    assert not first.image.equal(other.image)


def test_each_jitter_changes_what_it_says():
    image = torch.randint(60, 180, (3, 40, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    weights = torch.tensor(LUMINANCE).view(3, 1, 1)

    def changed(**ranges):
        options = {"brightness": 0, "contrast": 0, "saturation": 0, **ranges}
        altered = jitter_colours(image, np.random.default_rng(3), **options)
        assert altered.dtype is torch.uint8
        return altered.float()

    before, grey = image.float(), (image.float() * weights).sum(0)
    assert changed().equal(before)
    ratio = changed(brightness=0.3) / before
    assert (ratio - ratio.mean()).abs().max() < 0.02
    assert 0.7 <= ratio.mean() <= 1.3
    assert abs(ratio.mean() - 1) > 0.01
    contrasted = changed(contrast=0.3)
    assert abs(float((contrasted * weights).sum(0).mean() - grey.mean())) < 1
    assert abs(float(contrasted.std() / before.std()) - 1) > 0.01
    saturated = changed(saturation=0.9)
    assert ((saturated * weights).sum(0) - grey).abs().max() < 1.5
    assert abs(float((saturated - grey).std() / (before - grey).std()) - 1) > 0.01


def test_values_beyond_8_bits_are_cut_off():
    white = jitter_colours(torch.full((3, 4, 4), 250, dtype=torch.uint8), np.random.default_rng(0), 0.9, 0, 0)
    drawn_factor = 1 + 0.9 * np.random.default_rng(0).uniform(-1, 1, 3)[0]
    assert drawn_factor > 1.02
    assert white.eq(255).all()


def test_images_are_placed_in_the_corner_of_a_canvas():
    image = torch.full((3, 4, 6), 9, dtype=torch.uint8)
    canvas = place_on_canvas(image, 8, 10)
    assert canvas[:, :4, :6].eq(9).all()
    assert canvas[:, 4:].eq(torch.tensor(MEAN_COLOUR).view(3, 1, 1)).all()
    assert canvas[:, :, 6:].eq(torch.tensor(MEAN_COLOUR).view(3, 1, 1)).all()


def test_boxes_end_at_the_border_of_the_canvas():
    boxes = torch.tensor([[50.0, 40, 30, 10, 0.3], [95, 40, 40, 20, 0], [50, 2, 60, 20, 0], [97, 77, 30, 10, 0.785398]])
    shown = visible_parts(boxes, 80, 100)
    torch.testing.assert_close(shown[0], boxes[0])
    torch.testing.assert_close(shown[1], torch.tensor([87.5, 40, 25, 20, 0]))
    torch.testing.assert_close(shown[2], torch.tensor([50, 6, 60, 12, 0.0]))
    assert 15 < shown[3, 2] < 30  # the part in the corner, still along the diagonal
    assert shown[3, 4] == pytest.approx(0.785398)


@given(SEEDS)
@settings(max_examples=15)
def test_a_mosaic_shows_four_images_with_their_objects(seed):
    generator = np.random.default_rng(seed)
    augment = ObjectAugmentation(200, scale=(1, 1), rotation_probability=0, flip_probability=0, jitter=0)
    colours = [10, 60, 110, 160]
    box = torch.tensor([[128.0, 128, 20, 12, 0.0]])
    samples = [
        sample_of(torch.full((3, 256, 256), colour, dtype=torch.uint8), box, torch.tensor([number]))
        for number, colour in enumerate(colours)
    ]
    joined = join_mosaic(samples, augment, generator)
    assert joined.image.shape == (3, 200, 200)
    assert {int(joined.image[0, y, x]) for y in (0, 199) for x in (0, 199)} == set(colours)
    assert joined.labels.tolist() == [0, 1, 2, 3]
    for (x, y, *_), label in zip(joined.boxes.tolist(), joined.labels.tolist(), strict=True):
        assert int(joined.image[0, int(y), int(x)]) == colours[label]
