# SPDX-License-Identifier: GPL-2.0-or-later
import re

import numpy as np
import pytest
import torch
from PIL import Image

from model_runner.errors import InputError, UnreadableRaster
from model_runner.training.datasets.scenes import SceneDataset, find_scene_classes, middle_of_scene


def add(folder, *names, colour=(10, 20, 30)):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (40, 32), colour).save(folder / name)


def refused(message, kind=InputError):
    return pytest.raises(kind, match=re.escape(message))


@pytest.mark.parametrize("split", ["", "train"])
def test_sorted_folder_names_are_the_class_numbers(tmp_path, split):
    add(tmp_path / split / "river", "b.png", "a.jpg")
    add(tmp_path / split / "beach", "a.png", colour=(200, 1, 2))
    names = find_scene_classes(tmp_path)
    assert names == ("beach", "river")
    samples = SceneDataset(tmp_path, "train", names)
    assert [(path.name, label) for path, label in zip(samples.paths, samples.labels, strict=True)] == [
        ("a.png", 0),
        ("a.jpg", 1),
        ("b.png", 1),
    ]
    assert samples[0].image[:, 0, 0].tolist() == [200, 1, 2]
    assert samples[0].shares.tolist() == [1, 0]
    assert len({samples[number].name for number in range(3)}) == 3


def test_a_model_that_knows_more_classes_keeps_its_numbers(tmp_path):
    add(tmp_path / "river", "a.png")
    assert SceneDataset(tmp_path, "val", ("beach", "port", "river")).labels == [2]


def test_unusable_datasets_are_refused_in_one_line(tmp_path):
    add(tmp_path / "train" / "river", "a.png")
    with refused("has 1 class; scenes need two"):
        find_scene_classes(tmp_path)
    with refused("There is no folder"):
        SceneDataset(tmp_path, "val", ("river",))
    with refused("class river is unknown; known are beach, port"):
        SceneDataset(tmp_path, "train", ("beach", "port"))
    (tmp_path / "train" / "beach").mkdir()
    with refused("There are no images in"):
        SceneDataset(tmp_path, "train", ("beach", "river"))
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "train" / "beach" / "deep.png")
    with refused("uint16 pixels; stretch and convert"):
        SceneDataset(tmp_path, "train", ("beach", "river"))
    (tmp_path / "train" / "beach" / "deep.png").write_bytes(b"junk")
    with refused("deep.png", UnreadableRaster):
        SceneDataset(tmp_path, "train", ("beach", "river"))[0]


def test_a_model_sees_the_middle_of_a_scene():
    image = torch.randint(0, 256, (3, 256, 300), dtype=torch.uint8)
    assert middle_of_scene(image, 224).equal(image[:, 16:240, 38:262])
    coarse = torch.arange(3, dtype=torch.uint8).view(3, 1, 1).expand(3, 100, 64).contiguous()
    assert middle_of_scene(coarse, 112).equal(torch.arange(3, dtype=torch.uint8).view(3, 1, 1).expand(3, 112, 112))
