# SPDX-License-Identifier: GPL-2.0-or-later
"""The Pythons of this computer with which the runner's environment may be created. Standard library only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Optional, Sequence

from .runner_process import clean_environment, own_session

OLDEST, NEWEST = (3, 11), (3, 14)
PROBE = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"
PROBE_SECONDS = 30
MACOS_FOLDERS = (  # of python.org and of Homebrew; the path of programs that the Dock starts lacks them
    "/Library/Frameworks/Python.framework/Versions/{}/bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
)


def find_pythons() -> Iterator[str]:
    """Where a Python may be: QGIS's own first, then those that Windows or macOS keeps, and those on the path."""
    names = ("python.exe", "python3.exe") if sys.platform == "win32" else ("bin/python3",)
    for folder in (sys.base_prefix, sys.base_exec_prefix, str(Path(os.__file__).parents[2])):
        yield from (str(Path(folder, name)) for name in names if Path(folder, name).is_file())
    versions = [f"3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    if sys.platform == "win32":
        yield from _registered(versions)
    if sys.platform == "darwin":
        installed = [Path(folder.format(each), f"python{each}") for each in versions for folder in MACOS_FOLDERS]
        yield from (str(python) for python in installed if python.is_file())
    for name in (*(f"python{version}" for version in versions), "python3", "python"):
        found = shutil.which(name)
        if found and os.path.isabs(found):  # on Windows it may be a program in whatever folder QGIS was started from
            yield found


def why_unusable(python: str) -> Optional[str]:
    """Why a Python cannot create the environment; None if it may be able to."""
    if sys.platform == "win32" and "\\windowsapps\\" in python.lower():
        return "those of the Microsoft Store hide from others what they write into AppData; take one from python.org"
    try:
        probe = subprocess.run(
            [python, "-s", "-c", PROBE],
            env=clean_environment(os.environ),
            stdin=subprocess.DEVNULL,  # QGIS for Windows may have one that is not there any more
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
            **own_session(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    version = re.fullmatch(r"(\d+)\.(\d+)", probe.stdout.strip())
    if probe.returncode != 0 or version is None:
        return "its module venv or ensurepip is missing"
    return None if OLDEST <= tuple(map(int, version.groups())) <= NEWEST else f"its version is {version[0]}"


def none_found(refused: Sequence[str]) -> str:
    """What to tell when no Python can create the environment; ``refused`` are those tried, with reasons."""
    oldest, newest = (".".join(map(str, version)) for version in (OLDEST, NEWEST))
    source = f"apt install python3-venv, or python{oldest}-venv where python3 is older, on Debian and Ubuntu"
    if sys.platform in ("win32", "darwin"):
        source = "from python.org"
    return (
        f"No Python from {oldest} to {newest} that can create environments was found. Tried: "
        f"{', '.join(refused) or 'none'}. Install one ({source}) or name one."
    )


def _registered(versions: Sequence[str]) -> Iterator[str]:
    """The Pythons that are entered in the registry of Windows, as PEP 514 describes it."""
    import winreg

    for version in versions:
        for root in (winreg.HKEY_CURRENT_USER, winreg.HKEY_LOCAL_MACHINE):
            try:
                with winreg.OpenKey(root, rf"Software\Python\PythonCore\{version}\InstallPath") as key:
                    yield winreg.QueryValueEx(key, "ExecutablePath")[0]
            except OSError:
                continue
