# SPDX-License-Identifier: GPL-2.0-or-later
import copy
import os
import subprocess
import warnings
from multiprocessing import active_children

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.errors import InputError
from model_runner.training.averaging import AveragedNetwork
from model_runner.training.batches import Steps, order_of_epoch, training_loader, validation_loader, weights_of_images
from model_runner.training.lookahead import LookaheadAdamW
from model_runner.training.plan import Plan, make_plan, plan_of_resumed


def ask(**changes):
    return FinetuneRequest("segment", "data", "output", **changes)


@pytest.mark.parametrize("images", [1, 20, 500, 20_000])
def test_few_images_are_seen_more_often_and_measured_less_often(images):
    tuned, scratch = (make_plan(ask(), images, 4e-4, from_model) for from_model in (True, False))
    assert tuned.steps >= 1000
    assert tuned.epochs >= 10
    assert scratch.steps > tuned.steps
    assert scratch.learning_rate == tuned.learning_rate == 4e-4
    assert sum(tuned.is_validated(step) for step in range(1, tuned.steps + 1)) <= 50
    assert tuned.is_validated(tuned.steps)


def test_what_the_user_names_is_taken():
    plan = make_plan(ask(epochs=3, batch_size=2, learning_rate=1.0, patience=0), 9, 4e-4, True)
    assert plan == Plan(9, 2, 3, 1.0, 0)
    with pytest.raises(InputError, match="1 training images do not fill a batch of 2"):
        make_plan(ask(batch_size=2), 1, 4e-4, True)


def test_a_plan_is_told_in_words():
    assert Plan(9, 1, 30, 1e-3, 10).in_words() == (
        "30 epochs of 9 steps with 1 image, learning rate 0.001, at most: it ends after 10 epochs without a better "
        "figure."
    )
    assert Plan(9, 8, 1, 1e-4, 10).in_words() == "1 epoch of 1 step with 8 images, learning rate 0.0001."


def test_a_training_goes_on_by_its_own_plan():
    plan = {"images": 9, "batch_size": 2, "epochs": 3, "learning_rate": 1e-3, "patience": 10}
    assert plan_of_resumed(ask(), plan) == Plan(**plan)
    assert plan_of_resumed(ask(epochs=5), plan).epochs == 5
    with pytest.raises(InputError, match="began with batches of 2; it cannot go on with 4"):
        plan_of_resumed(ask(batch_size=4), plan)


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_shows_each_image_once(images, seed, epoch):
    order = order_of_epoch(np.ones(images), seed, epoch)
    assert sorted(order) == list(range(images))


@given(st.lists(st.floats(0.1, 5), min_size=2, max_size=30), st.integers(0, 9))
def test_images_come_as_often_as_they_weigh(weights, seed):
    weights = np.array(weights) * len(weights) / sum(weights)
    counts = np.bincount(order_of_epoch(weights, seed, 0), minlength=len(weights))
    assert counts.sum() == len(weights)
    assert (np.abs(counts - weights) < 1.001).all()


def test_images_come_as_often_as_they_weigh_on_average():
    weights = np.array([0.48, 0.48, 2.08, 0.96] * 5)
    counts = sum(np.bincount(order_of_epoch(weights, 0, epoch), minlength=20) for epoch in range(4000))
    np.testing.assert_allclose(counts / 4000, weights, atol=0.04)


def test_rare_classes_are_shown_more_often():
    shown = np.zeros((100, 2), bool)
    shown[:, 0] = True
    shown[:4, 1] = True
    weights = weights_of_images(shown)
    assert weights.sum() == pytest.approx(100)
    assert weights[0] / weights[50] == pytest.approx(5)  # the square root of 25
    assert np.allclose(weights_of_images(np.eye(4, dtype=bool)), 1)
    assert np.allclose(weights_of_images(np.zeros((3, 2), bool)), 1)


@settings(max_examples=30)
@given(st.integers(0, 11), st.integers(1, 3))
def test_steps_from_the_middle_are_those_of_the_whole(first, processes):
    plan = Plan(images=10, batch_size=3, epochs=4, learning_rate=1, patience=0)
    whole = list(Steps(plan, np.ones(10), 7, 0, 0, 1))
    parts = zip(*(Steps(plan, np.ones(10), 7, first, rank, processes) for rank in range(processes)), strict=True)
    assert [sorted(number for part in step for number in part) for step in parts] == [
        sorted(numbers) for numbers in whole[first:]
    ]
    assert len({number for numbers in whole for number in numbers}) == 36  # none is altered twice in the same way


@pytest.mark.skipif(os.name != "posix", reason="processes are asked to end by POSIX signals")
def test_a_loaders_process_that_is_asked_to_end_is_no_fault():
    batches = iter(validation_loader([torch.zeros(1)] * 9, lambda samples: (samples, None), 1, 1, 0, 1))
    next(batches)
    (process,) = active_children()
    subprocess.run(["kill", str(process.pid)], check=True)  # by another process, as systems do
    process.join(60)
    assert process.exitcode == 0


def test_no_more_processes_load_images_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    steps = Steps(Plan(images=9, batch_size=3, epochs=1, learning_rate=1, patience=0), np.ones(9), 7, 0, 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyTorch warns of more
        loader = training_loader([torch.zeros(1)] * 9, steps, list, parts=1, workers=2, pin_memory=False)
    assert loader.num_workers == 1


def test_an_average_is_no_slower_than_a_short_training():
    network = torch.nn.Linear(1, 1, bias=False)
    averaged = AveragedNetwork(network, 0.999)
    for value in [0.0] * 100 + [1.0] * 100:
        network.weight.data.fill_(value)
        averaged.update(network)
    assert averaged.network.weight.item() > 0.99


def test_lookahead_goes_half_of_the_way_every_five_steps():
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    plain, looking = torch.optim.AdamW([weights[0]], lr=0.1), LookaheadAdamW([weights[1]], lr=0.1)
    for _ in range(5):
        for weight, optimizer in zip(weights, (plain, looking), strict=True):
            weight.grad = torch.full((3,), 2.0)
            optimizer.step()
    torch.testing.assert_close(weights[1].detach(), (1 + weights[0].detach()) / 2)
    state = copy.deepcopy(looking.state_dict())
    other = torch.nn.Parameter(weights[1].detach().clone())
    resumed = LookaheadAdamW([other], lr=0.1)
    resumed.load_state_dict(state)
    for _ in range(7):
        for weight, optimizer in ((weights[1], looking), (other, resumed)):
            weight.grad = weight.detach() * 3
            optimizer.step()
    assert other.equal(weights[1])
