# SPDX-License-Identifier: GPL-2.0-or-later
"""Creates the runner's environment from the lock files, and says in plain words why it could not.

Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Callable, Iterable, Iterator, Mapping, Optional, Sequence
from uuid import uuid4

from ..model_runner.contract.folders import PLUGIN_ROOT, environment_folder
from ..model_runner.contract.renaming import put_in_place
from .base_python import find_pythons, none_found, why_unusable
from .runner_environment import MARK_FILE, PYTORCH_LOCKS, REQUIREMENTS, EnvironmentProblem, mark_of, python_in
from .runner_process import clean_environment, kill_with_children, own_session

NEEDED_BYTES = {"cpu": 4 * 1024**3, "cuda": 14 * 1024**3}
PYTORCH_INDEXES = {  # besides the Python Package Index, which has the builds of the other systems
    ("linux", "cpu"): "https://download.pytorch.org/whl/cpu",
    ("win32", "cuda"): "https://download.pytorch.org/whl/cu130",
}
NVIDIA_DRIVERS = {
    "linux": "/proc/driver/nvidia/version",
    "win32": os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll"),
}
PIP_INSTALL = (
    *("-s", "-m", "pip", "install", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input"),
    *("--progress-bar", "off", "--disable-pip-version-check", "--no-warn-script-location"),
)
BUILDING, FORMER = "env~", ".old"  # in names of environments that are none yet or any more, short for Windows
LEFTOVER = re.compile(rf"{BUILDING}[a-z0-9_]{{8}}({re.escape(FORMER)})?")
LONGEST_PATH = 258  # of a file on Windows, unless it is told to allow longer ones; a folder may have eleven less
DEEPEST_FILE = {"cpu": 167, "cuda": 173}  # characters below site-packages, of a licence among those of PyTorch
FAULTS = (
    (
        r"No space left on device|not enough space on the disk|WinError 112\b",
        "The disk is full; free some space and repeat.",
    ),
    (r"ProxyError|407 Proxy|Cannot connect to proxy", "The proxy refused the connection; check QGIS's proxy settings."),
    (
        r"SSLError|CERTIFICATE_VERIFY_FAILED",
        "The secure connection was refused because a certificate is not trusted; where a firewall inspects "
        "connections, set PIP_CERT to the file of its certificate.",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "A package differs from the one this version was tested with and was refused (hash mismatch); there may be "
        "no tested package for this Python version, or a proxy altered the file.",
    ),
    (
        r"NewConnectionError|Name or service not known|getaddrinfo failed|Temporary failure in name resolution"
        r"|ConnectTimeoutError|ReadTimeoutError|Network is unreachable",
        "The package index cannot be reached; check the network connection and repeat.",
    ),
    (
        r"No matching distribution found|Could not find a version that satisfies",
        "The package index has no package for this computer and Python version.",
    ),
    (
        r"WinError 206|Long Path support",
        "The folder of the environment lies too deep for Windows; choose a short one with the variable LWGANET_HOME.",
    ),
    (
        r"Permission denied|Access is denied|WinError (5|32)\b",
        "A file or folder may not be written; check the rights of the folder.",
    ),
)


class SetupCancelled(Exception):
    """The user stopped the setup; what was there before is as it was."""


class Setup:
    """Creates the environment.

    Args:
        tell: called with each line for the user.
        is_cancelled: asked several times a second.
        variables: environment variables besides the inherited ones, a proxy for example.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        is_cancelled: Callable[[], bool] = lambda: False,
        variables: Optional[Mapping[str, str]] = None,
    ) -> None:
        self._tell = tell
        self._is_cancelled = is_cancelled
        self._variables = {**clean_environment(os.environ), "PYTHONUTF8": "1", **(variables or {})}

    def create(self, pytorch: str = "auto", base_python: str = "") -> Path:
        """Create the environment anew and return its Python.

        It is built beside its place and takes it when it is complete and has passed the runner's own diagnosis; an
        environment that was there serves until then.

        Args:
            pytorch: the build, "cpu", "cuda" or "auto" (see ``fitting_pytorch``).
            base_python: the Python to build it with; otherwise the first of ``find_pythons`` that can.

        Raises:
            EnvironmentProblem: one line that says why it cannot be created.
            SetupCancelled: the user stopped it.
        """
        pytorch = fitting_pytorch() if pytorch == "auto" else pytorch
        place = environment_folder()
        _refuse_protected(place.parent)
        with _alone_at(place):
            self._remove_leftovers(place)
            _refuse_long_paths(place.parent, pytorch)
            _refuse_full_disk(place.parent, NEEDED_BYTES[pytorch])
            self._tell(f"Creating the runner's environment in {place} …")
            self._build(place, [base_python] if base_python else find_pythons(), pytorch)
        self._tell("The environment is ready.")
        return python_in(place)

    def _build(self, place: Path, bases: Iterable[str], pytorch: str) -> None:
        building = place.with_name(BUILDING + uuid4().hex[:8])  # one of tempfile's would serve its owner only
        building.mkdir()
        try:
            self._make_bare(building, bases)
            self._install(building, pytorch)
            self._tell("Asking the runner what it can do on this computer …")
            self.diagnose(python_in(building))
            (building / MARK_FILE).write_text(mark_of(pytorch), encoding="ascii")
            _take_place(building, place)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _make_bare(self, building: Path, bases: Iterable[str]) -> None:
        """Make an environment that can download and install, with the first Python that manages to.

        Not every Python that looks fit is: that of a QGIS for Windows may not start outside of its own folders.

        Raises:
            EnvironmentProblem: none does; the text tells which were tried.
            SetupCancelled: the user stopped it.
        """
        refused = []
        for base in dict.fromkeys(bases):
            reason = why_unusable(base)
            if reason is None:
                self._tell(f"Trying {base} …")
                try:
                    self._run([base, "-s", "-m", "venv", "--clear", str(building)])
                    self._run([str(python_in(building)), "-s", "-c", "import pip, ssl"])
                    return
                except EnvironmentProblem as error:
                    reason = str(error)
            refused.append(f"{base} ({reason})")
        raise EnvironmentProblem(none_found(refused))

    def _remove_leftovers(self, place: Path) -> None:
        """Remove what setups that were killed have left; nobody else's is there while we are alone at the place."""
        for each in [each for each in place.parent.iterdir() if LEFTOVER.fullmatch(each.name)]:
            self._tell(f"Removing {each}, which an interrupted setup has left.")
            shutil.rmtree(each, ignore_errors=True)

    def diagnose(self, python: Path) -> None:
        """Run the runner's own diagnosis.

        Raises:
            EnvironmentProblem: the runner does not work with this Python.
            SetupCancelled: the user stopped it.
        """
        self._run([str(python), "-s", "-m", "model_runner", "doctor"])

    def _install(self, environment: Path, pytorch: str) -> None:
        python = str(python_in(environment))
        index = PYTORCH_INDEXES.get((sys.platform, pytorch))
        more = () if index is None else ("--extra-index-url", index)
        self._tell(f"Installing PyTorch ({pytorch}). This takes a few minutes.")
        try:
            self._run([python, *PIP_INSTALL, *more, "--requirement", str(PYTORCH_LOCKS[pytorch])])
        except EnvironmentProblem as error:
            if pytorch != "cuda":
                raise
            raise EnvironmentProblem(f"{error} The build cpu works too, without the GPU.") from error
        self._tell("Installing rasterio and the other requirements.")
        self._run([python, *PIP_INSTALL, "--requirement", str(REQUIREMENTS)])

    def _run(self, command: Sequence[str]) -> None:
        """Run a program to its end and pass its lines on.

        Raises:
            EnvironmentProblem: it failed.
            SetupCancelled: the user stopped it.
        """
        try:
            process = subprocess.Popen(
                list(command),
                cwd=str(PLUGIN_ROOT),
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                **own_session(),
            )
        except OSError as error:
            raise EnvironmentProblem(f"{command[0]} cannot be started: {error.strerror}.") from error
        lines: Queue = Queue()
        Thread(target=_read_lines, args=(process, lines), daemon=True).start()
        said = []
        try:
            while True:
                if self._is_cancelled():
                    raise SetupCancelled
                try:
                    line = lines.get(timeout=0.1)
                except Empty:
                    continue
                if line is None:
                    break
                said.append(line)
                self._tell(line)
            status = process.wait()
        except BaseException:
            kill_with_children(process)
            process.wait()
            raise
        if status != 0:
            raise EnvironmentProblem(explain_failure(command, said))


