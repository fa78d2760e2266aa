# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.training import fit as fitting
from model_runner.training.augmentation.samples import AlteredSamples
from model_runner.training.recipes.scenes import SceneRecipe
from tests.lines import Lines
from tests.unit.training.two_kinds import CARD


@pytest.fixture
def scenes(tmp_path):
    for name in CARD.class_names:
        for split in ("train", "val"):
            (tmp_path / split / name).mkdir(parents=True)
            pixels = np.random.default_rng(len(name)).integers(0, 256, (112, 112, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / name / "0.png")
    return str(tmp_path)


@pytest.mark.parametrize("passes", [1, 2, 4, 10])
def test_samples_of_the_last_quarter_of_the_passes_are_altered_otherwise(passes):
    def alter(samples, index, generator):
        return samples[index], "early", generator.random()

    def alter_at_last(samples, index, generator):
        return samples[index], "late", generator.random()

    samples = AlteredSamples("abc", alter, 0, alter_at_last)
    before = [samples[number] for number in range(3 * passes)]
    samples.passes = passes
    drawn = [samples[number] for number in range(3 * passes)]
    assert {kind for _, kind, _ in before} == {"early"}
    late = [number // 3 for number, (_, kind, _) in enumerate(drawn) if kind == "late"]
    assert late == [turn for turn in range(passes) if turn / passes >= 0.75 for _ in "abc"]
    assert [(image, chance) for image, _, chance in drawn] == [(image, chance) for image, _, chance in before]


def test_scenes_are_shown_almost_whole_at_last_unless_the_user_says_how_much(scenes):
    def samples(scale):
        request = FinetuneRequest("classify", scenes, "run", scale=scale)
        drawn = SceneRecipe().training_data(request, CARD.class_names, 96)
        drawn.passes = 4
        return [drawn[number].image for number in range(2 * drawn.passes)]

    left_open, gentle, strong = samples(None), samples((1.0, 1.6)), samples((1.0, 3.5))
    assert all(map(torch.equal, left_open, [*strong[:6], *gentle[6:]]))
    assert not any(map(torch.equal, gentle, strong))


def test_a_training_knows_which_passes_are_its_last(scenes, tmp_path, monkeypatch):
    jobs = []
    monkeypatch.setattr(fitting, "train", lambda fabric, job, report: jobs.append(job))
    request = FinetuneRequest("classify", scenes, str(tmp_path / "run"), epochs=8, batch_size=2, device="cpu")
    fitting.fit(nn.Identity(), CARD, request, False, Lines())
    assert jobs[0].training.passes == 8
