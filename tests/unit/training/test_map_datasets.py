# SPDX-License-Identifier: GPL-2.0-or-later
import json
import re

import numpy as np
import pytest
from PIL import Image

from model_runner.errors import InputError
from model_runner.training.datasets.maps import find_mask_classes, open_masks, open_pairs

CLASSES = [{"name": "land", "colour": "#33a02c"}, {"name": "water"}]
NAMES = ("land", "water")


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def write_masks(root, name="one", values=((0, 1, 255), (1, 1, 0))):
    labels = np.kron(values, np.ones((10, 10)))
    save(root / "images" / f"{name}.png", np.full((*labels.shape, 3), 77))
    save(root / "masks" / f"{name}.png", labels)
    return labels


def write_pair(root, name="one", values=((0, 255),)):
    labels = np.kron(values, np.ones((10, 10)))
    save(root / "A" / f"{name}.png", np.full((*labels.shape, 3), 1))
    save(root / "B" / f"{name}.jpg", np.full((*labels.shape, 3), 2))
    save(root / "label" / f"{name}.png", labels)
    return labels


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "classes.json").write_text(json.dumps(CLASSES))
    return tmp_path


def refused(message):
    return pytest.raises(InputError, match=re.escape(message))


@pytest.mark.parametrize("split", ["", "val"])
def test_a_mask_gives_the_class_of_each_pixel(folder, split):
    labels = write_masks(folder / split)
    assert find_mask_classes(folder) == {"land": "#33a02c", "water": ""}
    samples = open_masks(folder, "val", NAMES)
    sample = samples[0]
    assert len(samples) == 1
    assert sample.name == "one"
    assert sample.images.shape == (1, 3, *labels.shape)
    assert sample.images.eq(77).all()
    assert (sample.labels.numpy() == labels).all()


def test_classes_are_found_by_name_whatever_their_order_in_the_model(folder):
    labels = write_masks(folder)
    found = open_masks(folder, "val", ("forest", "water", "land")).read_labels(0).numpy()
    assert (found == np.select([labels == 0, labels == 1], [2, 1], 255)).all()
    with refused("the class water is unknown; known are land, forest"):
        open_masks(folder, "val", ("land", "forest"))


def test_pairs_are_matched_by_name_and_labels_become_classes(tmp_path):
    labels = write_pair(tmp_path / "train")
    write_pair(tmp_path / "train", "another")
    sample = open_pairs(tmp_path, "train")[1]
    assert sample.name == "one"
    assert sample.images[0].eq(1).all()
    assert sample.images[1].int().sub(2).abs().max() <= 1
    assert (sample.labels.numpy() == labels / 255).all()


def test_unusable_masks_are_refused_in_one_line(folder):
    write_masks(folder)
    write_masks(folder, "two", values=((0, 7),))
    with refused("two.png holds the value 7; classes.json names the classes 0 to 1, and 255 is ignored."):
        open_masks(folder, "train", NAMES)
    save(folder / "masks" / "two.png", np.zeros((10, 12)))
    with refused("two.png measures 20 x 10 pixels and"):
        open_masks(folder, "train", NAMES)
    save(folder / "masks" / "two.png", np.zeros((10, 20, 3)))
    with refused("two.png has 3 bands of uint8; labels have one"):  # water has no colour
        open_masks(folder, "train", NAMES)
    (folder / "masks" / "two.png").unlink()
    with refused("two.png has no counterpart: there is no"):
        open_masks(folder, "train", NAMES)
    (folder / "images" / "two.png").rename(folder / "masks" / "two.png")
    with refused("two.png has no counterpart: there is no"):
        open_masks(folder, "train", NAMES)


