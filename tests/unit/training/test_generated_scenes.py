# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_runner.errors import InputError
from model_runner.training.generated_scenes import CLASSES, SceneGenerator, write_dataset
from model_runner.training.generated_scenes.__main__ import main
from model_runner.training.generated_scenes.canvas import Layer, Light, random_light, rectangle
from model_runner.training.generated_scenes.composition import Composition, box_corners
from model_runner.training.generated_scenes.planes import TYPES, plane
from model_runner.training.generated_scenes.ships import boat
from model_runner.training.generated_scenes.tanks import Style, random_style, tank
from model_runner.training.generated_scenes.vehicles import vehicle

HEADINGS = np.linspace(-3.1, 3.1, 9)


@pytest.fixture
def backgrounds(tmp_path: Path) -> Path:
    rng = np.random.default_rng(7)
    for folder in ("forest", "runway", "buildings", "airplane"):
        (tmp_path / "backgrounds" / folder).mkdir(parents=True)
        for number in range(2):
            pixels = rng.integers(60, 160, (256, 256, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "backgrounds" / folder / f"{number}.png")
    return tmp_path / "backgrounds"


def generator(backgrounds: Path, **options) -> SceneGenerator:
    return SceneGenerator(list(backgrounds.rglob("*.png")), **options)


def drawn_extent(body, heading: float, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest coordinates of what is visible of a body, along and across its heading."""
    layer = Layer(300, light._replace(tint=np.ones(3, dtype=np.float32), softness=0.0))
    layer.draw(body, 150.0, 150.0, heading)
    covered = layer.onto(np.zeros((300, 300, 3), dtype=np.float32)).sum(axis=2)
    covered = np.maximum(covered, 765 - layer.onto(np.full((300, 300, 3), 255, dtype=np.float32)).sum(axis=2))
    rows, columns = np.nonzero(covered > 0.5 * 765)
    offsets = np.stack([columns, rows], axis=1) + 0.5 - 150
    frame = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
    local = offsets @ frame
    return local.min(axis=0), local.max(axis=0)


BODIES = {
    **{kind: lambda rng, light, heading, kind=kind: plane(rng, light, heading, kind, 3.0) for kind in TYPES},
    "boat": lambda rng, light, heading: boat(rng, light, heading, 60.0),
    "car": lambda rng, light, heading: vehicle(rng, light, heading, 6.0),
    "tank": lambda rng, light, heading: tank(rng, light, 40.0, random_style(rng)),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_box_touches_the_drawn_object_on_every_side(kind):
    rng = np.random.default_rng(3)
    for heading in HEADINGS:
        heading = 0.0 if kind == "tank" else float(heading)
        light = random_light(rng)
        body = BODIES[kind](rng, light, heading)
        low, high = drawn_extent(body, heading, light)
        expected_low, expected_high = body.extent()
        # Half-covered pixels and pointed tips (a nose, a bow) leave up to a pixel and a half.
        np.testing.assert_allclose(low, expected_low, atol=1.6)
        np.testing.assert_allclose(high, expected_high, atol=1.6)


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_box_is_the_turned_rectangle_around_the_solid_parts(heading):
    rng = np.random.default_rng(11)
    light = random_light(rng)
    body = plane(rng, light, heading, "single", 4.0)
    x, y, w, h, angle = body.box(50.0, 60.0, heading)
    assert w >= h
    assert -np.pi / 2 <= angle < np.pi / 2
    low, high = body.extent()
    turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
    expected = rectangle(*low, *high) @ turn + (50.0, 60.0)
    corners = box_corners(np.array([[x, y, w, h, angle]]))[0]
    distances = np.hypot(*(corners[:, None] - expected[None]).transpose(2, 0, 1))
    np.testing.assert_allclose(distances.min(axis=1), 0, atol=1e-9)


def test_a_plane_with_a_span_above_its_length_has_its_long_side_across_the_heading():
    rng = np.random.default_rng(0)
    body = plane(rng, random_light(rng), 0.3, "single", 4.0)
    length, span = body.size()
    assert span > length
    assert body.box(0, 0, 0.3)[4] == pytest.approx(0.3 - np.pi / 2)


def test_the_box_of_a_tank_is_an_upright_square():
    rng = np.random.default_rng(1)
    box = tank(rng, random_light(rng), 30.0, random_style(rng)).box(100.0, 80.0, 0.0)
    assert box[2] == box[3] >= 60
    assert box[4] == 0


def test_shadows_fall_away_from_the_sun_and_outside_of_the_box():
    rng = np.random.default_rng(5)
    light = Light(np.array([1.5, 0.0]), np.zeros(2), np.zeros(3, dtype=np.float32), 0.3)
    layer = Layer(200, light)
    box = layer.draw(tank(rng, light, 25.0, Style("cone", (240, 240, 240))), 80.0, 100.0, 0.0)
    shaded = layer.onto(np.full((200, 200, 3), 200, dtype=np.float32))
    right, left = int(box[0] + box[2] / 2 + 4), int(box[0] - box[2] / 2 - 4)
    assert shaded[100, right].max() < 20
    assert shaded[100, left].min() > 190


def test_the_same_seed_and_index_give_the_same_scene(backgrounds):
    first, second = generator(backgrounds, seed=4).scene(9), generator(backgrounds, seed=4).scene(9)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_another_seed_or_index_gives_another_scene(backgrounds):
    scene = generator(backgrounds, seed=4).scene(9)
    assert not np.array_equal(scene.image, generator(backgrounds, seed=5).scene(9).image)
    assert not np.array_equal(scene.image, generator(backgrounds, seed=4).scene(10).image)


@pytest.mark.parametrize("size", [128, 256, 400])
def test_scenes_have_the_promised_shapes_and_long_side_first_boxes(backgrounds, size):
    scenes = [generator(backgrounds, size=size).scene(index) for index in range(12)]
    for scene in scenes:
        assert scene.image.shape == (size, size, 3)
        assert scene.image.dtype == np.uint8
        assert scene.boxes.dtype == np.float32
        assert scene.labels.dtype == np.int64
        assert scene.boxes.shape == (len(scene.labels), 5)
        assert (scene.boxes[:, 2] >= scene.boxes[:, 3]).all()
        assert (np.abs(scene.boxes[:, 4]) <= np.pi / 2 + 1e-6).all()
        # More than half of every box is visible, so its centre lies inside.
        assert ((scene.boxes[:, :2] >= 0) & (scene.boxes[:, :2] <= size)).all()


def test_all_classes_and_empty_scenes_occur(backgrounds):
    scenes = [generator(backgrounds).scene(index) for index in range(60)]
    assert {CLASSES[label] for scene in scenes for label in scene.labels} == set(CLASSES)
    assert any(len(scene.labels) == 0 for scene in scenes)


def test_an_object_is_not_drawn_where_it_would_cover_another_or_be_cut_in_half():
    rng = np.random.default_rng(2)
    composition = Composition(rng, np.zeros((200, 200, 3), dtype=np.float32), random_light(rng), 3.0)
    layer = composition.layer()
    car = vehicle(rng, composition.light, 0.0, 10.0)
    assert composition.place(layer, "small-vehicle", car, 100.0, 100.0, 0.0)
    assert not composition.place(layer, "small-vehicle", car, 110.0, 105.0, 0.5)
    assert not composition.place(layer, "small-vehicle", car, 210.0, 30.0, 0.0)
    assert composition.place(layer, "small-vehicle", car, 190.0, 30.0, 0.0)
    assert len(composition.found) == 2


def test_images_that_show_the_classes_are_never_backgrounds(backgrounds):
    for path in (backgrounds / "airplane").iterdir():
        path.write_bytes(b"not an image: reading it would fail")
    for index in range(20):
        generator(backgrounds).scene(index)


def test_backgrounds_without_a_usable_image_are_refused(backgrounds):
    with pytest.raises(InputError, match="None of the 2 background images"):
        generator(backgrounds / "airplane")


def test_too_small_scenes_are_refused(backgrounds):
    with pytest.raises(InputError, match="32 pixels are too small"):
        generator(backgrounds, size=32)


def test_a_written_dataset_holds_the_scenes_and_their_boxes(backgrounds, tmp_path):
    scenes = generator(backgrounds, seed=1)
    write_dataset(tmp_path / "data", scenes, count=5)
    assert len(list((tmp_path / "data" / "images").iterdir())) == 5
    for index in range(5):
        scene = scenes.scene(index)
        with Image.open(tmp_path / "data" / "images" / f"scene_{index:05d}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), scene.image)
        lines = (tmp_path / "data" / "labelTxt" / f"scene_{index:05d}.txt").read_text().splitlines()
        words = [line.split() for line in lines]
        assert [row[8] for row in words] == [CLASSES[label] for label in scene.labels]
        assert all(row[9] == "0" for row in words)
        corners = np.array([row[:8] for row in words], dtype=float).reshape(-1, 4, 2)
        np.testing.assert_allclose(corners.mean(axis=1), scene.boxes[:, :2], atol=0.01)
        np.testing.assert_allclose(np.hypot(*(corners[:, 1] - corners[:, 0]).T), scene.boxes[:, 2], atol=0.02)


def test_the_command_writes_a_dataset(backgrounds, tmp_path):
    status = main(["--backgrounds", str(backgrounds), "--output", str(tmp_path / "out"), "--count", "2", "--seed", "3"])
    assert status == 0
    assert len(list((tmp_path / "out" / "labelTxt").iterdir())) == 2


def test_the_command_says_in_one_line_that_the_backgrounds_are_missing(tmp_path, capsys):
    assert main(["--backgrounds", str(tmp_path / "nowhere"), "--output", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "background images" in message
    assert not (tmp_path / "out").exists()
