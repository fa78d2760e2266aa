# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks that label each pixel, trained and measured at a size that a CPU does in seconds."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from safetensors.torch import save_file

from model_runner.contract.model_card import ModelCard, ModelClass
from model_runner.contract.task_requests import (
    ChangeRequest,
    Compute,
    EvaluateRequest,
    FinetuneRequest,
    RasterSource,
    SegmentRequest,
    Tiling,
)
from model_runner.errors import ModelError
from model_runner.model_store.store import open_model
from model_runner.networks import build_network
from model_runner.raster.source import open_source
from model_runner.raster.tiling import Tile
from model_runner.report import Report
from model_runner.reports.pictures import SIDE, scaled
from model_runner.tasks.change import change
from model_runner.tasks.evaluate import evaluate
from model_runner.tasks.finetune import finetune
from model_runner.tasks.segment import segment
from model_runner.training.checkpoints import LAST, load_checkpoint
from model_runner.training.datasets.images import read_image
from model_runner.training.pixel_statistics import pixels_of
from model_runner.training.recipes import find_recipe
from tests.lines import Lines

COLOURS = ("#1f78b4", "#33a02c")
COLOURS_FIRST = (2, 3, 4, 1)  # bands of the images of ``write_deep``


def draw(generator, side=100):
    """An image of dark ground with a bright field, and where the field is."""
    field = np.zeros((side, side), bool)
    top, left = generator.integers(5, 40, 2)
    field[top : top + 45, left : left + 40] = True
    image = generator.integers(30, 60, (side, side, 3), dtype=np.uint8)
    image[field] += 140
    return image, field


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_masks(folder, names=("ground", "field")):
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(2):
            image, field = draw(generator)
            write(folder / split / "images" / f"{number}.png", image)
            write(folder / split / "masks" / f"{number}.png", field.astype(np.uint8))
    classes = [{"name": name, "colour": colour} for name, colour in zip(names, COLOURS, strict=True)]
    (folder / "classes.json").write_text(json.dumps(classes))
    return folder


def write_pairs(folder):
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(2):
            (before, earlier), (after, later) = draw(generator), draw(generator)
            write(folder / split / "A" / f"{number}.png", before)
            write(folder / split / "B" / f"{number}.png", after)
            write(folder / split / "label" / f"{number}.png", (earlier ^ later).astype(np.uint8) * 255)
    return folder


@pytest.fixture
def request_of(tmp_path):
    def make(task, **changes):
        data = tmp_path / task
        if not data.exists():
            (write_masks if task == "segment" else write_pairs)(data)
        facts = {"task": task, "data": str(data), "output": str(tmp_path / f"{task}-model"), "init": "none"}
        small = {"sample_size": 96, "epochs": 1, "batch_size": 2, "workers": 0, "device": "cpu"}
        return FinetuneRequest(**{**facts, **small, **changes})

    return make


@pytest.mark.parametrize(
    ("task", "network", "main"),
    [("segment", None, "mIoU"), ("change", None, "F1"), ("change", "clafa_l0", "F1")],
)
def test_a_network_is_trained_goes_on_and_is_measured(request_of, tmp_path, task, network, main):
    finetune(request_of(task, network=network), Report())
    output = tmp_path / f"{task}-model"
    (output / "model.safetensors").unlink()
    lines = Lines()
    trained = finetune(request_of(task, network=network, epochs=2, resume=True, model_id="longer"), lines)
    assert any("Epoch 2 of 2" in line for line in lines.lines)
    card, _ = open_model("longer", task)
    assert (card.tile_size, card.overlap, card.network_options) == (96, 24, {})
    assert card.threshold == {"segment": 0.3, "change": 0.5}[task]
    assert card.network == network or {"segment": "unetformer_l0", "change": "a2net_l0"}[task]

    report = EvaluateRequest(task, str(tmp_path / task), str(tmp_path / "report"), "longer")
    finished = evaluate(report, Report())
    assert 0 <= finished.numbers[main] <= 1
    assert 0 <= trained.numbers[main] <= 1
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["images"] == 2
    assert sum(sum(row.values()) for row in metrics["confusion"].values()) == 2 * 100 * 100
    assert sum(metrics["confusion"][card.class_names[1]].values()) > 0


@pytest.mark.parametrize("task", ["segment", "change"])
def test_a_network_learns_from_single_images_of_the_smallest_size(request_of, task):
    assert finetune(request_of(task, batch_size=1), Report()).numbers["epoch"] == 1


