# SPDX-License-Identifier: GPL-2.0-or-later
import json
import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis.strategies import floats, sampled_from
from PIL import Image

from model_runner.errors import InputError
from model_runner.rotated_boxes.geometry import corners, long_side_first
from model_runner.training.datasets.coco import read_coco
from model_runner.training.datasets.findings import refuse
from model_runner.training.datasets.objects import ObjectDataset, boxes_of, find_class_names, object_splits

CLASSES = ("plane", "ship")
CATEGORIES = [{"id": 0, "name": "things"}, {"id": 7, "name": "ship"}, {"id": 3, "name": "plane"}]
SQUARE = [10, 20, 30, 20, 30, 30, 10, 30]


def content(*annotations, names=("one.png",), **facts):
    images = [{"id": number, "file_name": name, **facts} for number, name in enumerate(names, 1)]
    listed = [{"id": number, "image_id": 1, "category_id": 7, **each} for number, each in enumerate(annotations)]
    return {"images": images, "annotations": listed, "categories": CATEGORIES}


def write(path, *annotations, **facts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content(*annotations, **facts)), encoding="utf-8")


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), (10, 20, 30)).save(path)


def refused(message):
    return pytest.raises(InputError, match=re.escape(message))


@pytest.mark.parametrize(
    ("labels", "image"),
    [
        ("val/_annotations.coco.json", "val/one.png"),
        ("valid/_annotations.coco.json", "valid/one.png"),
        ("val/annotations/all.json", "val/images/one.png"),
        ("annotations/instances_val.json", "val/one.png"),
        ("annotations/instances_val2017.json", "val2017/one.png"),
        ("annotations/val.json", "images/val/one.png"),
        ("val.json", "images/one.png"),
        ("annotations/instances_Val.json", "images/Val/one.png"),
        ("annotations/instances_default.json", "images/one.png"),
    ],
)
def test_annotation_files_and_images_are_found_where_they_usually_lie(tmp_path, labels, image):
    write(tmp_path / labels, {"segmentation": [SQUARE]})
    draw(tmp_path / image)
    samples = ObjectDataset(tmp_path, "val", CLASSES)
    assert samples.paths == [tmp_path / image]
    assert samples[0].boxes.tolist() == [[20, 25, 20, 10, 0]]
    assert samples[0].labels.tolist() == [1]
    assert samples[0].image.shape == (3, 48, 64)
    assert object_splits(tmp_path) == (() if "default" in labels else ("val",))
    assert find_class_names(tmp_path) == ("ship",)


@given(
    x=floats(-500, 500),
    y=floats(-500, 500),
    width=floats(20, 60),
    height=floats(2, 19),
    degrees=floats(-720, 720),
    form=sampled_from(("four and rotation", "five", "eight", "polygon", "ring", "parts")),
)
def test_every_form_of_a_box_is_the_same_box(tmp_path_factory, x, y, width, height, degrees, form):
    expected = long_side_first(torch.tensor([[x, y, width, height, -math.radians(degrees)]], dtype=torch.float64))
    around = corners(expected)[0]
    ring = torch.cat(
        [
            start + (end - start) * torch.tensor([[0.0], [0.4]])
            for start, end in zip(around, around.roll(-1, 0), strict=True)
        ]
    )
    folder = tmp_path_factory.getbasetemp() / "forms"
    annotation = {
        "four and rotation": {
            "bbox": [x - width / 2, y - height / 2, width, height],
            "segmentation": [],
            "attributes": {"occluded": False, "rotation": -degrees},
        },
        "five": {"bbox": [x, y, width, height, degrees]},
        "eight": {"bbox": around.flatten().tolist()},
        "polygon": {"segmentation": [around.flatten().tolist()], "bbox": [0, 0, 1, 1]},
        "ring": {"segmentation": ring.flatten().tolist(), "bbox": [0, 0, 1, 1, 50]},
        "parts": {"segmentation": [around[:3].flatten().tolist(), around[2:].flatten().tolist()]},
    }[form]
    write(folder / "train.json", annotation)
    if not (folder / "one.png").exists():
        draw(folder / "one.png")
    (image,) = read_coco(folder, "train", refuse)
    found = corners(boxes_of(image.objects).double())[0]
    assert (found[:, None] - around[None]).norm(dim=2).amin(1).max() < 1e-2


