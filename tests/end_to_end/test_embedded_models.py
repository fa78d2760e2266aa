# SPDX-License-Identifier: GPL-2.0-or-later
"""The models that come with the plugin, on real images that no training has seen."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "tests" / "data" / "ucmerced"


def join(ucmerced, dataset):
    """Join the bundled labels with images."""
    command = [sys.executable, "scripts/join_ucm_labels.py", str(ucmerced), str(dataset)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_labels_find_their_images_whatever_the_folders_and_tell_what_lacks(tmp_path):
    mixed = tmp_path / "mine" / "somewhere"
    mixed.mkdir(parents=True)
    shutil.copy(IMAGES / "airplane46.jpg", mixed)
    shutil.copy(IMAGES / "tenniscourt21.jpg", mixed / "airplane36.jpg")  # another image under that name
    done = join(tmp_path / "mine", tmp_path / "dataset")
    assert done.stdout.startswith(f"1 images with their labels in {tmp_path / 'dataset'}; not found: ")
    assert " airplane36" in done.stdout
    found = sorted(path.relative_to(tmp_path / "dataset").as_posix() for path in tmp_path.glob("dataset/*/*/*"))
    assert found == ["val/images/airplane46.jpg", "val/labelTxt/airplane46.txt"]
    assert join(tmp_path / "mine", tmp_path / "dataset").stderr.endswith("is there already; name a new folder.\n")


def test_the_detector_meets_the_labels_of_unseen_images(runner, tmp_path):
    assert join(IMAGES, tmp_path / "dataset").returncode == 0
    done = runner("evaluate", "--task", "detect", "--data", tmp_path / "dataset", "--output", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["model"] == "detect-ucm-l0"
    assert metrics["images"] == 12
    assert metrics["mAP (area)"] >= 0.8
    assert set(metrics["classes"]) == {"baseball-diamond", "plane", "storage-tank", "tennis-court"}


def test_every_label_is_a_box_in_or_at_its_image():
    for path in (ROOT / "resources" / "ucm_labels" / "labelTxt").glob("*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            *corners, class_name, difficult = line.split()
            assert len(corners) == 8, path
            assert all(-40 <= float(value) <= 296 for value in corners), path
            assert class_name in {"plane", "storage-tank", "tennis-court", "baseball-diamond"}, path
            assert difficult in {"0", "1"}, path
