# SPDX-License-Identifier: GPL-2.0-or-later
"""How large training samples are when the user does not say."""

import pytest

from model_runner.training.recipes import find_recipe

NETWORKS = {"detect": "oriented_rcnn_l0", "segment": "unetformer_l0", "change": "a2net_l0"}


@pytest.mark.parametrize("task", NETWORKS)
def test_samples_are_no_larger_than_the_images(task):
    recipe = find_recipe(task, NETWORKS[task])
    assert recipe.sample_side(1024, lambda: 250) == 256
    assert recipe.sample_side(256, lambda: 3000) == 256
    assert recipe.sample_side(1024, lambda: 20) == 96


def test_scenes_fill_samples_whatever_their_size():
    asked = []
    assert find_recipe("classify", "classifier_l0").sample_side(256, lambda: asked.append("all images")) == 224
    assert not asked