def test_unusable_pairs_are_refused_in_one_line(tmp_path):
    with refused("There is no folder"):
        open_pairs(tmp_path, "train")
    write_pair(tmp_path, values=((0, 1),))
    with refused("one.png holds the value 1; labels are 0 (unchanged) or 255 (changed)."):
        open_pairs(tmp_path, "train")
    save(tmp_path / "B" / "one.jpg", np.zeros((10, 10, 3)))
    save(tmp_path / "label" / "one.png", np.zeros((10, 20)))
    with refused("one.jpg measures 10 x 10 pixels and"):
        open_pairs(tmp_path, "train")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "names 0 different classes"),
        ("{}", "must be a list such as"),
        ('[{"name": "a"}, {"name": "b", "value": 256}]', "the value 256 is no whole number from 0 to 255"),
        ('[{"name": "a"}, {"name": "b", "value": 0}]', "uses the value 0 twice"),
        ('{"classes": [{"name": "a"}, {"name": "b"}], "ignored": [1]}', "uses the value 1 twice"),
        ("[1, 2]", "must be a list such as"),
        ("[", "must be a list such as"),
        ('[{"name": "a"}]', "names 1 different classes"),
        ('[{"name": "a"}, {"name": "a"}]', "names 1 different classes in 2 entries"),
        ('[{"name": "a"}, {"name": "b", "colour": "blue"}]', "the colour 'blue' of b is not written #rrggbb"),
    ],
)
def test_a_list_of_classes_must_be_one(tmp_path, text, words):
    (tmp_path / "classes.json").write_text(text)
    with refused(words):
        find_mask_classes(tmp_path)


def test_class_numbers_may_have_gaps_and_other_values_be_ignored(tmp_path):
    classes = [{"name": "land", "value": 10}, {"name": "water", "value": 255}]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes, "ignored": 0}))
    write_masks(tmp_path, values=((0, 10, 255),))
    assert open_masks(tmp_path, "val", NAMES).read_labels(0)[0].unique_consecutive().tolist() == [255, 0, 1]
    write_masks(tmp_path, "two", values=((0, 1, 20),))
    with refused("two.png holds the values 1, 20; classes.json names the classes 10, 255, and 0 is ignored."):
        open_masks(tmp_path, "val", NAMES)


def test_masks_with_a_palette_hold_its_numbers(folder):
    labels = write_masks(folder, values=((0, 1), (1, 0)))
    mask = Image.fromarray(labels.astype(np.uint8), mode="P")
    mask.putpalette([0, 200, 0, 0, 0, 200])
    mask.save(folder / "masks" / "one.png")
    assert (open_masks(folder, "train", NAMES).read_labels(0).numpy() == labels).all()


@pytest.mark.parametrize("alpha", [False, True])
def test_masks_may_be_painted_in_the_colours_of_the_table(folder, alpha):
    classes = [{"name": "land", "colour": "#33A02C", "value": 4}, {"name": "water", "colour": "#1f78b4"}]
    (folder / "classes.json").write_text(json.dumps(classes))
    labels = write_masks(folder, values=((0, 1, 1), (1, 1, 0)))
    painted = np.array([(0x33, 0xA0, 0x2C, 255), (0x1F, 0x78, 0xB4, 255)])[labels.astype(int)]
    save(folder / "masks" / "one.png", painted if alpha else painted[..., :3])
    samples = open_masks(folder, "train", NAMES)
    assert (samples.read_labels(0).numpy() == labels).all()
    painted[0, :10, 0] = range(10)
    save(folder / "masks" / "one.png", painted[..., :3])
    with refused("shows the colours #00a02c, #01a02c, #02a02c, #03a02c, #04a02c, #05a02c, #06a02c, #07a02c and 2 more; "
                 "classes.json gives the classes #33a02c, #1f78b4."):  # fmt: skip
        open_masks(folder, "train", NAMES)


def test_pairs_and_masks_in_other_forms_are_refused_with_what_to_do(folder):
    write_pair(folder)
    save(folder / "label" / "one.png", np.zeros((10, 20, 3)))
    with refused("one.png has 3 bands of uint8; labels have one of uint8, which holds numbers and not colours."):
        open_pairs(folder, "train")
    save(folder / "images" / "one.png", np.zeros((10, 20, 3)))
    (folder / "train.json").write_text("{}")
    with refused("run-length codes are not read as masks; write them as images of class numbers into"):
        open_masks(folder, "train", NAMES)


def test_a_missing_list_of_classes_is_asked_for(tmp_path):
    with refused('it lists the classes in the order of their numbers: [{"name": "water"'):
        find_mask_classes(tmp_path)
