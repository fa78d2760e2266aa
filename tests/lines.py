# SPDX-License-Identifier: GPL-2.0-or-later
"""A report that keeps what it is told."""

from model_runner.report import Report


class Lines(Report):
    """The texts of all that was logged, in order, and those of the warnings among them."""

    def __init__(self):
        self.lines, self.warnings = [], []

    def log(self, level, text):
        """Keep the text."""
        self.lines.append(text)
        if level == "warning":
            self.warnings.append(text)
