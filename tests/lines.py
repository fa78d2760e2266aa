# SPDX-License-Identifier: GPL-2.0-or-later
"""A report that keeps what it is told."""

from model_runner.report import Report


class Lines(Report):
    """The texts of all that was logged, in order."""

    def __init__(self):
        self.lines = []

    def log(self, level, text):
        """Keep the text."""
        self.lines.append(text)
