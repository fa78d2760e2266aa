# SPDX-License-Identifier: GPL-2.0-or-later
import os
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from lwganet_qgis.lwganet_qgis import base_python, environment_setup, runner_environment
from lwganet_qgis.lwganet_qgis.environment_setup import Setup, SetupCancelled, explain_failure, fitting_pytorch
from lwganet_qgis.lwganet_qgis.runner_environment import EnvironmentProblem, is_outdated, python_in, runner_python


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder for environments, and lock files that ask for nothing."""
    monkeypatch.delenv("LWGANET_RUNNER_PYTHON", raising=False)
    monkeypatch.setenv("LWGANET_HOME", str(tmp_path / "home"))
    lock = tmp_path / "nothing.lock"
    lock.write_text("# nothing\n")
    for module in (environment_setup, runner_environment):
        monkeypatch.setattr(module, "REQUIREMENTS", lock)
        monkeypatch.setattr(module, "PYTORCH_LOCKS", {"cpu": lock, "cuda": lock})
    return tmp_path / "home"


@pytest.fixture
def healthy(monkeypatch):
    """The runner's diagnosis succeeds without PyTorch; the Pythons it was asked of."""
    asked = []
    monkeypatch.setattr(Setup, "diagnose", lambda self, python: asked.append(python))
    return asked


def nothing_left_over(home):
    return {each.name for each in home.iterdir()} <= {"environment", "environment.lock"}


def test_an_environment_is_created_and_found(home, healthy):
    told = []
    python = Setup(told.append).create("cpu")
    assert runner_python() == python == python_in(home / "environment")
    assert healthy[0].parents[1].name.startswith("env~")
    assert not is_outdated(python)
    assert told[-1] == "The environment is ready."
    assert nothing_left_over(home)


def test_another_lock_file_makes_it_outdated(home, healthy, tmp_path):
    python = Setup(print).create("cpu")
    (tmp_path / "nothing.lock").write_text("# still nothing\n")
    assert is_outdated(python)


def test_a_new_environment_replaces_the_old_one(home, healthy):
    python = Setup(print).create("cpu")
    (home / "environment" / "old").touch()
    assert Setup(print).create("cpu") == python
    assert not (home / "environment" / "old").exists()
    assert nothing_left_over(home)


def test_an_environment_that_cannot_be_replaced_stays(home, healthy, monkeypatch):
    Path(home, "environment", "bin").mkdir(parents=True)
    replace = os.replace

    def fail_for_the_new_one(path, target):
        if path.name.startswith("env~") and not path.name.endswith(".old"):
            raise PermissionError(13, "Access is denied")
        return replace(path, target)

    monkeypatch.setattr(os, "replace", fail_for_the_new_one)
    with pytest.raises(EnvironmentProblem, match=r"in use \(Access is denied\), and the former one serves on; close"):
        Setup(print).create("cpu")
    assert [each.name for each in (home / "environment").iterdir()] == ["bin"]
    assert nothing_left_over(home)


def test_what_killed_setups_have_left_is_removed(home, healthy):
    for name in ("env~ab12_z9x", "env~ab12_z9x.old", "env~ab12_z9x.older"):
        (home / name / "bin").mkdir(parents=True)
    told = []
    Setup(told.append).create("cpu")
    assert sum("an interrupted setup has left" in line for line in told) == 2
    (home / "env~ab12_z9x.older" / "bin").rmdir()
    (home / "env~ab12_z9x.older").rmdir()
    assert nothing_left_over(home)


def test_a_setup_that_is_under_way_is_not_disturbed(home, monkeypatch):
    asked = []

    def begin_another(self, python):
        asked.append(python)
        if len(asked) == 1:
            with pytest.raises(EnvironmentProblem, match=r"Another setup of the environment in .* is under way"):
                Setup(print).create("cpu")
            assert python.is_file()

    monkeypatch.setattr(Setup, "diagnose", begin_another)
    Setup(print).create("cpu")
    assert len(asked) == 1
    assert nothing_left_over(home)


def test_an_environment_in_which_the_runner_fails_is_not_kept(home, monkeypatch):
    Path(home, "environment", "bin").mkdir(parents=True)
    monkeypatch.setattr(environment_setup, "PLUGIN_ROOT", home)
    with pytest.raises(EnvironmentProblem, match="No module named model_runner"):
        Setup(print).create("cpu")
    assert [each.name for each in (home / "environment").iterdir()] == ["bin"]
    assert nothing_left_over(home)


