# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures that differ by chance alone."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.training.chance import standard_error
from model_runner.training.fit import fit
from model_runner.training.recipes.scenes import SceneMetric, SceneRecipe, SceneTargets
from tests.lines import Lines
from tests.unit.training.two_kinds import CARD


def seen(right, wrong):
    """A metric that has seen so many images named rightly and wrongly, in a random order."""
    order = torch.randperm(right + wrong, generator=torch.Generator().manual_seed(0)) < right
    metric, shares = SceneMetric(), torch.tensor([1.0, 0.0]).expand(right + wrong, 2)
    logits = torch.where(order[:, None], torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    names = tuple(f"{index:04}" for index in range(right + wrong))
    metric.update(nn.Identity(), logits, SceneTargets(shares, names))
    return metric


@pytest.mark.parametrize(("right", "wrong"), [(6, 2), (1, 7)])
def test_the_standard_error_of_a_share_is_that_of_the_binomial_distribution(right, wrong):
    share, count = right / (right + wrong), right + wrong
    assert standard_error(seen(right, wrong)) == pytest.approx((share * (1 - share) / (count - 1)) ** 0.5)


def test_groups_of_many_images_tell_the_standard_error_as_well():
    assert standard_error(seen(800, 200)) == pytest.approx((0.8 * 0.2 / 1000) ** 0.5, rel=0.5)


@pytest.mark.parametrize(("right", "wrong"), [(1, 0), (0, 1), (20, 0)])
def test_where_nothing_differs_nothing_is_put_down_to_chance(right, wrong):
    assert standard_error(seen(right, wrong)) == 0


class Scripted(SceneRecipe):
    """The figures of a training that were written before: how many of a hundred images are named wrongly."""

    def __init__(self, wrong):
        self._wrong = iter(wrong)

    def metric(self, class_names):
        wrong = next(self._wrong)
        metric = seen(100 - wrong, wrong)
        metric.update = lambda network, images, targets: None
        return metric


@pytest.mark.parametrize(
    ("wrong", "kept"),
    [((20, 21, 21), 3), ((20, 40, 20), 3), ((20, 21, 40), 2), ((40, 20, 40), 2), ((20, 40, 40), 1)],
)
def test_the_latest_of_equally_good_weights_are_kept(tmp_path, monkeypatch, wrong, kept):
    for number, place in enumerate(f"{split}/{name}" for split in ("train", "val") for name in CARD.class_names):
        (tmp_path / "data" / place).mkdir(parents=True)
        Image.fromarray(np.full((112, 112, 3), 50 * number, np.uint8)).save(tmp_path / "data" / place / "0.png")
    monkeypatch.setattr("model_runner.training.fit.find_recipe", lambda task, network: Scripted(wrong))
    request = FinetuneRequest(
        "classify", str(tmp_path / "data"), str(tmp_path / "run"), init="none", sample_size=96, epochs=3, batch_size=2,
        workers=0, device="cpu",
    )  # fmt: skip
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 2, 32, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    report = Lines()
    fitted = fit(network, CARD, request, False, report)
    assert (fitted.epoch, fitted.metrics["top-1"]) == (kept, pytest.approx(1 - wrong[kept - 1] / 100))
    best = wrong.index(min(wrong)) + 1
    assert any(f"as good as those of epoch {best} " in line for line in report.lines) is (kept > best)