def test_horizontal_boxes_are_boxes_too_and_crowds_are_none(tmp_path):
    boxes = {"bbox": [10, 20, 20, 10], "segmentation": []}, {"bbox": [0, 0, 9, 9], "iscrowd": 1}
    write(tmp_path / "train.json", *boxes, {"bbox": [10, 20, 10, 20], "category_id": 3})
    draw(tmp_path / "one.png")
    sample = ObjectDataset(tmp_path, "train", CLASSES)[0]
    torch.testing.assert_close(sample.boxes[:, :4], torch.tensor([[20.0, 25, 20, 10], [15, 30, 20, 10]]))
    assert sample.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"bbox": [1, 2, 3]}, "annotation 0 has no polygon, and its bbox has 3 numbers instead of 4, 5 or 8."),
        ({"bbox": [1, 2, 3, "wide"]}, "annotation 0: the coordinates are not all numbers."),
        ({"bbox": [1, 2, 3, math.nan]}, "annotation 0: the coordinates are not all finite."),
        (
            {"bbox": [1, 2, 9, 9], "segmentation": {"size": [48, 64], "counts": [9, 3060]}},
            "annotation 0: its segmentation is a run-length code, which is not read; write it as polygons",
        ),
        ({"bbox": 7}, "annotation 0: the coordinates are not all numbers."),
        ({"segmentation": [[1, 2, 3, 4, 5, 6], 7]}, "annotation 0: the coordinates are not all numbers."),
        ({"image_id": [1]}, "annotation 0 belongs to image [1], which is not among the images."),
        ({"category_id": 5}, "annotation 0: there is no category 5; known are 0 things, 7 ship, 3 plane."),
        ({"image_id": 4}, "annotation 0 belongs to image 4, which is not among the images."),
    ],
)
def test_faults_of_annotations_name_file_and_annotation(tmp_path, annotation, message):
    write(tmp_path / "train.json", annotation)
    draw(tmp_path / "one.png")
    with refused(message) as caught:
        ObjectDataset(tmp_path, "train", CLASSES)
    assert str(tmp_path / "train.json") in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [{"id": 1, "file_name": "one.png"}, {"id": 1, "file_name": "two.png"}]}, "2 images have the id 1."),
        ({"images": [{"file_name": "one.png"}]}, "1 of the 1 images have no id."),
        ({"categories": [{"id": 1, "name": "plane"}, {"id": 1, "name": "ship"}]}, "2 categories have the id 1."),
        ({"categories": [{"id": [1], "name": "plane"}]}, "1 of the 1 categories have no id."),
    ],
)
def test_what_has_no_id_of_its_own_is_refused(tmp_path, changes, message):
    for name in ("one.png", "two.png"):
        draw(tmp_path / name)
    (tmp_path / "train.json").write_text(json.dumps({**content({"bbox": [1, 2, 9, 9]}), **changes}))
    with refused(f"{tmp_path / 'train.json'}: {message}"):
        ObjectDataset(tmp_path, "train", CLASSES)


def test_unusable_annotation_files_are_refused_in_one_line(tmp_path):
    write(tmp_path / "annotations" / "train_a.json", names=("one.png", "two.png"))
    draw(tmp_path / "one.png")
    with refused("lists the image 'two.png', which is not there"):
        ObjectDataset(tmp_path, "train", CLASSES)
    with refused("There is no annotation file for val in"):
        ObjectDataset(tmp_path, "val", CLASSES)
    write(tmp_path / "train.json")
    with refused("There are several annotation files for train"):
        ObjectDataset(tmp_path, "train", CLASSES)
    write(tmp_path / "annotations" / "instances_train.json", names=("one.png", "one.png"))
    with refused("lists the image 'one.png' twice"):
        ObjectDataset(tmp_path, "train", CLASSES)
    write(tmp_path / "annotations" / "instances_train.json", names=())
    with refused("instances_train.json lists no images."):
        ObjectDataset(tmp_path, "train", CLASSES)
    (tmp_path / "annotations" / "instances_train.json").write_text("[]")
    with refused("is no annotation file of COCO: it has no list of images"):
        ObjectDataset(tmp_path, "train", CLASSES)
    (tmp_path / "annotations" / "instances_train.json").write_text("{")
    with refused("is not JSON in UTF-8"):
        ObjectDataset(tmp_path, "train", CLASSES)
