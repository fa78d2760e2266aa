# SPDX-License-Identifier: GPL-2.0-or-later
"""Every wrong dataset is told of with the names of all files that are wrong."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from model_runner.errors import Cancelled, InputError
from model_runner.report import Report
from model_runner.training.datasets.checks import check_dataset
from model_runner.training.datasets.images import Pixels
from model_runner.training.datasets.layouts import dataset_splits, find_other_tasks, find_task

SQUARE = "10 20 30 20 30 30 10 30"
SIDE = 48


class Pictures:
    """Makes images, each another one."""

    def __init__(self):
        self.generator = np.random.default_rng(0)

    def draw(self, path, size=(SIDE, SIDE), bands=3):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = self.generator.integers(0, 256, (*size, bands), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return pixels


@pytest.fixture
def pictures():
    return Pictures()


def check(task, folder):
    found = check_dataset(task, folder, Report())
    return found, {kind: [each.text for each in group] for kind, group in by_kind(found).items()}


def by_kind(found):
    kinds = {}
    for each in (*found.errors, *found.doubts):
        kinds.setdefault(each.kind, []).append(each)
    return kinds


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def one_of(texts, *words):
    """The only text, which has all words."""
    (text,) = texts
    assert all(word in text for word in words), text


@pytest.fixture
def objects(tmp_path, pictures):
    for split, names in (("train", "abc"), ("val", "d")):
        (tmp_path / split / "labelTxt").mkdir(parents=True)
        for name in names:
            pictures.draw(tmp_path / split / "images" / f"{name}.png")
            (tmp_path / split / "labelTxt" / f"{name}.txt").write_text(f"{SQUARE} ship 0\n{SQUARE} plane 0\n")
    return tmp_path


@pytest.fixture
def objects_in_coco(tmp_path, pictures):
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": []}
    for split in ("train", "val"):
        pictures.draw(tmp_path / f"{split}2017" / "a.png")
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def masks(tmp_path, pictures):
    (tmp_path / "classes.json").write_text(json.dumps([{"name": "land", "colour": "#00c800"}, {"name": "water"}]))
    for place in ("train/{}/a", "train/{}/b", "val/{}/c"):
        pictures.draw(tmp_path / f"{place.format('images')}.png")
        save(tmp_path / f"{place.format('masks')}.png", pictures.generator.integers(0, 2, (SIDE, SIDE)))
    return tmp_path


@pytest.fixture
def pairs(tmp_path, pictures):
    for place in ("train/{}/a", "train/{}/b", "val/{}/c"):
        pictures.draw(tmp_path / f"{place.format('A')}.png")
        pictures.draw(tmp_path / f"{place.format('B')}.png")
        save(tmp_path / f"{place.format('label')}.png", 255 * pictures.generator.integers(0, 2, (SIDE, SIDE)))
    return tmp_path


@pytest.fixture
def scenes(tmp_path, pictures):
    for split in ("train", "val"):
        for name in ("beach", "river"):
            for number in range(2):
                pictures.draw(tmp_path / split / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("task", "fixture", "images", "examples"),
    [
        ("detect", "objects", {"train": 3, "val": 1}, {"plane": 3, "ship": 3}),
        ("segment", "masks", {"train": 2, "val": 1}, None),
        ("change", "pairs", {"train": 2, "val": 1}, None),
        ("classify", "scenes", {"train": 4, "val": 4}, {"beach": 2, "river": 2}),
    ],
)
def test_nothing_is_said_against_a_sound_dataset(request, task, fixture, images, examples):
    found, kinds = check(task, request.getfixturevalue(fixture))
    assert kinds == {}
    assert found.images == images
    assert examples is None or found.classes["train"] == examples
    assert examples or sum(found.classes["train"].values()) == 2 * SIDE**2


def test_all_faults_of_labels_are_listed_with_file_and_line(objects):
    labels = objects / "train" / "labelTxt"
    (labels / "a.txt").write_text(f"1 2 3\n{SQUARE} ship 0\n{SQUARE} ship x\n")
    (labels / "b.txt").write_text("5 5 5 5 5 5 5 5 ship 0\n10 10 20 20 30 30 20 20 plane 0\n4 4 20 4 20 5 4 5 ship 0\n")
    (labels / "c.txt").write_text(
        "60 10 70 10 70 20 60 20 ship 0\n40 40 55 40 55 55 40 55 plane 0\n-1 9 9 9 9 19 -1 19 ship 0\n"
    )
    found, kinds = check("detect", objects)
    assert {kind: len(texts) for kind, texts in kinds.items()} == {
        "label_text": 2,
        "degenerate": 2,
        "small": 1,
        "outside": 1,
        "cut": 1,
    }
    assert [text.split(": ")[0].removeprefix(f"{labels}{os.sep}") for text in kinds["label_text"]] == [
        "a.txt, line 1",
        "a.txt, line 3",
    ]
    assert "b.txt, line 2: the plane measures 28.3 x 0.0 pixels" in kinds["degenerate"][1]
    one_of(kinds["outside"], "c.txt, line 1", "65, 15, is outside c.png (48 x 48 pixels)")
    one_of(kinds["cut"], "c.txt, line 2")
    assert {each.kind for each in found.doubts} == {"small", "cut"}


def test_counterparts_that_are_missing_are_all_named(objects, pictures):
    (objects / "train" / "images" / "a.png").unlink()
    (objects / "train" / "images" / "b.png").unlink()
    (objects / "train" / "labelTxt" / "c.txt").unlink()
    pictures.draw(objects / "val" / "images" / "d.tif")
    _, kinds = check("detect", objects)
    assert len(kinds["missing_pair"]) == 2
    one_of(kinds["unlabelled"], "c.png")
    one_of(kinds["same_name"], "d.png", "d.tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_unreadable_and_cut_off_images_and_too_few_bands_are_told_apart_and_deep_ones_are_fine(objects, pictures):
    images = objects / "train" / "images"
    (images / "a.png").write_bytes(b"junk")
    whole = (images / "b.png").read_bytes()
    (images / "b.png").write_bytes(whole[: len(whole) * 2 // 3])
    Image.fromarray(np.full((SIDE, SIDE), 1000, np.uint16)).save(images / "c.png")
    (objects / "val" / "images" / "d.png").unlink()
    facts = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 2, "dtype": "uint8"}
    with rasterio.open(objects / "val" / "images" / "d.tif", "w", **facts) as raster:
        raster.write(np.ones((2, SIDE, SIDE), np.uint8))
    found, kinds = check("detect", objects)
    assert [each.file for each in by_kind(found)["unreadable"]] == [str(images / "a.png"), str(images / "b.png")]
    assert "its end is missing" in kinds["unreadable"][1]
    one_of(kinds["too_few_bands"], "d.tif has 2")
    tolerant = check_dataset("detect", objects, Report(), tolerated=("unreadable",))
    assert {each.kind for each in tolerant.errors} == {"too_few_bands"}


def test_cut_off_photographs_and_rasters_are_found(scenes, pictures):
    for name in ("cut.jpg", "cut.tif"):
        path = scenes / "train" / "river" / name
        pictures.draw(path, size=(200, 200))
        path.write_bytes(path.read_bytes()[:-20_000])
    _, kinds = check("classify", scenes)
    assert len(kinds["unreadable"]) == 2


def test_classes_that_train_does_not_know_and_other_spellings_are_told(objects):
    (objects / "val" / "labelTxt" / "d.txt").write_text(f"{SQUARE} ship 0\n{SQUARE} Ship 0\n{SQUARE} boat 0\n")
    found, kinds = check("detect", objects)
    assert [each.kind for each in found.errors] == ["unknown_class", "unknown_class"]
    assert any("d.txt, line 3: train has no objects of the class boat" in text for text in kinds["unknown_class"])
    one_of(kinds["names"], "'Ship' and 'ship'")
    one_of(kinds["no_example"], "val has no objects of the class plane")


def test_the_same_image_in_train_and_val_is_found_in_another_format(objects, pictures):
    pixels = pictures.draw(objects / "train" / "images" / "a.png")
    Image.fromarray(pixels).save(objects / "val" / "images" / "other.tif")
    pixels[-1] ^= 255  # begins alike, and is another image
    Image.fromarray(pixels).save(objects / "val" / "images" / "d.png")
    Image.open(objects / "train" / "images" / "b.png").save(objects / "train" / "images" / "c.png")
    _, kinds = check("detect", objects)
    one_of(kinds["leak"], f"{Path('val/images/other.tif')} shows the same pixels as", str(Path("train/images/a.png")))
    one_of(kinds["repeated"], "c.png", "b.png")


def test_masks_are_compared_with_the_table_and_the_images(masks, pictures):
    mask = masks / "train" / "masks"
    save(mask / "a.png", pictures.generator.integers(0, 8, (SIDE, SIDE)))
    save(mask / "b.png", np.zeros((SIDE, SIDE + 2)))
    save(masks / "val" / "masks" / "c.png", np.zeros((SIDE, SIDE, 3)))
    pictures.draw(masks / "train" / "images" / "d.png")
    save(mask / "e.png", np.zeros((SIDE, SIDE)))
    _, kinds = check("segment", masks)
    one_of(kinds["unknown_value"], "a.png holds the values 2, 3, 4, 5, 6, 7")
    one_of(kinds["size"], "b.png measures 48 x 48 pixels and", "50 x 48")
    one_of(kinds["label_file"], "c.png has 3 bands of uint8")
    assert len(kinds["missing_pair"]) == 2
    assert "nothing" in kinds


def test_colours_of_no_class_are_named(masks):
    (masks / "classes.json").write_text(
        '[{"name": "land", "colour": "#00c800"}, {"name": "water", "colour": "#0000c8"}]'
    )
    painted = np.full((SIDE, SIDE, 3), (0, 200, 0))
    save(masks / "train" / "masks" / "a.png", painted)
    painted[0, :3] = (9, 200, 0)
    save(masks / "val" / "masks" / "c.png", painted)
    found, kinds = check("segment", masks)
    one_of(kinds["unknown_value"], "c.png shows the colour #09c800; classes.json gives the classes #00c800, #0000c8.")
    assert len(found.errors) == 1


def test_doubts_about_masks_do_not_stop(masks):
    mask = Image.new("P", (SIDE, SIDE), 0)
    mask.putpalette([200, 0, 0] * 256)
    mask.save(masks / "train" / "masks" / "a.png")
    save(masks / "train" / "masks" / "b.png", np.full((SIDE, SIDE), 255))
    found, kinds = check("segment", masks)
    assert found.errors == ()
    one_of(kinds["colours"], "a.png shows its value 0 in #c80000", "gives land #00c800")
    one_of(kinds["ignored"], "b.png")
    one_of(kinds["one_class"], "land")
    one_of(kinds["no_example"], "train has no pixels of the class water")


def test_tables_of_the_parts_must_agree_and_be_there(masks):
    (masks / "val" / "classes.json").write_text(json.dumps([{"name": "land"}, {"name": "sea"}]))
    one_of(check("segment", masks)[1]["unknown_class"], "the class sea is unknown", "names land, water")
    (masks / "classes.json").unlink()
    found, kinds = check("segment", masks)
    one_of(kinds["layout"], "There is no", "classes.json")
    assert found.errors


def test_labels_of_change_are_0_or_255_and_the_dates_differ(pairs, pictures):
    save(pairs / "train" / "label" / "a.png", pictures.generator.integers(0, 2, (SIDE, SIDE)))
    pictures.draw(pairs / "train" / "B" / "b.png", size=(SIDE, 40))
    (pairs / "val" / "A" / "c.png").write_bytes((pairs / "val" / "B" / "c.png").read_bytes())
    _, kinds = check("change", pairs)
    one_of(kinds["change_value"], "a.png holds the value 1; labels are 0 (unchanged) or 255 (changed)")
    one_of(kinds["size"], "b.png measures 40 x 48 pixels")
    one_of(kinds["same_dates"], "c.png")


def test_without_any_change_there_is_nothing_to_learn(pairs):
    for path in pairs.glob("train/label/*"):
        save(path, np.zeros((SIDE, SIDE)))
    one_of(check("change", pairs)[1]["nothing"], "has no changed pixels")


def test_scenes_in_two_classes_or_in_one_class_only_are_told(scenes):
    image = (scenes / "train" / "beach" / "0.png").read_bytes()
    (scenes / "train" / "river" / "0.png").write_bytes(image)
    (scenes / "val" / "beach" / "0.png").write_bytes(image)
    (scenes / "train" / "port").mkdir()
    _, kinds = check("classify", scenes)
    one_of(kinds["contradiction"], str(Path("river/0.png")), "as river and as beach")
    one_of(kinds["leak"], str(Path("val/beach/0.png")))
    one_of(kinds["layout"], "no images in", "port")
    for path in (scenes / "train" / "beach").iterdir():
        path.unlink()
    (scenes / "train" / "beach").rmdir()
    one_of(check("classify", scenes)[1]["nothing"], "train has 1 class")


def test_annotations_of_coco_are_checked_like_any_others(tmp_path, pictures):
    images = [{"id": 1, "file_name": "a.png", "width": 64, "height": SIDE}, {"id": 2, "file_name": "b.png"}]
    boxes = [[20, 20, 10, 5, 0.5], [20, 20, 0, 0, 0], [90, 90, 9, 9, 0]]
    annotations = [{"id": number, "image_id": 1, "category_id": 1, "bbox": box} for number, box in enumerate(boxes)] + [
        {"id": 8, "image_id": 1, "category_id": 2, "bbox": boxes[0]},
        {"id": 9, "image_id": 3, "category_id": 1},
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ship"}]}
    for split in ("train", "valid"):
        pictures.draw(tmp_path / split / "a.png")
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(content))
    _, kinds = check("detect", tmp_path)
    counts = {kind: len(texts) for kind, texts in kinds.items()}
    assert counts == {"missing_pair": 4, "size": 2, "unknown_class": 2, "degenerate": 2, "outside": 2, "angles": 2}


def test_folders_without_a_dataset_and_without_parts_are_told(tmp_path, objects):
    one_of(check("detect", tmp_path / "nothing")[1]["layout"], "There is no folder")
    one_of(check("detect", objects / "train")[1]["undivided"], "has no train and val")
    (objects / "val").rename(objects / "validate")
    one_of(check("detect", objects)[1]["layout"], "There is no folder", "val")
    shutil.rmtree(objects / "train" / "labelTxt")
    one_of(check("segment", objects)[1]["layout"][:1], "There is no folder", "masks")


@pytest.mark.parametrize(
    ("task", "fixture"),
    [
        ("detect", "objects"),
        ("detect", "objects_in_coco"),
        ("segment", "masks"),
        ("change", "pairs"),
        ("classify", "scenes"),
    ],
)
def test_a_dataset_of_another_task_is_not_taken_for_one_of_this(request, task, fixture):
    folder = request.getfixturevalue(fixture)
    (folder / "dataset.json").write_text('{"task": "of an export"}')
    (folder / "label_map.json").write_text("{}")
    assert find_task(folder) == task
    for other in {"detect", "segment", "change", "classify"} - {task}:
        found, kinds = check(other, folder)
        one_of(kinds.pop("other_task"), f"has the layout of a dataset for {task}, not for {other}")
        assert kinds == {}
        assert found.errors


def test_folders_that_lack_one_of_a_layout_are_not_taken_for_it(tmp_path, pictures):
    for name in ("A", "label", "unchanged"):
        pictures.draw(tmp_path / name / "a.png")
    (tmp_path / "dataset.json").write_text("{}")
    (tmp_path / "notes.json").write_text("no JSON")
    for task in ("detect", "change", "classify"):
        assert find_other_tasks(tmp_path, task) == ()
    layouts = r"images, masks and classes\.json \(segment\); A, B and label \(change\)"
    with pytest.raises(InputError, match=f"holds no dataset.*{layouts}"):
        find_task(tmp_path)
    pictures.draw(tmp_path / "river" / "a.png")
    assert find_task(tmp_path) == "classify"
    (tmp_path / "B").mkdir()
    assert (find_task(tmp_path), find_other_tasks(tmp_path, "classify")) == ("change", ("change",))
    (tmp_path / "val").mkdir()
    assert dataset_splits(tmp_path, "change") == ()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_bands_that_are_wanted_must_be_there_and_others_are_no_matter(masks, pictures):
    for path in masks.glob("*/images/*.png"):
        pictures.draw(path, bands=4)
        with rasterio.open(path) as image:
            pixels = image.read()
        path.unlink()
        with rasterio.open(path.with_suffix(".tif"), "w", driver="GTiff", width=SIDE, height=SIDE, count=4,
                           dtype="uint8", photometric="minisblack") as image:  # fmt: skip
            image.write(pixels)
    assert all("the first 3 are used" in text for text in check("segment", masks)[1]["bands"])
    assert not check_dataset("segment", masks, Report(), pixels=Pixels((4, 2, 1), 3)).doubts
    assert not check_dataset("segment", masks, Report(), pixels=Pixels(count=4)).doubts
    for wanted, words in ((Pixels((5,), 1), "no band 5"), (Pixels(count=6), "wants 6 bands")):
        found = check_dataset("segment", masks, Report(), pixels=wanted)
        assert [each.kind for each in found.errors] == ["too_few_bands"] * 3
        assert all(words in each.text for each in found.errors)


def test_a_check_can_be_cancelled_and_tells_how_far_it_is(scenes):
    class Impatient(Report):
        told = ()

        def progress(self, stage, done, total, megapixels_per_second=None, seconds_left=None):
            self.told = (*self.told, (stage, done, total))

        def check_cancelled(self):
            if len(self.told) == 3:
                raise Cancelled

    report = Impatient()
    with pytest.raises(Cancelled):
        check_dataset("classify", scenes, report)
    assert report.told[-1] == ("checking", 2, 8)
