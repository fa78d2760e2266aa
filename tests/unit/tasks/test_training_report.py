# SPDX-License-Identifier: GPL-2.0-or-later
import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_runner.contract.model_card import ModelCard, ModelClass
from model_runner.contract.task_requests import FinetuneRequest
from model_runner.report import Report
from model_runner.tasks.training_report import fingerprint, write_training_report

LOG = "epoch,loss,accuracy,F1 field,F1 lake,learning_rate\n0,2,0.3,0.2,0.4,0.001\n1,1,0.5,0.4,0.6,0.0005\n"


class Lines(Report):
    def __init__(self):
        self.lines = []

    def log(self, level, text):
        self.lines.append(f"{level}: {text}")


@pytest.fixture
def stopped(tmp_path):
    """A training of scenes that was stopped after two epochs, before there was a model: request and card."""
    for split in ("train", "val"):
        for name in ("field", "lake"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "data" / split / name / "0.png")
    (tmp_path / "output" / "log").mkdir(parents=True)
    (tmp_path / "output" / "log" / "metrics.csv").write_text(LOG)
    classes = (ModelClass("field", "#ff0000"), ModelClass("lake", "#0000ff"))
    card = ModelCard(id="kinds", title="kinds", task="classify", network="lwganet_l0", classes=classes)
    return FinetuneRequest("classify", str(tmp_path / "data"), str(tmp_path / "output")), card


def test_the_curves_are_left_as_a_picture_too(stopped, tmp_path):
    lines = Lines()
    assert write_training_report(*stopped, time.perf_counter(), lines) == {
        "report": str(tmp_path / "output" / "report.html")
    }
    assert lines.lines == []
    page = (tmp_path / "output" / "report.html").read_text(encoding="utf-8")
    assert page.endswith("</html>\n")
    titles = ["Loss on the training images", "Figures on the validation images", "Figures by class", "Learning rate"]
    assert [each for each in titles if f"<h3>{each}</h3>" in page] == titles
    with Image.open(tmp_path / "output" / "curves.png") as picture:
        assert picture.format == "PNG"
        colours = np.asarray(picture)
    assert (colours[[0, -1]] == 255).all()
    assert (colours == (0x0A, 0x8F, 0xCF)).all(2).any()  # the first colour of a curve
    left = {each.name for each in (tmp_path / "output").iterdir()}
    assert left == {"log", "report.html", "curves.png"}


def test_without_a_log_there_are_no_curves_but_a_report(stopped, tmp_path):
    (tmp_path / "output" / "log" / "metrics.csv").unlink()
    assert write_training_report(*stopped, time.perf_counter(), Report())
    assert not (tmp_path / "output" / "curves.png").exists()


@pytest.mark.parametrize("ending", [".html", ".png"])
def test_a_full_disk_leaves_no_piece_of_a_report_and_is_told_in_a_line(stopped, tmp_path, monkeypatch, ending):
    page = tmp_path / "output" / "report.html"
    page.write_text("of an earlier part")
    whole_open = Path.open

    def fills_up(path, *arguments, **options):
        whole_open(path, "wb").write(b"a piece")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    if ending == ".html":
        monkeypatch.setattr(Path, "write_text", fills_up)
    else:
        monkeypatch.setattr(Image.Image, "save", lambda _, path, **options: fills_up(path))
    lines = Lines()
    assert write_training_report(*stopped, time.perf_counter(), lines) == {}
    output = tmp_path / "output"
    assert lines.lines == [
        f"warning: The report of the training in {output} could not be written: the disk is full. "
        "Make room there and go on with --resume."
    ]
    monkeypatch.undo()
    assert page.read_text() == "of an earlier part"
    before_it = {"curves.png"} if ending == ".html" else set()
    assert {each.name for each in output.iterdir()} == {"log", "report.html", *before_it}


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
def test_the_fingerprint_is_of_what_linked_folders_hold_too(tmp_path):
    for split in ("train", "val"):
        (tmp_path / "data" / split).mkdir(parents=True)
        (tmp_path / "data" / split / "a.png").write_bytes(split.encode())
    (tmp_path / "linked").mkdir()
    for split in ("train", "val"):
        (tmp_path / "linked" / split).symlink_to(tmp_path / "data" / split)
    plain, linked = (fingerprint(tmp_path / name, tmp_path / "out") for name in ("data", "linked"))
    assert plain == linked
    (tmp_path / "data" / "val" / "a.png").write_bytes(b"other")
    assert fingerprint(tmp_path / "linked", tmp_path / "out") != linked
    (tmp_path / "data" / "train" / "around").symlink_to(tmp_path / "data")
    assert fingerprint(tmp_path / "data", tmp_path / "out")  # a way around has an end
