# SPDX-License-Identifier: GPL-2.0-or-later
import re

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.transform import Affine, from_origin

from model_runner.errors import InputError, UnreadableRaster
from model_runner.rotated_boxes.geometry import areas, corners, minimum_area_boxes
from model_runner.training.datasets.images import ground_resolution, read_image
from model_runner.training.datasets.objects import ObjectDataset, find_class_names

CLASSES = ("plane", "ship")
SQUARE = "10 20 30 20 30 30 10 30"


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "labelTxt"):
        (tmp_path / name).mkdir()
    return tmp_path


def add(folder, name, *lines, size=(64, 48)):
    Image.new("RGB", size, (10, 20, 30)).save(folder / "images" / f"{name}.png")
    (folder / "labelTxt" / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")


def refused(message):
    return pytest.raises(InputError, match=re.escape(message))


def test_a_sample_holds_image_boxes_classes_and_difficulties(folder):
    add(folder, "one", f"{SQUARE} ship 1", "0 0 10 10 5 15 -5 5 plane 0")
    sample = ObjectDataset(folder, "train", CLASSES)[0]
    assert sample.name == "one"
    assert sample.image.dtype is torch.uint8
    assert sample.image.shape == (3, 48, 64)
    assert sample.image[:, 5, 7].tolist() == [10, 20, 30]
    expected = torch.tensor([[20, 25, 20, 10, 0], [2.5, 7.5, 200**0.5, 50**0.5, np.pi / 4]], dtype=torch.float32)
    torch.testing.assert_close(sample.boxes, expected)
    assert sample.labels.tolist() == [1, 0]
    assert sample.difficult.tolist() == [True, False]


def test_boxes_are_the_official_ones(folder, golden_arrays):
    golden = golden_arrays("ops/transforms")
    lines = [" ".join(str(float(value)) for value in quad) + " plane 0" for quad in golden["quads"]]
    add(folder, "one", *lines)
    expected = golden["quads_to_obb_minarearect"]
    expected = expected[~expected.isnan().any(1)]
    boxes = ObjectDataset(folder, "train", CLASSES)[0].boxes
    assert boxes.shape == expected.shape
    torch.testing.assert_close(areas(boxes), areas(expected).float(), atol=1e-2, rtol=1e-4)
    # where two rectangles are equally small either may be chosen
    same = (corners(boxes.double())[:, :, None] - corners(expected)[:, None]).norm(dim=3).amin(2).amax(1) < 1e-2
    assert same.sum() > 20


def test_headers_blank_lines_and_missing_difficulties_are_read(folder):
    add(folder, "one", "imagesource:GoogleEarth", "gsd:0.146343590398", "", f"{SQUARE} ship")
    sample = ObjectDataset(folder, "train", CLASSES)[0]
    assert sample.labels.tolist() == [1]
    assert sample.difficult.tolist() == [False]


def test_small_and_too_difficult_objects_are_left_out(folder):
    narrow = "10 20 30 20 30 21.9 10 21.9"
    add(folder, "one", f"{narrow} ship 0", f"{SQUARE} ship 101", f"{SQUARE} plane 100")
    assert ObjectDataset(folder, "train", CLASSES)[0].labels.tolist() == [0]
    kept = ObjectDataset(folder, "train", CLASSES, minimum_side=1.0, largest_difficulty=200)[0]
    assert kept.labels.tolist() == [1, 1, 0]


def test_splits_are_folders_unless_the_images_lie_at_the_top(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "labelTxt").mkdir()
        add(tmp_path / split, f"of_{split}", f"{SQUARE} ship 0")
    assert [path.stem for path in ObjectDataset(tmp_path, "val", CLASSES).paths] == ["of_val"]
    assert [path.stem for path in ObjectDataset(tmp_path / "train", "val", CLASSES).paths] == ["of_train"]
    with refused(f"There is no folder {tmp_path / 'test' / 'images'}"):
        ObjectDataset(tmp_path, "test", CLASSES)


def test_an_image_without_labels_shows_no_objects(folder):
    add(folder, "one")
    (folder / "labelTxt" / "one.txt").unlink()
    sample = ObjectDataset(folder, "train", CLASSES)[0]
    assert sample.boxes.shape == (0, 5)
    assert sample.labels.dtype is torch.int64
    assert sample.difficult.dtype is torch.bool


def test_only_marked_objects_are_kept(folder):
    add(folder, "one", f"{SQUARE} ship 1", f"{SQUARE} plane 0")
    sample = ObjectDataset(folder, "train", CLASSES)[0].where(torch.tensor([False, True]))
    assert (len(sample.boxes), sample.labels.tolist(), sample.difficult.tolist()) == (1, [0], [False])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3 4 5 6 7 x ship 0", "one.txt, line 2: 'x' is not a number"),
        (f"{SQUARE} ship much", "one.txt, line 2: 'much' is not a number"),
        ("1 2 3 4 5 6 7 nan ship 0", "one.txt, line 2: the coordinates 1 2 3 4 5 6 7 nan are not all finite"),
        ("1 2 3 4 ship", "one.txt, line 2: 5 fields instead of 8 coordinates"),
        (f"{SQUARE} small vehicle 0", "one.txt, line 2: 11 fields"),
        (f"{SQUARE} boat 0", "one.txt, line 2: the class boat is unknown; known are plane, ship."),
    ],
)
def test_faults_of_labels_name_file_and_line(folder, line, message):
    add(folder, "one", f"{SQUARE} ship 0", line)
    with refused(message) as caught:
        ObjectDataset(folder, "train", CLASSES)
    assert "\n" not in str(caught.value)


