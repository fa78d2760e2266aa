# SPDX-License-Identifier: GPL-2.0-or-later
import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_runner.command_line import (
    CANCELLED,
    COMMANDS,
    DONE,
    FAILED,
    WRONG_USE,
    add_options,
    main,
    request_from_options,
)
from model_runner.contract.messages import Finished
from model_runner.contract.task_requests import REQUESTS, Compute, DetectRequest, RasterSource, Tiling


def parse(kind, *arguments):
    parser = argparse.ArgumentParser()
    add_options(parser, kind)
    return request_from_options(kind, parser.parse_args(arguments))


def test_options_become_the_request():
    request = parse(
        DetectRequest,
        *("a.tif", "--output", "b.gpkg", "--model", "m", "--bands", "3,2,1", "--extent", "0,1,2,3", "--mask", "m.gpkg"),
        *(
            "--resolution",
            "0.3",
            "--classes",
            "plane,ship",
            "--threshold",
            "0.4",
            "--tile-size",
            "512",
            "--overlap",
            "64",
        ),
        *("--batch-size", "2", "--device", "cpu", "--precision", "bf16", "--nms-iou", "0.2"),
    )
    assert request == DetectRequest(
        RasterSource("a.tif", (3, 2, 1), (0, 1, 2, 3), None, "m.gpkg", 0.3),
        "b.gpkg",
        "m",
        0.4,
        ("plane", "ship"),
        0.2,
        Tiling(512, 64),
        Compute("cpu", "bf16", 2),
    )


def test_defaults_are_those_of_the_request():
    assert parse(DetectRequest, "a.tif", "--output", "b.gpkg") == DetectRequest(RasterSource("a.tif"), "b.gpkg")


@pytest.mark.parametrize("command", [[name] for name in COMMANDS] + [["models"], ["models", "import"], ["serve"]])
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    help_text = capsys.readouterr().out
    assert "usage:" in help_text
    if command != ["models"]:
        assert f"example: python -m model_runner {' '.join(command)}" in " ".join(help_text.split())


@pytest.mark.parametrize("kind", REQUESTS.values(), ids=REQUESTS)
def test_every_option_has_a_help_text(kind):
    parser = argparse.ArgumentParser()
    add_options(parser, kind)
    assert [action.dest for action in parser._actions if not action.help] == []


def test_bad_input_is_one_line_and_status_2(capsys):
    assert main(["detect", "missing.tif", "--output", "boxes.gpkg"]) == WRONG_USE
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "missing.tif" in lines[0]
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("written", [["--extent", "-10,5,2.5,6"], ["--extent=-10,5,2.5,6"]])
def test_an_extent_may_begin_with_a_minus_sign(written, monkeypatch):
    asked = []

    def note(request, report):
        asked.append(request)
        return Finished(job="", outputs={}, numbers={})

    monkeypatch.setattr("model_runner.command_line.find_task", lambda name: note)
    assert main(["detect", "a.tif", "--output", "boxes.gpkg", *written, "--threshold", "0.5"]) == DONE
    assert asked[0].source.extent == (-10, 5, 2.5, 6)


@pytest.mark.skipif(os.name != "posix", reason="other systems end processes at once")
def test_a_command_that_the_system_ends_is_cancelled():
    with subprocess.Popen(
        [sys.executable, "-m", "model_runner", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert "Hello" in process.stdout.readline()
        process.terminate()
        process.wait()
        assert (process.returncode, process.stderr.read()) == (CANCELLED, "Cancelled.\n")


def test_an_internal_error_is_status_1_without_traceback(capsys, monkeypatch):
    def fail(request, report):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("model_runner.command_line.find_task", lambda name: fail)
    assert main(["detect", "a.tif", "--output", "boxes.gpkg"]) == FAILED
    assert "internal error: ZeroDivisionError" in capsys.readouterr().err
