# SPDX-License-Identifier: GPL-2.0-or-later
"""Training, measuring and training on, with a network so small that a CPU does it in seconds."""

import json
from dataclasses import replace

import geopandas
import numpy as np
import pytest
import torch
from PIL import Image

from model_runner.contract.folders import program_name
from model_runner.contract.model_card import Resolution, read_card
from model_runner.contract.task_requests import EvaluateRequest, FinetuneRequest
from model_runner.errors import Cancelled, InputError, ModelError
from model_runner.model_store.store import open_model, save_model
from model_runner.report import Report
from model_runner.tasks.evaluate import evaluate
from model_runner.tasks.finetune import finetune
from model_runner.tasks.training_report import fingerprint
from model_runner.training import fit, hardware
from model_runner.training.checkpoints import LAST, load_checkpoint
from model_runner.training.datasets.objects import Sample
from model_runner.training.recipes import find_recipe
from model_runner.training.recipes.detection import DetectionRecipe
from tests.lines import Lines

SIDE = 96
SMALL_NETWORK = ("neck_channels=16", "rpn_channels=16", "head_channels=32", "proposals=64")


def write_dataset(folder, class_name="court", train=4, val=2):
    generator = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        images, labels = folder / split / "images", folder / split / "labelTxt"
        images.mkdir(parents=True)
        labels.mkdir()
        for number in range(count):
            left, top = generator.integers(8, 40, 2)
            pixels = generator.integers(40, 90, (SIDE, SIDE, 3), dtype=np.uint8)
            pixels[top : top + 24, left : left + 44] = (220, 90, 60)
            Image.fromarray(pixels).save(images / f"{number}.png")
            corners = (left, top, left + 44, top, left + 44, top + 24, left, top + 24)
            (labels / f"{number}.txt").write_text(" ".join(map(str, corners)) + f" {class_name} 0\n")
    return folder


@pytest.fixture
def request_of(tmp_path):
    data = write_dataset(tmp_path / "courts")

    def make(**changes):
        facts = {
            "task": "detect",
            "data": str(data),
            "output": str(tmp_path / "my courts"),
            "init": "none",
            "network_options": SMALL_NETWORK,
            "sample_size": SIDE,
            "epochs": 1,
            "batch_size": 2,
            "workers": 0,
            "device": "cpu",
        }
        return FinetuneRequest(**{**facts, **changes})

    return make


def test_a_trained_model_is_stored_with_its_figures(request_of, tmp_path, home):
    lines = Lines()
    finished = finetune(request_of(resolution=0.5), lines)
    folder = tmp_path / "my courts"
    model = home / "models" / "my-courts"
    assert finished.outputs == {"model": str(model), "folder": str(folder), "report": str(folder / "report.html")}
    card, network = open_model("my-courts", "detect")
    assert card.class_names == ("court",)
    assert card.resolution == Resolution(0.5 / 1.33, 0.5, 0.5 / 0.75)
    assert card.network_options["neck_channels"] == 16
    assert card.metrics["mAP50"] == finished.numbers["mAP50"]
    assert "courts" in card.training_data
    assert card.made_with == program_name()
    assert card.data_fingerprint == fingerprint(tmp_path / "courts", tmp_path / "my courts")
    best = torch.load(tmp_path / "my courts" / "checkpoints" / "best.ckpt", weights_only=True)["network"]
    assert all(torch.equal(value, best[key]) for key, value in network.state_dict().items())
    assert lines.lines[:2] == [
        "Computing on CPU, as asked for, fp32.",
        f"Training on 4 images in samples of {SIDE} pixels, validating on 2.",
    ]
    assert "Epoch 1 of 1: loss" in lines.lines[3]


def test_the_same_seed_gives_the_same_weights(request_of, tmp_path):
    finetune(request_of(output=str(tmp_path / "a")), Report())
    finetune(request_of(output=str(tmp_path / "b")), Report())
    first, second = (open_model(name, "detect")[1].state_dict() for name in ("a", "b"))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("folder", "told", "untold"), [("courts", "objects in val", "the dataset"), ("courts/train", "the dataset", "val")]
)
def test_the_report_tells_the_parts_that_the_dataset_has(request_of, tmp_path, folder, told, untold):
    finetune(request_of(data=str(tmp_path / folder)), Report())
    head, *_ = (tmp_path / "my courts" / "report.html").read_text(encoding="utf-8").split("<tbody>")
    assert told in head
    assert f"objects in {untold}" not in head


