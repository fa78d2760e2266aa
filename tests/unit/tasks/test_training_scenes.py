# SPDX-License-Identifier: GPL-2.0-or-later
"""Scene classifiers, trained and measured at a size that a CPU does in seconds."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from model_runner.command_line import CANCELLED
from model_runner.contract.model_card import DEFAULT_MODELS, Licence
from model_runner.contract.task_requests import EvaluateRequest, FinetuneRequest
from model_runner.errors import InputError, ModelError
from model_runner.model_store.store import find_folder, open_model
from model_runner.networks import build_network
from model_runner.report import Report
from model_runner.tasks.evaluate import evaluate
from model_runner.tasks.finetune import finetune
from model_runner.training.recipes.scenes import SceneRecipe, SceneTargets
from tests.lines import Lines

CLASSES = ("field", "lake")


def write_scenes(folder, classes=CLASSES):
    generator = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 2)):
        for number, name in enumerate(classes):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 60, (112, 120, 3), dtype=np.uint8)
                pixels[..., number] += 120
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    return folder


@pytest.fixture
def request_of(tmp_path):
    data = write_scenes(tmp_path / "scenes")

    def make(**changes):
        facts = {"task": "classify", "data": str(data), "output": str(tmp_path / "kinds"), "init": "none"}
        small = {"sample_size": 96, "epochs": 1, "batch_size": 2, "workers": 0, "device": "cpu"}
        return FinetuneRequest(**{**facts, **small, **changes})

    return make


def test_a_classifier_is_trained_and_measured_as_it_is_used(request_of, tmp_path):
    trained = finetune(request_of(mixing=0.5), Report())
    card, network = open_model("kinds", "classify")
    assert (card.network, card.class_names, card.tile_size) == ("classifier_l0", CLASSES, 110)
    last = torch.load(tmp_path / "kinds" / "checkpoints" / "last.ckpt", weights_only=True)
    key = "head.weight"
    assert network.state_dict()[key].equal(last["average"]["network"][key])
    assert not network.state_dict()[key].equal(last["network"][key])

    request = EvaluateRequest("classify", str(tmp_path / "scenes"), str(tmp_path / "report"), "kinds")
    finished = evaluate(request, Report())
    assert finished.numbers["top-1"] == pytest.approx(trained.numbers["top-1"], abs=1e-4)
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert (metrics["split"], metrics["images"]) == ("val", 4)
    assert "measured on scenes (val)" in (tmp_path / "report" / "report.html").read_text()
    assert sum(sum(row.values()) for row in metrics["confusion"].values()) == 4
    assert sum(metrics["confusion"][name].get(name, 0) for name in CLASSES) / 4 == metrics["top-1"]
    assert metrics["classes"]["lake"]["images"] == 2


def test_two_models_are_measured_on_the_same_data(request_of, tmp_path):
    finetune(request_of(), Report())
    finetune(request_of(output=str(tmp_path / "again"), model_id="again", seed=1), Report())
    scenes = str(tmp_path / "scenes")
    for output, model, against in (("both", "kinds", "again"), ("alone", "again", None)):
        evaluate(EvaluateRequest("classify", scenes, str(tmp_path / output), model, against=against), Report())
    both, alone = (json.loads((tmp_path / each / "metrics.json").read_text()) for each in ("both", "alone"))
    assert both["model"] == "kinds"
    assert both["against"].pop("model") == "again"
    assert both["against"] == {name: alone[name] for name in both["against"]}
    assert "Beside again" in (tmp_path / "both" / "report.html").read_text()
    assert "Beside" not in (tmp_path / "alone" / "report.html").read_text()
    assert {each.name for each in (tmp_path / "both").iterdir()} == {
        each.name for each in (tmp_path / "alone").iterdir()
    }
    with pytest.raises(ModelError, match="nowhere"):
        evaluate(EvaluateRequest("classify", scenes, str(tmp_path / "no"), "kinds", against="nowhere"), Report())
    assert not (tmp_path / "no").exists()


def test_training_goes_on_with_the_averaged_weights(request_of, tmp_path):
    request = request_of()
    finetune(request, Report())
    (tmp_path / "kinds" / "model.safetensors").unlink()
    finetune(request_of(epochs=2, resume=True, model_id="longer"), Report())
    longer = torch.load(tmp_path / "kinds" / "checkpoints" / "last.ckpt", weights_only=True)
    assert longer["average"]["steps"] == longer["course"]["step"] == 4


def test_a_training_goes_on_as_it_began_whatever_is_left_open(request_of, tmp_path):
    finetune(request_of(resolution=0.5, frozen_stages=1), Report())
    begun, _ = open_model("kinds", "classify")
    (tmp_path / "kinds" / "model.safetensors").unlink()
    open_now = {"task": "classify", "data": str(tmp_path / "scenes"), "output": str(tmp_path / "kinds")}
    open_now |= {"epochs": 2, "workers": 0, "device": "cpu", "resume": True, "model_id": "longer"}
    for told, wrong in (
        ("with the frozen stages 1; it cannot go on with the frozen stages 2", {"frozen_stages": 2}),
        ("with the init none; it cannot go on with the init scene-ucm-l0", {"init": "scene-ucm-l0"}),
        ("with the bands left open; it cannot go on with the bands 3,2,1", {"bands": (3, 2, 1)}),
    ):
        with pytest.raises(InputError, match=told):
            finetune(FinetuneRequest(**open_now, **wrong), Report())
    finetune(FinetuneRequest(**open_now), Report())
    card, _ = open_model("longer", "classify")
    for name in ("tile_size", "resolution", "training_data", "licence", "network", "classes", "bands"):
        assert getattr(card, name) == getattr(begun, name)
    last = torch.load(tmp_path / "kinds" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["request"]["frozen_stages"] == 1


def test_what_is_left_open_at_first_and_named_later_goes_on_if_it_is_the_same(request_of, tmp_path, monkeypatch):
    finetune(request_of(output=str(tmp_path / "first")), Report())
    monkeypatch.setitem(DEFAULT_MODELS, "classify", "first")
    finetune(request_of(init="", model_id="lakes", skip_unreadable=True), Report())
    (tmp_path / "kinds" / "report.html").unlink()
    finetune(request_of(init="first", epochs=2, resume=True), Report())
    last = torch.load(tmp_path / "kinds" / "checkpoints" / "last.ckpt", weights_only=True)
    kept = {name: last["request"][name] for name in ("init", "model_id", "skip_unreadable")}
    assert kept == {"init": "first", "model_id": "lakes", "skip_unreadable": True}
    assert find_folder("lakes")
    assert not find_folder("kinds")


def test_a_scene_of_any_size_fills_the_tile_and_its_resolution_is_told_so(request_of):
    finetune(request_of(resolution=0.5), Report())  # of images of 112 pixels
    card, _ = open_model("kinds", "classify")
    assert card.tile_size * card.resolution.best == pytest.approx(112 * 0.5)


def test_what_is_known_of_a_backbone_holds_for_its_model(request_of, tmp_path):
    finetune(request_of(), Report())
    first, _ = open_model("kinds", "classify")
    assert first.metrics["measured on"] == "the dataset's validation images"
    write_card = replace(first, licence=Licence("CC BY-NC 4.0", commercial_use=False))
    (find_folder("kinds") / "card.json").write_text(write_card.to_json())
    for name, backbone in (("next", "kinds"), ("other", str(tmp_path / "kinds" / "model.safetensors"))):
        finetune(request_of(output=str(tmp_path / name), backbone=backbone), Report())
    (card, _), (unknown, _) = (open_model(name, "classify") for name in ("next", "other"))
    assert card.licence == write_card.licence
    assert card.training_data.startswith("trained on scenes, with the backbone of kinds; kinds: trained from scratch")
    assert not unknown.licence.commercial_use
    assert unknown.training_data == "trained on scenes, with the backbone of model.safetensors"


def test_an_undivided_dataset_s_figures_are_called_what_they_are(request_of, tmp_path):
    finetune(request_of(data=str(tmp_path / "scenes" / "train")), Report())
    assert open_model("kinds", "classify")[0].metrics["measured on"] == "the images that it learnt from"


def test_files_that_are_no_images_are_left_out_if_told(request_of, tmp_path):
    for place in ("train/field/0.png", "val/lake/1.png"):
        (tmp_path / "scenes" / place).write_bytes(b"junk")
    lines = Lines()
    with pytest.raises(InputError, match="2 faults in 2 places"):
        finetune(request_of(), Report())
    finished = finetune(request_of(skip_unreadable=True, balance=True, batch_size=1, sample_size=128), lines)
    assert Path(finished.outputs["report"]).is_file()
    assert any(line.startswith("2 images could not be read and were left out:") for line in lines.lines)


def test_known_classes_are_kept_and_new_ones_named(request_of, tmp_path):
    finetune(request_of(), Report())
    more = write_scenes(tmp_path / "more", ("airport", *CLASSES))
    lines = Lines()
    finetune(request_of(data=str(more), init="kinds", output=str(tmp_path / "wider"), learning_rate=1e-12), lines)
    old, new = (open_model(name, "classify")[1].head.weight for name in ("kinds", "wider"))
    torch.testing.assert_close(new[1:], old, atol=1e-6, rtol=0)
    assert "New in head.weight, head.bias: airport." in lines.lines
    report = EvaluateRequest("classify", str(more), str(tmp_path / "report"), "kinds")
    with pytest.raises(InputError, match="airport is unknown; known are field, lake"):
        evaluate(report, Report())


@pytest.mark.skipif(os.name != "posix", reason="the processes of a group are ended by POSIX signals")
def test_a_training_that_the_system_ends_leaves_its_best_model(request_of, tmp_path, home):
    request = request_of(epochs=999, batch_size=1)
    command = [sys.executable, "-m", "model_runner", "finetune", "--progress", "json"]
    for name in ("task", "data", "output", "init", "sample_size", "epochs", "batch_size", "device"):
        command += [f"--{name.replace('_', '-')}", str(getattr(request, name))]
    with subprocess.Popen(
        [*command, "--patience", "0", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "LWGANET_HOME": str(home)},
    ) as process:
        told = next((line for line in process.stdout if "of 999: loss" in line), "")
        os.killpg(process.pid, signal.SIGTERM)  # as systems do, the loader's process included
        rest, errors = process.communicate()
    assert told, errors
    assert (process.returncode, errors.splitlines()[-1]) == (CANCELLED, "Cancelled.")
    assert "The best model so far, of epoch" in rest
    assert open_model("kinds", "classify")[0].metrics["top-1"] >= 0


@pytest.mark.parametrize("name", ["oriented_rcnn_l0", "nonsense", "classifier_l9"])
def test_a_network_of_another_task_or_of_none_is_refused_with_those_there_are(request_of, name):
    with pytest.raises(InputError, match=f"'{name}' that .* choose classifier_l0, classifier_l1 or classifier_l2"):
        finetune(request_of(network=name), Report())


def test_the_loss_is_the_cross_entropy_with_smoothed_shares_and_can_be_minimised():
    torch.manual_seed(0)
    recipe, network = SceneRecipe(), build_network("classifier_l0", num_classes=3)
    images, shares = torch.randn(4, 3, 96, 96), torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.25, 0.75, 0]])
    targets = SceneTargets(shares, ("a", "b", "c", "d"))
    network.eval()
    smooth = 0.9 * shares + 0.1 / 3
    expected = -(smooth * network(images).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(recipe.losses(network, images, targets)["classification"], expected)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for _ in range(12):
        optimizer.zero_grad()
        loss = recipe.losses(network, images, targets)["classification"]
        loss.backward()
        optimizer.step()
    assert loss < 0.75 < F.cross_entropy(torch.zeros(4, 3), shares)
