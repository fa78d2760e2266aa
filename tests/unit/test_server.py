# SPDX-License-Identifier: GPL-2.0-or-later
"""The server in its own process, spoken to through pipes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from model_runner.contract.messages import Cancel, Failed, Finished, Hello, Run, decode, encode

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def runner():
    process = subprocess.Popen(
        [sys.executable, "-m", "model_runner", "serve", "--idle-seconds", "20"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


def tell(process, *messages):
    process.stdin.write("".join(map(encode, messages)))
    process.stdin.flush()


def hear(process, kind):
    """The next message of a kind; others are skipped."""
    for line in process.stdout:
        message = decode(line)
        if isinstance(message, kind):
            return message
    raise AssertionError(f"The runner ended: {process.stderr.read()}")


def test_it_says_hello_with_its_version(runner):
    hello = hear(runner, Hello)
    assert hello.protocol == 1
    assert f"version={hello.version}" in (ROOT / "metadata.txt").read_text()
    assert hello.process == runner.pid


FORKS_WHILE_READING = """
import multiprocessing, threading, time
from model_runner.server import take_standard_input
requests = take_standard_input()
threading.Thread(target=requests.readline, daemon=True).start()
time.sleep(0.2)
forked = multiprocessing.get_context("fork").Process(target=print, args=("at work",), daemon=True)
forked.start()
forked.join(20)
print(forked.exitcode, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked there")
def test_processes_can_be_forked_while_it_listens():
    command = [sys.executable, "-c", FORKS_WHILE_READING]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.read().split("\n")[-2] == "0"


def test_wrong_requests_fail_in_one_line_and_the_runner_lives_on(runner):
    tell(runner, Run("1", "paint", {}), Run("2", "detect", {"colour": 1}))
    tell(runner, Run("3", "detect", {"source": {"path": "missing.tif"}, "output": "/nowhere/a.gpkg"}))
    failures = [hear(runner, (Finished, Failed)) for _ in range(3)]
    assert [each.job for each in failures] == ["1", "2", "3"]
    assert {each.kind for each in failures} == {"input"}
    assert all("\n" not in each.message for each in failures)
    assert "no task 'paint'" in failures[0].message
    assert runner.poll() is None


def test_a_job_that_is_cancelled_before_it_began_does_not_begin(runner):
    tell(runner, Cancel("1"), Run("1", "detect", {}))
    assert hear(runner, (Finished, Failed)) == Failed("1", "cancelled", "Cancelled.")


def test_junk_on_the_input_is_passed_over(runner):
    runner.stdin.write("hello\n" + json.dumps({"type": "Nonsense"}) + "\n")
    tell(runner, Cancel("1"), Run("1", "detect", {}))
    assert hear(runner, Failed).kind == "cancelled"


def test_the_end_of_input_ends_the_runner(runner):
    hear(runner, Hello)
    runner.stdin.close()
    assert runner.wait(timeout=5) == 0


def test_the_idle_time_ends_the_runner():
    command = [sys.executable, "-m", "model_runner", "serve", "--idle-seconds", "0.1"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert isinstance(decode(process.stdout.readline()), Hello)
        assert process.wait(timeout=60) == 0  # its input is still open
