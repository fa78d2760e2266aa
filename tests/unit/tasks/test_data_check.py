# SPDX-License-Identifier: GPL-2.0-or-later
"""A dataset is checked before training, and by itself."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_runner.command_line import main
from model_runner.contract.task_requests import FinetuneRequest
from model_runner.errors import InputError
from model_runner.report import Report
from model_runner.tasks import data_check
from model_runner.tasks.finetune import finetune


class Lines(Report):
    def __init__(self):
        self.lines = []

    def log(self, level, text):
        self.lines.append((level, text))


@pytest.fixture
def data(tmp_path):
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("beach", "river"):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "data"


def damage(data):
    for number in range(2):
        (data / "train" / "river" / f"{number}.png").write_bytes(b"junk")


def test_a_check_alone_trains_nothing_and_needs_no_model(data, tmp_path):
    request = FinetuneRequest("classify", str(data), str(tmp_path / "new"), check=True)
    (data / "val" / "river" / "1.png").write_bytes((data / "val" / "river" / "0.png").read_bytes())
    finished = finetune(request, Report())
    assert finished.numbers == {"images train": 4, "images val": 4, "errors": 0, "warnings": 1}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["check.json"]
    told = json.loads((tmp_path / "new" / "check.json").read_text())
    assert told["errors"] == []
    assert told["classes"]["val"] == {"beach": 2, "river": 2}
    assert told["doubts"][0]["kind"] == "repeated"
    assert told["doubts"][0]["found"][0]["file"] == str(data / "val" / "river" / "1.png")


def test_blank_images_are_no_leak(data, tmp_path):
    for split, name in (("train", "beach"), ("val", "beach"), ("val", "river")):
        Image.new("RGB", (32, 32), (0, 9, 0)).save(data / split / name / "blank.png")
    finished = finetune(FinetuneRequest("classify", str(data), str(tmp_path / "new"), check=True), Report())
    assert finished.numbers == {"images train": 5, "images val": 6, "errors": 0, "warnings": 0}


def test_what_is_wrong_stops_training_and_is_told_in_full(data, tmp_path, monkeypatch):
    damage(data)
    monkeypatch.setattr(data_check, "LISTED", 1)
    lines, output = Lines(), tmp_path / "new"
    request = FinetuneRequest("classify", str(data), str(output), init="none")
    with pytest.raises(
        InputError, match=r"2 faults in 2 places, listed in .*check\.json; nothing was trained"
    ) as caught:
        finetune(request, lines)
    assert "\n" not in str(caught.value)
    assert [path.name for path in output.iterdir()] == ["check.json"]
    assert lines.lines[0][1].startswith("Files that cannot be read (2): ")
    assert f"{Path('river', '0.png')} cannot be read" in lines.lines[1][1]
    assert lines.lines[2][1] == f"  and 1 more: see {output / 'check.json'}"
    assert len(json.loads((output / "check.json").read_text())["errors"][0]["found"]) == 2
    with pytest.raises(InputError, match="nothing was trained"):  # and not that the folder is not empty
        finetune(request, Report())


def test_a_single_fault_is_told_at_once(data, tmp_path):
    request = FinetuneRequest("segment", str(data), str(tmp_path / "new"), init="none")
    with pytest.raises(
        InputError, match=re.escape(f"The dataset {data} cannot be used: {data} was made for another task: ")
    ):
        finetune(request, Report())


def test_the_exit_status_and_the_list_are_for_scripts_too(data, capsys):
    arguments = ["finetune", "--task", "classify", "--data", str(data), "--check"]
    assert main(arguments) == 0
    assert '"errors": 0' in capsys.readouterr().out
    damage(data)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert all(str(Path("river", f"{number}.png")) in told for number in range(2))
    assert "listed above; nothing was trained" in told.splitlines()[-1]


def test_a_folder_that_cannot_be_made_is_told(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"The output folder .*model cannot be made: "):
        finetune(FinetuneRequest("classify", str(data), str(tmp_path / "file" / "model"), check=True), Report())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_names_that_are_not_utf_8_are_told_too(data, tmp_path):
    strange = data / "train" / "river" / os.fsdecode(b"ro\xf6f.png")
    strange.write_bytes(b"junk")
    with pytest.raises(InputError, match=r"nothing was trained|cannot be read"):
        finetune(FinetuneRequest("classify", str(data), str(tmp_path / "model"), check=True), Report())
    told = json.loads((tmp_path / "model" / "check.json").read_text())
    assert told["errors"][0]["found"][0]["file"] == str(strange)


def test_training_needs_an_output_folder(data):
    with pytest.raises(InputError, match="--output"):
        FinetuneRequest("classify", str(data))