@pytest.fixture
def two_processes(monkeypatch):
    two = {"accelerator": "cpu", "devices": 2, "strategy": hardware.shared_work()}
    monkeypatch.setattr(fit, "choose_hardware", lambda request, report: two)


class Damages(Lines):
    """Makes training images unreadable once the first epoch is over; the checks before a training would refuse them."""

    def __init__(self, images):
        super().__init__()
        self._images = images

    def log(self, level, text):
        super().log(level, text)
        if text.startswith("Epoch 1 "):
            for image in self._images:
                image.write_bytes(b"nothing")


@pytest.mark.usefixtures("two_processes")
def test_several_processes_share_the_images_and_wait_for_none_that_has_none(request_of, tmp_path):
    images = sorted((tmp_path / "courts" / "train" / "images").iterdir())
    lines = Damages(images[:1])
    finished = finetune(request_of(batch_size=2, epochs=3, skip_unreadable=True), lines)
    card, _ = open_model("my-courts", "detect")
    assert card.metrics["mAP50"] == finished.numbers["mAP50"]
    assert any(line.startswith("Epoch 3 of 3: loss") for line in lines.lines)
    assert any("Left out" in line for line in lines.lines)


@pytest.mark.usefixtures("two_processes")
def test_a_fault_that_one_of_several_processes_meets_is_told(request_of, tmp_path):
    images = (tmp_path / "courts" / "train" / "images").iterdir()
    with pytest.raises(InputError, match=r"Repair or remove it"):
        finetune(request_of(batch_size=4, epochs=40), Damages(images))


@pytest.mark.usefixtures("two_processes")
def test_several_processes_stop_when_the_user_asks_to(request_of, tmp_path):
    class Stops(Lines):
        def check_cancelled(self):
            if any(line.startswith("Epoch 1 ") for line in self.lines):
                raise Cancelled

    with pytest.raises(Cancelled):
        finetune(request_of(batch_size=4, epochs=40), Stops())
    assert (tmp_path / "my courts" / "model.safetensors").is_file()
    assert load_checkpoint(tmp_path / "my courts", LAST)["course"]["step"] < 40


def test_labels_keep_their_precision_when_networks_have_less(request_of, monkeypatch):
    taught = []
    losses = DetectionRecipe.losses

    def note(self, network, images, targets):
        taught.extend(each.boxes for each in targets)
        return losses(self, network, images, targets)

    monkeypatch.setattr(DetectionRecipe, "losses", note)
    finetune(request_of(precision="bf16", workers=0), Report())
    assert {boxes.dtype for boxes in taught} == {torch.float32}
    assert any((boxes != boxes.bfloat16().float()).any() for boxes in taught)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"device": "cuda"}, "The device cuda cannot be used: this build of PyTorch is for the CPU only"),
        ({"device": "mps"}, "There is no Apple GPU"),
        ({"device": "cpu", "precision": "fp16"}, "The precision fp16 does not work on the CPU"),
    ],
)
def test_a_device_that_is_not_there_is_told(request_of, monkeypatch, wish, words):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=words):
        finetune(request_of(**wish), Report())


@pytest.mark.parametrize(
    ("device", "generation", "used", "told"),
    [
        ("auto", 8, [0, 2], "Computing on 2 GPUs, bf16."),
        ("cuda:1", 7, [1], "Computing on a GPU, fp16."),
    ],
)
def test_all_gpus_are_used_or_the_one_asked_for(request_of, monkeypatch, device, generation, used, told):
    own = torch.device("cuda:0" if device == "auto" else device)
    monkeypatch.setattr(hardware, "resolve_device", lambda wanted: (own, "a GPU"))
    monkeypatch.setattr(hardware, "cuda_obstacle", lambda wanted: None)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    generations = {0: (generation, 5), 1: (6, 1), 2: (generation, 5)}  # the second is an old one for a screen
    monkeypatch.setattr(
        torch.cuda,
        "get_device_capability",
        lambda each: generations[each] if isinstance(each, int) else (generation, 5),
    )
    taken = {}

    def take(**wanted):
        taken.update(wanted)
        raise Cancelled

    monkeypatch.setattr(fit, "Fabric", take)
    lines = Lines()
    with pytest.raises(Cancelled):
        finetune(request_of(device=device), lines)
    assert (taken["accelerator"], taken["devices"]) == ("cuda", used)
    assert told in lines.lines


