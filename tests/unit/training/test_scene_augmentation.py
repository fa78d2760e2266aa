# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.training.augmentation.colours import change_colours
from model_runner.training.augmentation.scenes import SceneAugmentation, blend, paste
from model_runner.training.datasets.scenes import LabelledScene

SEEDS = st.integers(0, 2**32 - 1)


def uniform_scene(value, label, side=40):
    image = torch.full((3, side, side), value, dtype=torch.uint8)
    return LabelledScene(image, torch.nn.functional.one_hot(torch.tensor(label), 3).float(), f"{label}")


@given(SEEDS, st.integers(20, 200), st.integers(20, 200))
@settings(max_examples=20)
def test_a_sample_has_the_asked_size_and_only_the_generator_decides(seed, height, width):
    image = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8))
    augment = SceneAugmentation(48)
    first, again, other = (augment(image, np.random.default_rng(each)) for each in (seed, seed, seed + 1))
    assert first.shape == (3, 48, 48)
    assert first.dtype is torch.uint8
    assert first.equal(again)
    assert not first.equal(other)


def test_whole_scenes_come_in_all_eight_directions():
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    augment = SceneAugmentation(32, scale=(1, 1), stretch=1, rotation_probability=0, changes=0)
    views = [torch.rot90(mirrored, turns, (1, 2)).int() for mirrored in (image, image.flip(2)) for turns in range(4)]
    generator, seen = np.random.default_rng(0), set()
    for _ in range(60):
        sample = augment(image, generator).int()
        seen.update(number for number, view in enumerate(views) if (sample - view).abs().max() <= 1)
    assert seen == set(range(8))


@given(SEEDS)
@settings(max_examples=40)
def test_the_part_that_is_shown_is_as_large_as_told(seed):
    across = torch.arange(200, dtype=torch.uint8).expand(200, 200)
    image = torch.stack((across, across.T, torch.zeros_like(across)))
    augment = SceneAugmentation(100, scale=(1.25, 2.5), rotation_probability=0, changes=0)
    sample = augment(image, np.random.default_rng(seed)).int()
    assert sample[:2].amin() >= 0
    spans = [int(channel.max() - channel.min() + 1) for channel in sample[:2]]
    assert 0.16 * 0.9 < spans[0] * spans[1] / 200**2 < 0.64 * 1.1
    assert 0.7 < spans[0] / spans[1] < 1.4


@pytest.mark.parametrize("mix", [blend, paste])
@given(seed=SEEDS)
@settings(max_examples=25)
def test_mixed_scenes_are_labelled_by_their_shares(mix, seed):
    mixed = mix(uniform_scene(200, 0), uniform_scene(0, 2), np.random.default_rng(seed))
    assert float(mixed.shares.sum()) == pytest.approx(1)
    assert float(mixed.image.float().mean() / 200) == pytest.approx(float(mixed.shares[0]), abs=0.004)
    assert mixed.shares[1] == 0
    assert mixed.name == "0"


def test_changes_of_colour_leave_the_scene_recognisable():
    image = torch.randint(40, 200, (3, 30, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    generator = np.random.default_rng(0)
    altered = [change_colours(image, generator, 2) for _ in range(60)]
    assert all(each.shape == image.shape and each.dtype is torch.uint8 for each in altered)
    assert len({bytes(each.numpy().tobytes()) for each in altered}) > 30
    likeness = [np.corrcoef(each[0].flatten(), image[0].flatten())[0, 1] for each in altered]
    assert np.median(likeness) > 0.9
    assert change_colours(image, generator, 0).equal(image)
