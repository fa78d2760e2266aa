# SPDX-License-Identifier: GPL-2.0-or-later
"""What may happen to a training: it is killed, memory or disk run out, images are damaged."""

import csv
import errno
import os
import random
import signal
import traceback
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from model_runner.contract.task_requests import FinetuneRequest
from model_runner.errors import Cancelled, InputError, OutOfMemory
from model_runner.report import Report
from model_runner.training import checkpoints, trainer
from model_runner.training.fit import fit, is_finished
from model_runner.training.interruption import Interruption
from model_runner.training.recipes.scenes import SceneRecipe
from tests.lines import Lines
from tests.unit.training.two_kinds import CARD

SIDE = 96
KILLS = 10


class Tiny(nn.Module):
    """A classifier that has all that a step can change: weights, statistics, chance; refuses large batches."""

    def __init__(self, largest=99, error=None):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 8, 8)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)
        self.largest, self.error, self.sizes = largest, error, []

    def forward(self, images):
        if len(images) > self.largest:
            raise self.error
        self.sizes.append(len(images))
        maps = F.dropout(self.norm(self.convolution(images)).relu(), 0.2, self.training)
        return self.head(maps.mean((2, 3)))


@pytest.fixture
def data(tmp_path):
    generator = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2)):
        for number, name in enumerate(("field", "lake")):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 200, (112, 112, 3), dtype=np.uint8)
                pixels[..., number] += 20
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "data"


@pytest.fixture
def train(data, tmp_path):
    def run(folder="run", report=None, network=None, **changes):
        torch.manual_seed(0)
        facts = {"task": "classify", "data": str(data), "output": str(tmp_path / folder), "init": "none"}
        small = {"sample_size": SIDE, "epochs": 3, "batch_size": 3, "workers": 0, "device": "cpu", "mixing": 0.5}
        request = FinetuneRequest(**{**facts, **small, **changes})
        return fit(network or Tiny(), CARD, request, False, report or Report())

    return run


