# SPDX-License-Identifier: GPL-2.0-or-later
"""The runner's own Python environment: where it is and whether it fits this version of the plugin.

The Python that runs the runner is, in this order, the one that the variable ``LWGANET_RUNNER_PYTHON`` names, the one
in the plugin's settings, and the one in ``folders.environment_folder()``, which ``environment_setup`` creates.
Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Mapping, Optional

from ..model_runner.contract.errors import RunnerError
from ..model_runner.contract.folders import PLUGIN_ROOT, environment_folder

PYTHON_VARIABLE = "LWGANET_RUNNER_PYTHON"
REQUIREMENTS = PLUGIN_ROOT / "resources" / "runner_requirements.lock"
PYTORCH_LOCKS: Mapping[str, Path] = {
    "cpu": PLUGIN_ROOT / "resources" / "torch_cpu.lock",
    "cuda": PLUGIN_ROOT / "resources" / ("torch_cuda_windows.lock" if sys.platform == "win32" else "torch_cuda.lock"),
}
MARK_FILE = "lwganet-locks.txt"


class EnvironmentProblem(RunnerError):
    """The runner's environment is missing or cannot be created."""


def runner_python(chosen: str = "") -> Path:
    """The Python that runs the runner, as an absolute path; ``chosen`` is the one in the settings.

    Raises:
        EnvironmentProblem: there is none.
    """
    python = named_python(chosen) or python_in(environment_folder())
    if not python.is_file():
        raise EnvironmentProblem(
            "The Python environment of the model runner is missing. Run the algorithm 'Set up the environment' "
            "(lwganet:setupenvironment) once; it needs the internet and about 1.5 GB of disk."
        )
    return python


def named_python(chosen: str = "") -> Optional[Path]:
    """The Python that the user names for the runner, as an absolute path; None to take the plugin's own environment.

    Raises:
        EnvironmentProblem: there is no such file.
    """
    for origin, path in (
        (f"the variable {PYTHON_VARIABLE}", os.environ.get(PYTHON_VARIABLE)),
        ("the settings", chosen),
    ):
        if path:
            if Path(path).is_file():
                return Path(path).absolute()  # the runner works in another folder
            raise EnvironmentProblem(f"The runner's Python {path}, named by {origin}, does not exist.")
    return None


def python_in(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def mark_of(pytorch: str) -> str:
    """What ``MARK_FILE`` holds in an environment made from today's lock files with this build of PyTorch."""
    both = PYTORCH_LOCKS[pytorch].read_bytes() + REQUIREMENTS.read_bytes()
    return f"{pytorch} {hashlib.sha256(both).hexdigest()}"


def is_outdated(python: Path) -> bool:
    """Whether this is the Python of an environment that was made from other lock files than today's.

    An environment that somebody made by hand is never outdated.
    """
    mark = python.parents[1] / MARK_FILE
    if not mark.is_file():
        return False
    text = mark.read_text(encoding="ascii")
    return text not in [mark_of(pytorch) for pytorch in PYTORCH_LOCKS]