def test_systems_whose_gpus_cannot_share_work_use_the_first(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda each: (8, 6))
    monkeypatch.setattr(hardware, "resolve_device", lambda wanted: (torch.device("cuda:0"), "a GPU"))
    assert hardware.choose_hardware(FinetuneRequest(task="detect", data=".", output="out"), Report())["devices"] == [0]


def test_a_cancelled_training_leaves_its_best_model_and_goes_on(request_of, tmp_path):
    class StopsInSecondEpoch(Lines):
        done = 0

        def progress(self, stage, done, total, megapixels_per_second=None, seconds_left=None, note=""):
            self.done = done if stage == "training" else 0

        def check_cancelled(self):
            if self.done >= 3:
                raise Cancelled

    stopped = StopsInSecondEpoch()
    with pytest.raises(Cancelled):
        finetune(request_of(epochs=2), stopped)
    assert stopped.lines[-1].startswith("The best model so far, of epoch 1 (mAP50 0.")
    left = read_card(tmp_path / "my courts")
    assert left == open_model("my-courts", "detect")[0]
    page = (tmp_path / "my courts" / "report.html").read_text(encoding="utf-8")
    assert "It was stopped before its end." in page
    assert f"{left.metrics['mAP50']:.3f}" in page
    with pytest.raises(ModelError, match="a model my-courts already"):
        finetune(request_of(epochs=2), Report())
    lines = Lines()
    finetune(request_of(epochs=2, resume=True), lines)
    assert "Going on after step 3." in lines.lines
    assert [line.partition(":")[0] for line in lines.lines if line.startswith("Epoch")] == ["Epoch 2 of 2"]
    second, _ = open_model("my-courts", "detect")
    assert read_card(tmp_path / "my courts") == second
    with pytest.raises(InputError, match="is complete"):
        finetune(request_of(epochs=2, resume=True), Report())
    page = tmp_path / "my courts" / "report.html"
    assert "2 epochs of 2 steps with 2 images" in page.read_text(encoding="utf-8")
    assert "It was stopped" not in page.read_text(encoding="utf-8")
    page.unlink()  # as if killed before it was written
    finetune(request_of(epochs=2, resume=True), Report())
    assert page.is_file()
    assert open_model("my-courts", "detect")[0].weights_sha256 == second.weights_sha256


def test_fewer_epochs_than_are_done_are_refused_while_there_is_no_model(request_of):
    class StopsInThirdEpoch(Lines):
        done = 0

        def progress(self, stage, done, total, megapixels_per_second=None, seconds_left=None, note=""):
            self.done = done if stage == "training" else 0

        def check_cancelled(self):
            if self.done >= 5:
                raise Cancelled

    with pytest.raises(Cancelled):
        finetune(request_of(epochs=200), StopsInThirdEpoch())
    with pytest.raises(InputError, match=r"come to step 5, beyond the 4 of 2 epochs; choose 3 epochs at least\.$"):
        finetune(request_of(epochs=2, resume=True), Report())
    assert finetune(request_of(epochs=3, resume=True), Report()).numbers["epoch"] == 3


def test_images_without_georeference_leave_the_resolution_open(request_of, tmp_path):
    lines = Lines()
    finetune(request_of(resolution=0.5), lines)
    assert not any("no georeference" in line for line in lines.lines)
    finetune(request_of(init="my-courts", output=str(tmp_path / "next"), network_options=()), lines)
    assert open_model("next", "detect")[0].resolution is None
    assert sum("The images have no georeference" in line for line in lines.lines) == 1


def test_a_training_that_is_cancelled_at_once_leaves_no_model(request_of, tmp_path):
    class StopsAtOnce(Lines):
        def check_cancelled(self):
            if self.lines:  # of the training, after the dataset was checked
                raise Cancelled

    lines = StopsAtOnce()
    with pytest.raises(Cancelled):
        finetune(request_of(), lines)
    assert "there is no model yet" in lines.lines[-1]
    with pytest.raises(InputError, match="not empty"):
        finetune(request_of(), Report())


def test_an_interruption_keeps_the_best_model_as_a_cancellation_does(request_of):
    class Impatient(Lines):
        def check_cancelled(self):
            if any(line.startswith("Epoch 1") for line in self.lines):
                raise KeyboardInterrupt

    lines = Impatient()
    with pytest.raises(KeyboardInterrupt):
        finetune(request_of(epochs=2), lines)
    assert lines.lines[-1].startswith("The best model so far, of epoch 1")
    assert open_model("my-courts", "detect")