def fitting_pytorch() -> str:
    """The build of PyTorch for this computer: "cuda" where there is an NVIDIA driver, else "cpu"."""
    driver = NVIDIA_DRIVERS.get(sys.platform)
    return "cuda" if driver is not None and Path(driver).exists() else "cpu"


def explain_failure(command: Sequence[str], said: Sequence[str]) -> str:
    """One line on why a program of the setup failed, from what it said."""
    last = next((line for line in reversed(said) if "error" in line.lower()), said[-1] if said else "it said nothing")
    for pattern, explanation in FAULTS:
        if re.search(pattern, "\n".join(said)):
            return f"{explanation} ({last})"
    return f"'{' '.join(command[1:5])}' failed: {last}"


def _refuse_protected(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EnvironmentProblem(
            f"The folder {folder} cannot be written ({error.strerror}); choose another with the variable LWGANET_HOME."
        ) from error


def _refuse_long_paths(folder: Path, pytorch: str) -> None:
    """Windows refuses long paths unless it is set up for them; better said before the download."""
    if sys.platform != "win32" or _allows_long_paths():
        return
    site_packages = folder / f"{BUILDING}12345678" / "Lib" / "site-packages"
    longest = len(str(site_packages)) + 1 + DEEPEST_FILE[pytorch]
    if longest > LONGEST_PATH:
        raise EnvironmentProblem(
            f"The folder {folder} lies too deep for Windows: paths in it would have {longest} characters, and "
            rf"{LONGEST_PATH} work; choose a short one with the variable LWGANET_HOME, such as C:\lwganet."
        )


def _allows_long_paths() -> bool:
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1
    except OSError:
        return False


def _refuse_full_disk(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise EnvironmentProblem(
            f"The disk of {folder} has {free / 1024**3:.1f} GB free, and building the environment takes "
            f"{needed_bytes / 1024**3:.0f} GB; free some space or choose another folder with the variable LWGANET_HOME."
        )


@contextmanager
def _alone_at(place: Path) -> Iterator[None]:
    """Keep other setups away from a place; the system lifts the lock of a process that is killed.

    Raises:
        EnvironmentProblem: another setup is under way, or the disk knows no locks.
    """
    with place.with_name(f"{place.name}.lock").open("a", encoding="ascii") as file:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError) as error:
            raise EnvironmentProblem(
                f"Another setup of the environment in {place} is under way; wait until it has ended."
            ) from error
        except OSError as error:
            raise EnvironmentProblem(
                f"The file {file.name} cannot be locked ({error.strerror}); choose another folder with the variable "
                "LWGANET_HOME."
            ) from error
        yield


def _lock(file: IO) -> None:
    """Lock a file until it is closed, or raise ``OSError`` if somebody has."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _take_place(building: Path, place: Path) -> None:
    """Put the new environment where the old one is, if there is one; if that fails, the old one is there again.

    An environment may be renamed as long as nothing but its interpreter is ever started.
    """
    old = building.with_name(building.name + FORMER)
    try:
        if place.exists():
            put_in_place(place, old)
        put_in_place(building, place)
    except OSError as error:
        raise EnvironmentProblem(
            f"The environment in {place} is in use ({error.strerror}){_put_back(old, place)}; close other QGIS windows "
            "and repeat."
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def _put_back(old: Path, place: Path) -> str:
    """Give the old environment its place again, if it has left it; what there is to say about it."""
    if not old.exists():
        return ""
    try:
        put_in_place(old, place)
    except OSError as error:
        return f", and the former one is now in {old} ({error.strerror})"
    return ", and the former one serves on"


def _read_lines(process: subprocess.Popen, lines: Queue) -> None:
    with process.stdout as output:
        for line in output:
            if line.strip():
                lines.put(line.strip())
    lines.put(None)
