# SPDX-License-Identifier: GPL-2.0-or-later
"""Ctrl+C, and a system's request to end, kept until nothing is lost by it."""

import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from model_runner.errors import Cancelled


class Interruption:
    """Within ``with``, SIGINT and SIGTERM only take effect where ``check`` is called; a second one does so at once.

    Python lets the main thread alone look after signals; in others, and in one of several processes that share a
    training and would wait for each other, nothing is changed.

    Args:
        postponed: whether this process may wait with its end.
    """

    def __init__(self, postponed: bool) -> None:
        self._postponed = postponed and threading.current_thread() is threading.main_thread()
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if self._postponed:
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Return at once, or raise ``Cancelled`` when a signal came."""
        if self._asked:
            raise Cancelled

    def checked(self, loader: Iterable[Any]) -> Iterator[Any]:
        """The batches of a loader, whose processes may get the signal too and bring no more.

        Raises:
            Cancelled: they have ended, and this process was asked to as well.
        """
        batches = iter(loader)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except RuntimeError:
                self.check()
                raise
            yield batch

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            signal.default_int_handler(number, frame)
        self._asked = True
