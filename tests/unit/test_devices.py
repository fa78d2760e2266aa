# SPDX-License-Identifier: GPL-2.0-or-later
"""Every operator runs where its tensors are: on a device beside the processor all is as on the processor."""

import copy
from functools import partial

import numpy as np
import pytest
import rasterio
import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from rasterio.windows import Window

from model_runner.contract.folders import PLUGIN_ROOT
from model_runner.contract.model_card import DEFAULT_MODELS
from model_runner.contract.task_requests import (
    ChangeRequest,
    ClassifyRequest,
    Compute,
    DetectRequest,
    RasterSource,
    SegmentRequest,
    Tiling,
)
from model_runner.inference import computing
from model_runner.model_store.store import find_model
from model_runner.networks import build_network
from model_runner.report import Report
from model_runner.tasks import find_task
from model_runner.training.datasets.maps import LabelledMap
from model_runner.training.datasets.objects import Sample
from model_runner.training.datasets.scenes import LabelledScene
from model_runner.training.module import Learner
from model_runner.training.recipes import RECIPES
from tests.elsewhere import ELSEWHERE, elsewhere

CLASSES = ("first", "second")
SIDE = 96
TILING = Tiling(128, 32)


def test_the_pretended_device_refuses_what_a_gpu_refuses():
    with elsewhere() as device:
        there = torch.ones(3, device=device)
        assert (there + torch.arange(3).to(device)).tolist() == [1, 2, 3]
        assert (there * there.new_tensor([2, 3, 4])).sum().item() == 9
        assert (2 * there + torch.tensor(1.0)).cpu().tolist() == [3, 3, 3]
        with pytest.raises(RuntimeError, match="beside others"):
            there + torch.arange(3)
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        with pytest.raises(RuntimeError, match="float64"):
            there.double() + 1


def scenes(generator):
    shares = torch.eye(len(CLASSES))
    return [LabelledScene(pixels(generator), shares[number % 2], str(number)) for number in range(2)]


def maps(dates, generator):
    labels = torch.from_numpy(generator.integers(0, len(CLASSES), (2, SIDE, SIDE), dtype=np.uint8))
    images = [torch.stack([pixels(generator) for _ in range(dates)]) for _ in range(2)]
    return [LabelledMap(images[number], labels[number], str(number)) for number in range(2)]


def objects(generator):
    boxes = torch.tensor([[30, 30, 24, 12, 0.3], [60, 66, 40, 20, -1.0], [20, 70, 16, 16, 0]])
    labels, difficult = torch.tensor([0, 1, 0]), torch.zeros(3, dtype=torch.bool)
    return [Sample(pixels(generator), boxes, labels, difficult, str(number)) for number in range(2)]


def pixels(generator):
    return torch.from_numpy(generator.integers(0, 255, (3, SIDE, SIDE), dtype=np.uint8))


SAMPLES = {
    "oriented_rcnn": objects,
    "unetformer": partial(maps, 1),
    "a2net": partial(maps, 2),
    "clafa": partial(maps, 2),
    "classifier": scenes,
}


@pytest.mark.parametrize("kind", RECIPES)
def test_networks_learn_alike_on_another_device(kind):
    recipe, (card, _) = RECIPES[kind], find_model("", RECIPES[kind].task)
    torch.manual_seed(0)
    options = {} if recipe.task == "change" else {"num_classes": len(CLASSES)}
    network = build_network(f"{kind}_l0", **options)
    batch = recipe.collate(SAMPLES[kind](np.random.default_rng(0)))

    def learn(network, device):
        torch.manual_seed(1)
        learner = Learner(network, recipe, card).to(device).train()
        optimizer = recipe.optimizer(list(learner.parameters()), 1e-3)
        images, targets = move_data_to_device(batch, device)
        losses = learner(images, targets)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        metric = recipe.metric(CLASSES)
        with torch.no_grad():
            metric.update(learner.network.eval(), learner.normalise(images), targets)
        return {name: value.item() for name, value in losses.items()}, metric.compute()

    here = learn(copy.deepcopy(network), torch.device("cpu"))
    with elsewhere() as device:
        there = learn(network, device)
    # of a fresh detector regions at the edge of a threshold fall to either side by the last digit
    alike = {"rel": 0.05, "abs": 0.05} if kind == "oriented_rcnn" else {"rel": 1e-3}
    for first, second in zip(there, here, strict=True):
        assert first == pytest.approx(second, nan_ok=True, **alike)


REQUESTS = {
    "detect": lambda before, after, **common: DetectRequest(before, tiling=TILING, **common),
    "segment": lambda before, after, **common: SegmentRequest(before, tiling=TILING, flips=True, **common),
    "change": lambda before, after, **common: ChangeRequest(before, after=after, tiling=TILING, **common),
    "classify": lambda before, after, **common: ClassifyRequest(before, cell_pixels=64, **common),
}


@pytest.fixture
def run(make_raster, tmp_path):
    """Does a task on a part of the demo's image and returns its figures."""
    with rasterio.open(PLUGIN_ROOT / "resources" / "demo" / "airfield.tif") as demo:
        image = demo.read(window=Window(200, 200, 224, 160))
    rasters = RasterSource(make_raster("a.tif", image)), make_raster("b.tif", image[:, ::-1])

    def finish(task, name, **compute):
        output = tmp_path / (name + (".tif" if task in ("segment", "change") else ".gpkg"))
        request = REQUESTS[task](*rasters, output=str(output), compute=Compute(batch_size=2, **compute))
        numbers = find_task(task)(request, Report()).numbers
        return {name: value for name, value in numbers.items() if name != "seconds"}

    return finish


@pytest.mark.parametrize("task", DEFAULT_MODELS)
def test_tasks_find_the_same_on_another_device(task, run, monkeypatch):
    here = run(task, "here")
    monkeypatch.setattr(computing, "resolve_device", lambda wanted: (ELSEWHERE, "elsewhere"))
    with elsewhere():
        there = run(task, "there")
    assert there == pytest.approx(here, rel=1e-3)


@pytest.mark.parametrize("task", DEFAULT_MODELS)
def test_tasks_find_nearly_the_same_in_half_precision(task, run):
    whole = run(task, "whole", precision="fp32")
    half = run(task, "half", precision="bf16")
    most = max(value for name, value in whole.items() if name.startswith(("count", "pixels")))
    assert most > 0
    for name, value in half.items():
        assert value == pytest.approx(whole[name], rel=0.03, abs=max(1, 0.02 * most))