def last(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def same(first, second):
    if isinstance(first, torch.Tensor):
        return first.equal(second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def run_and_die(run, moment):
    """Run in a process of its own, which is killed at the given one of the moments that matter; tell how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    counted = 0

    def count(function):
        def counting(*values, **options):
            nonlocal counted
            counted += 1
            if counted == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*values, **options)

        return counting

    try:
        for name in ("fsync", "replace"):  # within the writing of a file, before and after it has its name
            setattr(os, name, count(getattr(os, name)))
        torch.optim.AdamW.step = count(torch.optim.AdamW.step)  # in the middle of an epoch
        SceneRecipe.metric = count(SceneRecipe.metric)
        run()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed by POSIX signals")
@pytest.mark.parametrize("seed", range(2))
def test_a_training_killed_ten_times_ends_as_an_uninterrupted_one(train, tmp_path, monkeypatch, seed):
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    whole = train("whole")
    moments = random.Random(seed)
    killed = 0
    for attempt in range(40):
        moment = moments.randint(1, 12) if killed < KILLS else 10**6
        code = run_and_die(partial(train, "killed", resume=attempt > 0), moment)
        killed += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
        if code == 0:
            break
    assert killed == KILLS
    patched = train("killed", resume=True)
    assert same(whole.state, patched.state)
    assert whole[1:] == patched[1:]
    assert same(last(tmp_path / "whole"), last(tmp_path / "killed"))
    logs = [(tmp_path / name / "log" / "metrics.csv").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1]
    assert [row["epoch"] for row in csv.DictReader(logs[0].splitlines())] == ["1", "2", "3"]


class Signalled(Tiny):
    """In its fourth step the process is asked to end, so many times."""

    def __init__(self, number, times):
        super().__init__()
        self.number, self.times = number, times

    def forward(self, images):
        maps = super().forward(images)
        if self.training and len(self.sizes) == 4:  # it is the average that looks at the validation images
            for _ in range(self.times):
                signal.raise_signal(self.number)
        return maps


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_asked_to_end_finishes_its_step_and_loses_nothing(train, tmp_path, number):
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    whole = train("whole")
    torch.manual_seed(0)
    with pytest.raises(Cancelled):
        train(network=Signalled(number, 1))
    assert last(tmp_path / "run")["course"]["step"] == 4
    assert same(whole.state, train(resume=True).state)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_training_that_is_asked_twice_ends_at_once(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(network=Signalled(signal.SIGINT, 2))
    assert last(tmp_path / "run")["course"]["step"] == 3


def test_a_loader_that_was_asked_too_is_no_fault():
    def loses_its_process():
        yield 1
        signal.raise_signal(signal.SIGTERM)
        raise RuntimeError("DataLoader worker (pid 7) exited unexpectedly")

    with Interruption(postponed=True) as interruption:
        batches = interruption.checked(loses_its_process())
        assert next(batches) == 1
        with pytest.raises(Cancelled):
            next(batches)


def test_curves_of_a_cancelled_training_go_on_where_they_ended(train, monkeypatch):
    told = []

    class Told:
        def __init__(self, folder, first_step):
            self.unwritten = [("from", first_step)]

        def add(self, step, scalars):
            self.unwritten.append((step, {name: float(value) for name, value in scalars.items()}))

        def write(self):
            told.extend(self.unwritten)
            self.unwritten = []

    class CancelsAfterFourSteps(Report):
        done = 0

        def progress(self, stage, done, total, **options):
            self.done = done

        def check_cancelled(self):
            if self.done == 4:
                raise Cancelled

    monkeypatch.setattr(trainer, "EventFile", Told)
    train("whole", tensorboard=True)
    whole = told.copy()
    told.clear()
    with pytest.raises(Cancelled):
        train(tensorboard=True, report=CancelsAfterFourSteps())
    cut = len(told)
    train(tensorboard=True, resume=True)
    assert told.pop(cut) == ("from", 5)
    assert told == whole
    assert [step for step, _ in whole[1:]] == [1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9]
    assert set(whole[1][1]) == {"step/loss", "step/loss/classification", "step/learning_rate"}
    assert {"epoch/loss", "epoch/top-1", "epoch/top-5"} < set(whole[4][1])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:113] . DefaultCPUAllocator: not enough memory"),
        MemoryError(),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_its_gradients_gathered(train, error):
    network, lines = Tiny(largest=2, error=error), Lines()
    train(network=network, report=lines, batch_size=8)
    assert network.sizes == 3 * 4 * [2]
    assert [line for line in lines.lines if "memory" in line] == [
        f"The memory does not suffice; going on with {count} images at once, and 8 in a step as before."
        for count in (4, 2)
    ]
    with pytest.raises(OutOfMemory, match="a single image; choose a smaller --sample-size"):
        train("none", network=Tiny(largest=0, error=error))


def test_a_lack_of_memory_in_the_optimizer_is_told(train, monkeypatch):
    def fail(self, *options):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.optim.AdamW, "step", fail)
    with pytest.raises(OutOfMemory, match="to take a step; choose a smaller network"):
        train()


def test_a_log_that_another_program_holds_is_written_again_after_the_next_validation(train, tmp_path, monkeypatch):
    """As Windows has it while a spreadsheet shows the file."""
    lines, replace, refusals = Lines(), os.replace, iter([True])

    def hold_once(source, target):
        if str(target).endswith("metrics.csv") and next(refusals, False):
            raise PermissionError(13, "held", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", hold_once)
    train(report=lines, epochs=3)
    with (tmp_path / "run" / "log" / "metrics.csv").open() as log:
        assert [row["epoch"] for row in csv.DictReader(log)] == ["1", "2", "3"]
    assert sum("the log is written again" in line for line in lines.warnings) == 1


def test_training_ends_when_it_has_not_become_better_for_long_enough(train, tmp_path):
    lines = Lines()
    train(report=lines, epochs=40, patience=2, learning_rate=1e-9)
    with (tmp_path / "run" / "log" / "metrics.csv").open() as log:
        figures = [float(row["top-1"]) for row in csv.DictReader(log)]
    best = figures.index(max(figures)) + 1
    assert best + 2 == len(figures) < 40
    assert any(line.startswith(f"Ending: top-1 was best in epoch {best}, 2 epochs ago or more") for line in lines.lines)


def test_other_errors_are_not_taken_for_a_lack_of_memory(train):
    with pytest.raises(RuntimeError, match="shapes"):
        train(network=Tiny(largest=0, error=RuntimeError("shapes do not fit")))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_full_disk_ends_with_one_line_and_the_older_checkpoint_is_good(train, tmp_path, monkeypatch, name):
    whole = train("whole")
    saved = checkpoints.save_checkpoint
    calls = []

    def fills_up(output, which, content):
        calls.append(which)
        if calls.count(name) == (1 if name == "best.ckpt" else 2):
            (output / "checkpoints" / f".{name}.unfinished").symlink_to("/dev/full")
        saved(output, which, content)

    monkeypatch.setattr(checkpoints, "save_checkpoint", fills_up)
    with pytest.raises(
        InputError, match=rf"{name} cannot be written: {os.strerror(errno.ENOSPC)}; .* on with --resume"
    ):
        train()
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == sorted(
        [] if name == "best.ckpt" else ["best.ckpt", "last.ckpt"]
    )
    monkeypatch.setattr(checkpoints, "save_checkpoint", saved)
    assert not is_finished(tmp_path / "run")
    assert same(whole.state, train(resume=True).state)


def test_the_best_weights_must_be_there_to_go_on(train, tmp_path):
    train()
    (tmp_path / "run" / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(InputError, match=r"best\.ckpt, of the best weights so far, is missing; begin anew"):
        train(resume=True, epochs=4)


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
@pytest.mark.parametrize("fault", ["is damaged", "was not written by this version"])
def test_a_checkpoint_that_is_damaged_or_of_another_version_is_told(train, tmp_path, name, fault):
    train()
    path = tmp_path / "run" / "checkpoints" / name
    if fault == "is damaged":
        path.write_bytes(path.read_bytes()[:100])
    else:
        content = torch.load(path, weights_only=True)
        torch.save({**content, "format": content["format"] + 1}, path)
    with pytest.raises(InputError, match=rf"^The checkpoint .*{name} {fault}.* begin anew in another folder\.$"):
        train(resume=True)


def test_an_image_that_cannot_be_read_is_named_or_left_out(train, data):
    damaged = data / "train" / "lake" / "3.png"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"lake[/\\]3\.png.*\. Repair or remove it, or .* --skip-unreadable\.$"):
        train(workers=1)
    lines = Lines()
    fitted = train("other", report=lines, skip_unreadable=True, batch_size=1)
    assert fitted.state
    assert "1 images could not be read and were left out:" in lines.lines[-1]
    assert "3.png" in lines.lines[-1]