def test_a_model_is_trained_further_with_another_option_if_its_weights_fit(request_of, tmp_path):
    finetune(request_of("segment"), Report())
    facts = {"init": "segment-model", "output": str(tmp_path / "finer")}
    finetune(request_of("segment", **facts, network_options=("oversampling=2",)), Report())
    assert open_model("finer", "segment")[0].network_options == {"oversampling": 2}
    rates = [load_checkpoint(tmp_path / name, LAST)["plan"]["learning_rate"] for name in ("segment-model", "finer")]
    assert rates == [4e-4, 6e-4]
    facts = {"init": "finer", "output": str(tmp_path / "other")}
    with pytest.raises(ModelError, match=r"The weights of finer do not fit the network: 1 of another shape \(.*Stem"):
        finetune(request_of("segment", **facts, network_options=("in_channels=4",)), Report())
    with pytest.raises(ModelError, match="cannot be built"):
        finetune(request_of("segment", **facts, network_options=("sharpness=4",)), Report())


@pytest.mark.parametrize(("task", "image", "label"), [("segment", "images", "masks"), ("change", "B", "label")])
def test_files_that_are_no_images_are_left_out_if_told(request_of, tmp_path, task, image, label):
    request = request_of(task, skip_unreadable=True, balance=True, batch_size=1, sample_size=None)
    data = tmp_path / task
    for place in (f"train/{image}/0.png", f"val/{label}/0.png"):
        (data / place).write_bytes(b"junk")
    lines = Lines()
    finished = finetune(request, lines)
    assert len(list((tmp_path / f"{task}-model" / "examples").iterdir())) == 1
    assert Path(finished.outputs["report"]).is_file()
    assert any(line.startswith("2 images could not be read and were left out:") for line in lines.lines)


def test_colours_come_from_the_dataset_and_rows_from_classes_of_the_same_name(request_of, tmp_path):
    finetune(request_of("segment"), Report())
    card, old = open_model("segment-model", "segment")
    assert tuple(each.colour for each in card.classes) == COLOURS
    other = write_masks(tmp_path / "other", ("field", "ground"))
    request = request_of(
        "segment", data=str(other), init="segment-model", output=str(tmp_path / "turned"), learning_rate=1e-12
    )
    finetune(request, Report())
    _, new = open_model("turned", "segment")
    for key in ("decoder.segmentation_head.2.0.weight", "decoder.aux_head.conv_out.0.weight"):
        first, second = old.state_dict()[key], new.state_dict()[key]
        torch.testing.assert_close(second, first.flip(0), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("task", "name"), [("segment", "unetformer_l0"), ("change", "a2net_l0")])