def test_resuming_needs_a_checkpoint(request_of):
    with pytest.raises(InputError, match=r"no checkpoint .*last\.ckpt.* leave --resume away"):
        finetune(request_of(resume=True), Report())


def test_a_training_goes_on_with_its_own_data_alone(request_of, tmp_path):
    output = tmp_path / "courts" / "model"
    finetune(request_of(output=str(output)), Report())
    (output / "model.safetensors").unlink()
    label = tmp_path / "courts" / "val" / "labelTxt" / "1.txt"
    content = label.read_text()
    label.write_text(content.replace("court 0", "court 1"))
    longer = request_of(output=str(output), epochs=2, resume=True, model_id="longer")
    with pytest.raises(InputError, match=r"labels in .*courts are not those .* in .*model began; bring .* or begin"):
        finetune(longer, Report())
    label.write_text(content)
    (tmp_path / "courts" / "val" / "images" / "1.png.aux.xml").write_text("<PAMDataset/>")  # somebody looked at it
    lines = Lines()
    finetune(longer, lines)
    assert "Going on after step 2." in lines.lines


def test_a_batch_must_be_filled(request_of):
    with pytest.raises(InputError, match="4 training images do not fill a batch of 5"):
        finetune(request_of(batch_size=5), Report())


def test_further_training_keeps_what_is_known_of_a_class(request_of, tmp_path):
    finetune(request_of(), Report())
    both = write_dataset(tmp_path / "both")
    (both / "train" / "labelTxt" / "0.txt").write_text("8 8 40 8 40 40 8 40 arena 0\n")
    lines = Lines()
    finetune(
        request_of(data=str(both), init="my-courts", output=str(tmp_path / "more"), learning_rate=1e-12, seed=1), lines
    )
    old_card, old = open_model("my-courts", "detect")
    card, new = open_model("more", "detect")
    assert card.class_names == ("arena", "court")
    assert card.training_data.startswith("my-courts, fine-tuned on both")
    assert "Classes that the first model knows already: court." in lines.lines
    known, widened = (each.state_dict()["roi_head.bbox_head.fc_cls.weight"] for each in (old, new))
    torch.testing.assert_close(widened[1:], known, atol=1e-6, rtol=0)  # court and the background
    assert old_card.classes[0].colour == card.classes[1].colour


@pytest.mark.parametrize(
    ("places", "scores", "threshold"),
    [
        ("A---", [0.8764, 0.7, 0.6, 0.5], 0.876),
        ("A-B-", [0.9, 0.8, 0.6543, 0.5], 0.654),
        ("-", [0.9], 0.3),
        ("", [], 0.3),
    ],
)
def test_the_threshold_is_where_f1_on_the_validation_images_is_highest(places, scores, threshold):
    boxes = {"A": [50.0, 50, 30, 10, 0.3], "B": [90.0, 90, 30, 10, 0.3], "-": [300.0, 300, 30, 10, 0.3]}
    labels = torch.zeros(4, dtype=torch.int64)
    found = torch.tensor([boxes[place] for place in places]).reshape(-1, 5)
    objects = Sample(torch.zeros(3, 0, 0), torch.tensor([boxes["A"], boxes["B"]]), labels[:2], labels[:2] > 0, "one")
    recipe = find_recipe("detect", "oriented_rcnn_l0")
    metric = recipe.metric(("court",))
    metric.update(
        lambda images: [(found, torch.tensor(scores), labels[: len(scores)])], torch.zeros(1, 3, 320, 320), [objects]
    )
    assert recipe.decisions(metric.compute()) == {"threshold": threshold, "merge_iou": 0.1}


def test_what_the_first_model_takes_for_an_object_is_not_inherited(request_of, tmp_path):
    finetune(request_of(), Report())
    card, network = open_model("my-courts", "detect")
    save_model(replace(card, id="strict", threshold=0.99, merge_iou=0.6), network.state_dict())
    lines = Lines()
    finetune(request_of(init="strict", output=str(tmp_path / "next")), lines)
    after, _ = open_model("next", "detect")
    own = find_recipe("detect", card.network).decisions(after.metrics)
    assert {"threshold": after.threshold, "merge_iou": after.merge_iou} == own
    assert after.threshold < 0.99
    assert any(line.startswith(f"The threshold of next is {after.threshold:g}") for line in lines.lines)