def test_labels_need_their_image_and_images_their_own_labels(folder):
    with refused("There are no images in"):
        ObjectDataset(folder, "train", CLASSES)
    add(folder, "one", f"{SQUARE} ship 0")
    (folder / "labelTxt" / "other.txt").write_text("", encoding="utf-8")
    with refused("other.txt labels no image"):
        ObjectDataset(folder, "train", CLASSES)
    add(folder, "other")
    add(folder, "one.part")
    Image.new("RGB", (8, 8)).save(folder / "images" / "one.jpg")
    with refused("one.png would share one label file"):
        ObjectDataset(folder, "train", CLASSES)


def test_a_folder_without_labels_and_labels_in_other_encodings_are_refused(folder):
    add(folder, "one")
    (folder / "labelTxt" / "one.txt").write_bytes(b"\xff\xfe1\x00")
    with refused("one.txt is not text in UTF-8"):
        ObjectDataset(folder, "train", CLASSES)
    (folder / "labelTxt").rename(folder / "labels")
    with refused(f"There is no folder {folder / 'labelTxt'}"):
        ObjectDataset(folder, "train", CLASSES)


def test_class_names_are_gathered_from_all_splits(tmp_path):
    for split, name in (("train", "ship"), ("val", "plane")):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "labelTxt").mkdir()
        add(tmp_path / split, "one", f"{SQUARE} {name} 0", f"{SQUARE} tank 1")
    assert find_class_names(tmp_path) == ("plane", "ship", "tank")
    assert find_class_names(tmp_path / "val") == ("plane", "tank")
    for label in tmp_path.glob("*/labelTxt/*.txt"):
        label.unlink()
    with refused("No labelled objects in"):
        find_class_names(tmp_path)


def test_images_of_every_kind_become_three_bands(tmp_path):
    colours = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    expected = torch.from_numpy(colours).permute(2, 0, 1)
    Image.fromarray(colours).save(tmp_path / "rgb.png")
    Image.fromarray(np.dstack((colours, np.full((4, 5), 255, np.uint8)))).save(tmp_path / "rgba.png")
    Image.fromarray(colours[..., 0]).save(tmp_path / "grey.tif")
    Image.fromarray(colours).quantize(256).save(tmp_path / "palette.png")
    assert read_image(tmp_path / "rgb.png").equal(expected)
    assert read_image(tmp_path / "rgba.png").equal(expected)
    assert read_image(tmp_path / "grey.tif").equal(expected[:1].expand(3, -1, -1))
    assert (read_image(tmp_path / "palette.png").int() - expected.int()).abs().max() <= 8


def test_images_of_more_than_8_bits_or_damaged_ones_are_refused(tmp_path):
    Image.fromarray(np.full((4, 5), 1000, np.uint16)).save(tmp_path / "deep.tif")
    with refused("deep.tif holds uint16 pixels; stretch and convert"):
        read_image(tmp_path / "deep.tif")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(UnreadableRaster, match=r"broken\.png"):
        read_image(tmp_path / "broken.png")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning", "ignore::PendingDeprecationWarning")
def test_ground_resolution_is_known_where_there_is_a_georeference(tmp_path):
    def write(name, transform, crs):
        profile = {"driver": "GTiff", "width": 20, "height": 10, "count": 1, "dtype": "uint8"}
        with rasterio.open(tmp_path / name, "w", transform=transform, crs=crs, **profile) as raster:
            raster.write(np.zeros((1, 10, 20), np.uint8))

    write("utm.tif", from_origin(500_000, 5_000_000, 0.5, 0.5), "EPSG:32633")
    assert ground_resolution(tmp_path / "utm.tif") == pytest.approx(0.5, rel=1e-3)
    write("degrees.tif", from_origin(10, 60.0001, 1e-5, 1e-5), "EPSG:4326")
    assert ground_resolution(tmp_path / "degrees.tif") == pytest.approx(1.113 * 0.5**0.5, rel=5e-3)
    write("plain.tif", Affine.identity(), None)
    assert ground_resolution(tmp_path / "plain.tif") is None


def test_boxes_of_far_corners_keep_their_digits(folder):
    corners = torch.tensor(
        [[[20_000.25, 19_000.5], [20_012.75, 19_000.5], [20_012.75, 19_004.5], [20_000.25, 19_004.5]]]
    )
    add(folder, "one", " ".join(str(float(value)) for value in corners.flatten()) + " ship 0")
    box = ObjectDataset(folder, "train", CLASSES)[0].boxes
    torch.testing.assert_close(box, minimum_area_boxes(corners.double()).float(), atol=0, rtol=0)
    assert box[0, 2:4].tolist() == pytest.approx([12.5, 4.0], abs=1e-5)