def test_a_requirement_without_the_right_hash_is_refused(home, healthy, tmp_path, monkeypatch):
    wheel = tmp_path / "index" / "tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"PK\x05\x06" + bytes(18))
    (tmp_path / "nothing.lock").write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent), "PIP_EXTRA_INDEX_URL": ""}
    with pytest.raises(EnvironmentProblem, match="hash mismatch"):
        Setup(print, variables=variables).create("cpu")
    assert nothing_left_over(home)


@pytest.mark.parametrize(
    ("system", "build", "index"),
    [
        ("linux", "cpu", "https://download.pytorch.org/whl/cpu"),
        ("linux", "cuda", None),
        ("win32", "cpu", None),
        ("win32", "cuda", "https://download.pytorch.org/whl/cu130"),
        ("darwin", "cpu", None),
    ],
)
def test_pytorch_comes_from_where_its_build_is(home, healthy, monkeypatch, system, build, index):
    asked = []
    monkeypatch.setattr(environment_setup, "sys", SimpleNamespace(platform=system))
    monkeypatch.setattr(Setup, "_run", lambda self, command: asked.append(command))
    Setup(print)._install(home, build)
    assert asked[0][-2:] == ["--requirement", str(environment_setup.PYTORCH_LOCKS[build])]
    assert [each for each in asked[0] if each.startswith("https:")] == ([] if index is None else [index])


def test_the_build_for_nvidia_is_taken_where_its_driver_is(tmp_path, monkeypatch):
    monkeypatch.setattr(environment_setup, "NVIDIA_DRIVERS", {sys.platform: str(tmp_path / "driver")})
    assert fitting_pytorch() == "cpu"
    (tmp_path / "driver").touch()
    assert fitting_pytorch() == "cuda"


def test_who_cannot_have_the_build_for_nvidia_is_told_of_the_other(home, tmp_path):
    (tmp_path / "nothing.lock").write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    with pytest.raises(EnvironmentProblem, match=r"has no package .*\) The build cpu works too, without the GPU\.$"):
        Setup(print, variables=variables).create("cuda")
    assert nothing_left_over(home)


def test_a_cancel_ends_the_installer_at_once(home, monkeypatch):
    monkeypatch.setattr(environment_setup, "PIP_INSTALL", ("-c", "import time; time.sleep(60)"))
    told = []
    began = time.monotonic()
    with pytest.raises(SetupCancelled):
        Setup(told.append, lambda: any("PyTorch" in line for line in told)).create("cpu")
    assert time.monotonic() - began < 30
    assert nothing_left_over(home)