def test_a_network_learns_what_is_plain_to_see(request_of, task, name):
    torch.manual_seed(0)
    recipe = find_recipe(task, name)
    request = request_of(task)
    names = tuple(recipe.classes(Path(request.data)))
    data = recipe.training_data(request, names, 96)
    images, targets = recipe.collate([data[number] for number in range(2)])
    images = (images.float() - 100) / 60
    network = build_network(name, **({"num_classes": 2} if task == "segment" else {}))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    course = []
    for _ in range(10):
        loss = sum(recipe.losses(network, images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(float(loss.detach()))
    assert course[-1] < 0.7 * course[0]


@pytest.mark.parametrize("form", ["backbone_l0", "classifier_l0", "a2net_l0"])
def test_a_backbone_is_taken_from_any_network(request_of, tmp_path, form):
    source = build_network(form, **({"num_classes": 21} if form == "classifier_l0" else {}))
    save_file(source.state_dict(), tmp_path / "start.safetensors")
    lines = Lines()
    request = request_of("segment", backbone=str(tmp_path / "start.safetensors"), learning_rate=1e-12)
    finetune(request, lines)
    assert any("Took" in line and "from start.safetensors" in line for line in lines.lines)
    key = "stages.6.blocks.1.mlp.0.weight"
    prefix = "backbone." if form == "a2net_l0" else ""
    learnt = open_model("segment-model", "segment")[1].state_dict()[f"backbone.{key}"]
    torch.testing.assert_close(learnt, source.state_dict()[prefix + key], atol=1e-6, rtol=0)


def measure(task, card, network, folder, tmp_path, monkeypatch, **options):
    """What ``evaluate`` says of a network that passes for the model of a card."""
    monkeypatch.setattr("model_runner.tasks.evaluate.loaded_model", lambda *chosen: (card, network))
    output = tmp_path / "report"
    evaluate(EvaluateRequest(task, str(folder), str(output), "any", compute=Compute("cpu"), **options), Report())
    metrics = json.loads((output / "metrics.json").read_text())
    names = card.class_names
    return metrics, [[metrics["confusion"][row].get(column, 0) for column in names] for row in names]


def card_of(task, names=("ground", "field"), **facts):
    classes = tuple(ModelClass(name, "#000000") for name in names)
    network = {"segment": "unetformer_l0", "change": "a2net_l0"}[task]
    return ModelCard(id="any", title="any", task=task, network=network, classes=classes, tile_size=96, **facts)


def test_images_that_are_larger_than_a_tile_are_measured_whole(tmp_path, monkeypatch):
    bright_is_field = _Bright()
    image, field = draw(np.random.default_rng(1), side=250)
    write(tmp_path / "data" / "images" / "one.png", image)
    write(tmp_path / "data" / "masks" / "one.png", field.astype(np.uint8))
    (tmp_path / "data" / "classes.json").write_text('[{"name": "ground"}, {"name": "field"}]')
    card = card_of("segment", overlap=40)
    metrics, confusion = measure("segment", card, bright_is_field, tmp_path / "data", tmp_path, monkeypatch)
    assert metrics["mIoU"] == 1
    assert confusion == [[int((~field).sum()), 0], [0, int(field.sum())]]
    assert bright_is_field.sizes == {(96, 96)}


def test_images_of_a_tile_are_measured_as_the_network_sees_them(tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = build_network("unetformer_l0", num_classes=2).eval()
    data, card = write_masks(tmp_path / "data"), card_of("segment", mean=(0, 0, 0), std=(60, 60, 60))
    expected = np.zeros((2, 2), int)
    for path in (data / "val" / "images").iterdir():
        pixels = np.array(Image.open(path).crop((0, 0, 96, 90)))
        labels = np.array(Image.open(data / "val" / "masks" / path.name).crop((0, 0, 96, 90)))
        write(path, pixels)
        write(data / "val" / "masks" / path.name, labels)
        padded = np.pad(pixels / 60, ((0, 6), (0, 0), (0, 0)), mode="symmetric").astype(np.float32)
        with torch.inference_mode():
            found = network(torch.from_numpy(padded).permute(2, 0, 1)[None])[0, :, :90].argmax(0).numpy()
        np.add.at(expected, (labels, found), 1)
    assert expected.all()
    assert measure("segment", card, network, data, tmp_path, monkeypatch)[1] == expected.tolist()


@pytest.mark.parametrize("options", [{}, {"tiling": Tiling(128, 16)}, {"flips": True}], ids=str)
@pytest.mark.parametrize("task", ["segment", "change"])
def test_what_is_measured_is_what_users_get(task, options, tmp_path, monkeypatch):
    names = {"segment": ("ground", "field"), "change": ("unchanged", "changed")}[task]
    card = card_of(task, names, overlap=32, threshold=0.4)
    generator = np.random.default_rng(3)
    dates = [generator.integers(0, 256, (190, 230, 3), dtype=np.uint8) for _ in range(1 + (task == "change"))]
    labels = generator.integers(0, 2, (190, 230), dtype=np.uint8)
    folders = {"segment": ("images", "masks"), "change": ("A", "B", "label")}[task]
    for folder, pixels in zip(folders, (*dates, labels * (255 if task == "change" else 1)), strict=True):
        write(tmp_path / "data" / folder / "one.png", pixels)
    (tmp_path / "data" / "classes.json").write_text('[{"name": "ground"}, {"name": "field"}]')
    network = _Surroundings(1 if task == "change" else 2)
    images = [str(tmp_path / "data" / folder / "one.png") for folder in folders[:-1]]
    output = str(tmp_path / "map.tif")
    monkeypatch.setattr(f"model_runner.tasks.{task}.loaded_model", lambda *chosen: (card, network))
    if task == "segment":
        segment(SegmentRequest(RasterSource(*images), output, compute=Compute("cpu"), **options), Report())
    else:
        change(ChangeRequest(RasterSource(images[0]), images[1], output, compute=Compute("cpu"), **options), Report())
    with rasterio.open(output) as dataset:
        found = dataset.read(1)
    expected = [[int(((labels == row) & (found == column)).sum()) for column in (0, 1)] for row in (0, 1)]
    assert np.array(expected).all()
    assert measure(task, card, network, tmp_path / "data", tmp_path, monkeypatch, **options)[1] == expected


def test_pixels_without_data_are_not_measured(tmp_path, monkeypatch, make_raster):
    image, field = draw(np.random.default_rng(1), side=120)
    image[:50] = 0
    make_raster("one.tif", image.transpose(2, 0, 1), nodata=0)
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "one.tif").rename(tmp_path / "data" / "images" / "one.tif")
    write(tmp_path / "data" / "masks" / "one.png", field.astype(np.uint8))
    (tmp_path / "data" / "classes.json").write_text('[{"name": "ground"}, {"name": "field"}]')
    _, confusion = measure("segment", card_of("segment"), _Bright(), tmp_path / "data", tmp_path, monkeypatch)
    assert np.sum(confusion) == 70 * 120


class _Bright(torch.nn.Module):
    """Takes bright pixels for fields, and remembers the sizes of what it saw."""

    def __init__(self):
        super().__init__()
        self.sizes = set()

    def forward(self, images):
        self.sizes.add(tuple(images.shape[-2:]))
        bright = images.mean(1, keepdim=True)
        return torch.cat((torch.zeros_like(bright), bright), 1)


def write_deep(folder):
    """The fields of ``write_masks`` in 16 bits, with an infrared band before the colours that alone tells them."""
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(2):
            _, field = draw(generator)
            pixels = generator.integers(1000, 3000, (4, *field.shape)).astype(np.uint16)
            pixels[0][field] += 6000
            path = folder / split / "images" / f"{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            with rasterio.open(
                path, "w", driver="GTiff", width=100, height=100, count=4, dtype="uint16", photometric="minisblack"
            ) as raster:
                raster.write(pixels)
                raster.descriptions = ("nir", "red", "green", "blue")
            write(folder / split / "masks" / f"{number}.png", field.astype(np.uint8))
    (folder / "classes.json").write_text('[{"name": "ground"}, {"name": "field"}]')
    return folder


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_deep_images_of_four_bands_are_seen_in_training_as_they_are_in_use(request_of, tmp_path):
    deep = write_deep(tmp_path / "deep")
    finetune(request_of("segment"), Report())
    _, old = open_model("segment-model", "segment")
    lines = Lines()
    request = request_of(
        "segment",
        data=str(deep),
        init="segment-model",
        output=str(tmp_path / "four"),
        bands=COLOURS_FIRST,
        learning_rate=1e-12,
    )
    trained = finetune(request, lines)
    assert any("filters of nir start from the mean" in line for line in lines.lines)
    card, new = open_model("four", "segment")
    assert card.bands == ("red", "green", "blue", "nir")
    assert card.stretch_limits[3][1] > 8000 > 3100 > card.stretch_limits[0][1]
    stem = "backbone.Stem.proj.weight"
    before, after = old.state_dict()[stem], new.state_dict()[stem]
    torch.testing.assert_close(after[:, :3], before, atol=1e-6, rtol=0)
    torch.testing.assert_close(after[:, 3], before.mean(1), atol=1e-6, rtol=0)

    path = deep / "train" / "images" / "0.tif"
    seen = read_image(path, pixels_of(card, COLOURS_FIRST))
    with open_source(str(path), band_count=4, bands=COLOURS_FIRST, limits=card.stretch_limits) as source:
        used = source.read(Tile(0, 0, 0, 0, 100, 100, False, False, False, False)).pixels
    assert np.abs(seen.numpy() - used).max() <= 0.5
    normalised = (seen.flatten(1).float().mean(1) - torch.tensor(card.mean)) / torch.tensor(card.std)
    assert normalised.abs().max() < 0.2

    with Image.open(tmp_path / "four" / "examples" / "01_0.png") as example:
        shown = np.asarray(example)[:SIDE, :SIDE]
    colours = read_image(deep / "val" / "images" / "0.tif", pixels_of(card, COLOURS_FIRST))[:3]
    np.testing.assert_array_equal(shown, scaled(colours.permute(1, 2, 0).numpy()))

    asked = EvaluateRequest("segment", str(deep), str(tmp_path / "report"), "four", bands=COLOURS_FIRST)
    finished = evaluate(asked, Report())
    assert finished.numbers["mIoU"] == pytest.approx(trained.numbers["mIoU"], abs=0.02)


class _Surroundings(torch.nn.Module):
    """Tells, from many pixels around each, what tiles with other borders and mirrored ones tell otherwise."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, *images):
        mean = torch.nn.functional.avg_pool2d(sum(images).mean(1, keepdim=True), 31, 1, 15, count_include_pad=False)
        one = (mean.roll(9, -1) - mean.mean()) * 40
        return one if self.channels == 1 else torch.cat((torch.zeros_like(one), one), 1)
