# SPDX-License-Identifier: GPL-2.0-or-later
"""One runner: a child process that speaks the lines of ``contract.messages``. Knows nothing of QGIS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any, Mapping, Optional, Sequence

from ..model_runner.contract.errors import RunnerError, WireError
from ..model_runner.contract.messages import decode, encode

# QGIS sets these for its own libraries; another Python with other libraries fails on them.
FOREIGN_PREFIXES = ("PYTHON", "GDAL_", "PROJ_", "CPL_", "LD_", "DYLD_", "QT_", "QGIS_", "GIS", "OSGEO4W")
FOREIGN_NAMES = ("VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
SECONDS_TO_KILL = 10
LAST_WORDS = 50
LONGEST_LAST_WORD = 500


class RunnerEnded(RunnerError):
    """The runner's process ended, or wrote what is no message."""


def clean_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment variables without those that belong to QGIS's own Python and libraries."""
    return {
        name: value
        for name, value in inherited.items()
        if not name.upper().startswith(FOREIGN_PREFIXES) and name.upper() not in FOREIGN_NAMES
    }


def own_session() -> dict[str, Any]:
    """The arguments of ``Popen`` that set a child apart, so that it and all its children can be ended together."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def kill_with_children(process: subprocess.Popen) -> None:
    """End a process that was started in its ``own_session``, and all that it started, at once."""
    if sys.platform == "win32":
        command = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=SECONDS_TO_KILL,
                **own_session(),
            )
        process.kill()  # does nothing to one that has ended
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class RunnerProcess:
    """Starts a runner, sends it messages and receives its answers.

    Args:
        command: program and arguments.
        folder: working folder of the process.
        environment: all of its environment variables.

    Raises:
        RunnerEnded: the program cannot be started.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        try:
            self._process = subprocess.Popen(
                list(command),
                cwd=str(folder),
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                **own_session(),
            )
        except OSError as error:
            raise RunnerEnded(f"The model runner cannot be started with {command[0]}: {error}.") from error
        self._inbox: Queue = Queue()
        self._last_words: deque = deque(maxlen=LAST_WORDS)
        self._ended_by_us = False
        self._listener = Thread(target=self._read_last_words, daemon=True)
        self._listener.start()
        Thread(target=self._read_messages, daemon=True).start()

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def send(self, message: Any) -> None:
        """Send a message; that a runner has gone shows in ``receive``, after all that it still said."""
        try:
            self._process.stdin.write(encode(message))
            self._process.stdin.flush()
        except (OSError, ValueError):
            return

    def receive(self, seconds: float) -> Optional[Any]:
        """The next message, or None if none came in this time.

        Raises:
            RunnerEnded: the process has ended, or wrote a line that is no message.
        """
        try:
            message = self._inbox.get(timeout=seconds)
        except Empty:
            return None
        if isinstance(message, RunnerError):
            self.kill()
            raise message
        return message

    def close(self, seconds: float = 1.0) -> None:
        """End the input, upon which a runner ends by itself; kill it if it does not."""
        try:
            self._process.stdin.close()
        except OSError:
            pass  # it had gone already with a message half sent
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """End the process and all that it started at once."""
        self._ended_by_us = True
        kill_with_children(self._process)
        self._process.wait()
        try:
            self._process.stdin.close()
        except OSError:
            pass  # a message that nobody reads any more was still in the buffer

    def _read_messages(self) -> None:
        with self._process.stdout as lines:
            try:
                for line in lines:
                    self._inbox.put(decode(line))
            except WireError as error:
                self._inbox.put(RunnerEnded(f"The model runner wrote what is no message and was ended. {error}"))
                return
        self._process.wait()
        self._listener.join(1.0)
        self._inbox.put(RunnerEnded(self._cause_of_end()))

    def _read_last_words(self) -> None:
        with self._process.stderr as lines:
            for line in lines:
                if line.strip():
                    self._last_words.append(line.strip()[:LONGEST_LAST_WORD])

    def _cause_of_end(self) -> str:
        status = self._process.returncode
        if self._ended_by_us:
            return "The model runner was ended."
        if status == -getattr(signal, "SIGKILL", 9):
            return (
                "The model runner was killed by the system, most often because memory ran out; "
                "a smaller tile size or batch size needs less."
            )
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return f"The model runner {how}. " + (f"Its last words: {self._last_words[-1]}" if self._last_words else "")