def test_frozen_stages_keep_their_weights_and_statistics(request_of, tmp_path):
    finetune(request_of(), Report())
    finetune(request_of(init="my-courts", output=str(tmp_path / "more"), frozen_stages=2, learning_rate=0.01), Report())
    old, new = (open_model(name, "detect")[1].state_dict() for name in ("my-courts", "more"))
    changed = {key.rpartition(".")[0] for key in old if not torch.equal(old[key], new[key])}
    parts = ("Stem", *(f"stages.{number}" for number in range(7)))  # every second one joins two stages
    frozen = {part for part in parts if not any(key.startswith(f"backbone.{part}.") for key in changed)}
    assert frozen == {"Stem", "stages.0", "stages.1", "stages.2"}


def test_evaluation_measures_a_model_as_it_is_used(request_of, tmp_path):
    request = request_of(epochs=40, learning_rate=2e-3)
    trained = finetune(request, Report())
    report = tmp_path / "report"
    finished = evaluate(EvaluateRequest("detect", request.data, str(report), "my-courts"), Report())
    metrics = json.loads((report / "metrics.json").read_text())
    assert finished.outputs == {
        "report": str(report / "report.html"),
        "metrics": str(report / "metrics.json"),
        "outcomes": str(report / "outcomes.gpkg"),
    }
    outcomes = geopandas.read_file(report / "outcomes.gpkg")
    found = (outcomes["outcome"] == "true").sum()
    assert found + (outcomes["outcome"] == "missed").sum() == 2
    assert metrics["at the shown threshold"]["recall"] == found / 2
    assert set(outcomes["reference_class"].dropna()) <= {"court"}
    assert (outcomes[outcomes["outcome"] == "true"]["iou"] >= 0.5).all()
    assert metrics["images"] == 2
    assert metrics["classes"]["court"]["objects"] == 2
    assert metrics["mAP (area)"] == pytest.approx(trained.numbers["mAP50"], abs=1e-4)
    assert metrics["mAP (area)"] > 0.3
    assert metrics["best threshold"] == pytest.approx(trained.numbers["best threshold"], abs=1e-3)
    assert metrics["F1"] == pytest.approx(trained.numbers["F1"], abs=1e-4)
    assert metrics["at the shown threshold"]["F1"] == metrics["F1"]  # it is the card's
    with pytest.raises(InputError, match="report is not empty; name one that is new or empty"):
        evaluate(EvaluateRequest("detect", request.data, str(report), "my-courts"), Report())
    sure = tmp_path / "sure"
    evaluate(EvaluateRequest("detect", request.data, str(sure), "my-courts", threshold=0.999), Report())
    assert json.loads((sure / "metrics.json").read_text())["classes"]["court"]["detections"] == 0


def test_evaluation_without_any_object_says_so_in_valid_json(request_of, tmp_path):
    finetune(request_of(), Report())
    empty = write_dataset(tmp_path / "empty")
    for label in empty.glob("val/labelTxt/*.txt"):
        label.write_text("")
    evaluate(EvaluateRequest("detect", str(empty), str(tmp_path / "report"), "my-courts"), Report())
    text = (tmp_path / "report" / "metrics.json").read_text()
    assert json.loads(text)["mAP (area)"] is None
    assert "NaN" not in text


def test_weights_of_a_backbone_are_taken_where_they_fit(request_of, tmp_path):
    finetune(request_of(), Report())
    card, network = open_model("my-courts", "detect")
    from safetensors.torch import save_file

    save_file(network.backbone.state_dict(), tmp_path / "backbone.safetensors")
    lines = Lines()
    finetune(request_of(output=str(tmp_path / "next"), backbone=str(tmp_path / "backbone.safetensors")), lines)
    count = len(network.backbone.state_dict())
    assert f"Took {count} of {count} tensors of the backbone from backbone.safetensors." in lines.lines
    save_model(replace(card, id="other"), network.state_dict())
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot be read"):
        finetune(request_of(output=str(tmp_path / "x"), backbone=str(tmp_path / "junk.safetensors")), Report())
    with pytest.raises(InputError, match="The backbone nowhere is neither a model that is installed nor a file"):
        finetune(request_of(output=str(tmp_path / "y"), backbone="nowhere"), Report())


@pytest.mark.parametrize("option", ["neck_channels=wide", "neck_channels=1.5", "colour=3"])
def test_options_of_the_network_are_checked(request_of, option):
    with pytest.raises((InputError, ModelError), match=option.partition("=")[0]):
        finetune(request_of(network_options=(option,)), Report())
