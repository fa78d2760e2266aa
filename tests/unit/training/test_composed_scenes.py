# SPDX-License-Identifier: GPL-2.0-or-later
"""Composed scenes, from images of one colour for each kind of ground: what is where can be read from the pixels."""

import json
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from model_runner.training.composed_scenes import CLASSES, Grounds, compose_pair, compose_scene
from model_runner.training.composed_scenes.__main__ import main
from model_runner.training.composed_scenes.grounds import WHOLE_IMAGES, WINDOWS

COLOURS = {name: (30 * number + 20, 200 - 25 * number, 90) for number, name in enumerate(CLASSES)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of UC Merced's names, each in the colour of its class, or black but for windows of water and sand."""
    folder = tmp_path_factory.mktemp("ucmerced")
    for name, scenes in WHOLE_IMAGES.items():
        for scene in scenes:
            (folder / scene).mkdir()
            Image.new("RGB", (64, 64), COLOURS[name]).save(folder / scene / f"{scene}00.png")
    (folder / "beach").mkdir()
    images = defaultdict(lambda: Image.new("RGB", (256, 256)))
    for name, windows in json.loads(WINDOWS.read_text()).items():
        for stem, *window in windows:
            images[stem].paste(COLOURS[name], tuple(window))
    for stem, image in images.items():
        image.save(folder / "beach" / f"{stem}.png")
    return folder


@pytest.fixture(scope="module")
def grounds(folder):
    return Grounds(folder)


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_a_texture_shows_its_ground_alone(grounds, label):
    texture = grounds.texture(label, 96, np.random.default_rng(0))
    assert texture.shape == (96, 96, 3)
    assert np.abs(texture.astype(int) - COLOURS[CLASSES[label]]).max() <= 1


@pytest.mark.parametrize("seed", range(6))
def test_labels_are_right_to_the_pixel_away_from_borders(grounds, seed):
    scene = compose_scene(grounds, 96, np.random.default_rng(seed))
    expected = np.array([COLOURS[name] for name in CLASSES])[scene.labels]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(scene.labels, 1, mode="edge"), (3, 3))
    inner = (windows == scene.labels[..., None, None]).all((2, 3))
    assert inner.mean() > 0.5
    wrong = (np.abs(scene.image.astype(int) - expected) > 1).any(2) & inner
    assert wrong.sum() < 0.005 * inner.sum()  # where a strip of the same kind meets a region's soft border
    assert len(np.unique(scene.labels)) >= 2


def test_the_same_generator_gives_the_same_scenes(grounds):
    first, again = (compose_pair(grounds, 64, np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_changes_differ_more_than_what_has_not_changed(grounds):
    differences = {True: [], False: []}
    for seed in range(20):
        pair = compose_pair(grounds, 96, np.random.default_rng(seed))
        chroma = [each.astype(float) - each.mean(2, keepdims=True) for each in (pair.before, pair.after)]
        difference = np.abs(chroma[0] - chroma[1]).sum(2)
        for changed in (True, False):
            differences[changed].extend(difference[pair.changed == changed])
    assert 0.01 < len(differences[True]) / (20 * 96 * 96) < 0.4
    assert np.median(differences[True]) > 2 * np.median(differences[False])


def test_the_command_writes_datasets(folder, tmp_path, capsys):
    assert main(["--task", "segment", "--images", str(folder), "--output", str(tmp_path / "s"), "--count", "2"]) == 0
    assert main(["--task", "change", "--images", str(folder), "--output", str(tmp_path / "c"), "--count", "1"]) == 0
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert names == [
        *(f"c/{part}/scene_00000.png" for part in ("A", "B", "label")),
        "s/classes.json",
        *(f"s/{part}/scene_0000{number}.png" for part in ("images", "masks") for number in range(2)),
    ]
    assert main(["--task", "segment", "--images", str(tmp_path), "--output", str(tmp_path / "n")]) == 2
    assert capsys.readouterr().err.startswith("error: There are no images of bare in ")