def test_a_full_disk_is_told_before_anything_is_done(home, monkeypatch):
    usage = shutil.disk_usage(home.parent)._replace(free=10**9)
    monkeypatch.setattr(environment_setup.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(EnvironmentProblem, match=r"has 0\.9 GB free, and building the environment takes 4 GB"):
        Setup(print).create("cpu")


def test_a_home_that_is_a_file_is_told(home):
    home.write_text("I am a file")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        Setup(print).create("cpu")


@pytest.mark.parametrize(("user", "pytorch", "fits"), [(23, "cpu", True), (24, "cpu", False), (18, "cuda", False)])
def test_a_folder_too_deep_for_windows_is_told(home, monkeypatch, user, pytorch, fits):
    monkeypatch.setattr(environment_setup, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(environment_setup, "_allows_long_paths", lambda: False)
    folder = Path(f"C:/Users/{'u' * user}/AppData/Local/lwganet-qgis")
    if fits:
        environment_setup._refuse_long_paths(folder, pytorch)
        return
    with pytest.raises(EnvironmentProblem, match=r"would have 259 characters, and 258 work; choose a short one"):
        environment_setup._refuse_long_paths(folder, pytorch)
    monkeypatch.setattr(environment_setup, "_allows_long_paths", lambda: True)
    environment_setup._refuse_long_paths(folder, pytorch)


def test_a_python_that_windows_does_not_start_is_told(home):
    with pytest.raises(EnvironmentProblem, match=r"^/no/such/python cannot be started: No such file or directory\.$"):
        Setup(print).diagnose(Path("/no/such/python"))


def test_macos_is_searched_where_pythons_are_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(base_python, "MACOS_FOLDERS", (f"{tmp_path}/Versions/{{}}/bin", f"{tmp_path}/bin"))
    monkeypatch.setattr(base_python.sys, "platform", "darwin")
    installed = [tmp_path / "Versions/3.13/bin/python3.13", tmp_path / "bin/python3.12", tmp_path / "bin/python3.9"]
    for python in installed:
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()
    found = [Path(each) for each in base_python.find_pythons()]
    assert [each for each in found if each.is_relative_to(tmp_path)] == installed[:2]


@pytest.fixture
def python_that(tmp_path):
    """Make a program that does as a faulty Python does; a shell script."""

    def make(name, script):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return str(program)

    return make


def test_pythons_that_cannot_be_used_are_listed(home, monkeypatch, python_that):
    old, bare = python_that("python-old", "echo 3.7"), python_that("python-bare", "exit 1")
    unable = python_that(
        "python-unable", 'case "$*" in *venv*--clear*) echo "Error: no codec"; exit 1;; *) echo 3.12;; esac'
    )
    monkeypatch.setattr(environment_setup, "find_pythons", lambda: [old, bare, unable, "/no/such/python", old])
    with pytest.raises(EnvironmentProblem) as caught:
        Setup(print).create("cpu")
    told = str(caught.value)
    assert told.startswith("No Python from 3.11 to 3.14 that can create environments was found. Tried: ")
    assert told.count(f"{old} (its version is 3.7)") == 1
    assert f"{bare} (its module venv or ensurepip is missing)" in told
    assert f"{unable} ('-s -m venv --clear' failed: Error: no codec)" in told
    assert "/no/such/python ([Errno 2]" in told
    assert "\n" not in told
    assert nothing_left_over(home)


def test_the_first_python_that_can_make_an_environment_makes_it(home, healthy, monkeypatch, python_that):
    unable = python_that(
        "python-unable", 'case "$*" in *venv*--clear*) mkdir -p "$5/bin"; exit 1;; *) echo 3.12;; esac'
    )
    monkeypatch.setattr(environment_setup, "find_pythons", lambda: [unable, sys.executable])
    python = Setup(print).create("cpu")
    assert runner_python() == python
    assert nothing_left_over(home)


def test_a_python_of_ones_own_is_the_only_one_tried(home, python_that):
    mine = python_that("python-of-mine", "exit 1")
    with pytest.raises(
        EnvironmentProblem, match=r"Tried: \S*python-of-mine \(its module venv or ensurepip is missing\)\."
    ):
        Setup(print).create("cpu", mine)


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("ProxyError('Cannot connect to proxy.', timeout('timed out'))", "check QGIS's proxy settings"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "PIP_CERT"),
        ("NewConnectionError: Failed to establish a new connection: [Errno -2] Name or service not known", "network"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no package for this computer"),
        ("ERROR: [WinError 206] The filename or extension is too long: 'C:\\\\Users'", "lies too deep for Windows"),
        ("ERROR: something never seen", "ERROR: something never seen"),
    ],
)
def test_a_failure_is_told_in_plain_words(said, plain):
    text = explain_failure(["python", "-s", "-m", "pip", "install"], ["Collecting torch", said, "[notice] pip is old"])
    assert plain in text
    assert said in text
    assert "\n" not in text


def test_the_runners_python_is_found_in_order(home, monkeypatch, tmp_path):
    for name in ("variable", "settings"):
        (tmp_path / name).touch()
    with pytest.raises(EnvironmentProblem, match="lwganet:setupenvironment"):
        runner_python()
    assert runner_python(str(tmp_path / "settings")) == tmp_path / "settings"
    monkeypatch.setenv("LWGANET_RUNNER_PYTHON", str(tmp_path / "variable"))
    assert runner_python(str(tmp_path / "settings")) == tmp_path / "variable"
    monkeypatch.setenv("LWGANET_RUNNER_PYTHON", "/no/such/python")
    with pytest.raises(EnvironmentProblem, match="/no/such/python, named by the variable LWGANET_RUNNER_PYTHON"):
        runner_python()
