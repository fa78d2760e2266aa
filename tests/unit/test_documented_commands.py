# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that the documentation shows are such that the program takes."""

import re
import shlex

import pytest

from model_runner import command_line
from model_runner.contract.folders import PLUGIN_ROOT

SHOWN = re.compile(r"^ {4}python -m model_runner ((?:.*\\\n)*.*)$", re.MULTILINE)


def documented():
    pages = [PLUGIN_ROOT / "README.md", PLUGIN_ROOT / "CONTRIBUTING.md", *sorted((PLUGIN_ROOT / "docs").glob("*.md"))]
    for page in pages:
        for command in SHOWN.findall(page.read_text(encoding="utf-8")):
            words = shlex.split(command.replace("\\\n", " "), comments=True)
            if "--help" not in words:
                yield f"{page.name}: {shlex.join(words)}"


EXAMPLES = [*command_line.COMMANDS.values(), *(example for _, example in command_line.MODEL_COMMANDS.values())]


@pytest.mark.parametrize("command", [*dict.fromkeys(documented()), *(f"help: {example}" for example in EXAMPLES)])
def test_a_documented_command_is_understood(command, monkeypatch):
    monkeypatch.setattr(command_line, "_run", lambda task, request, progress: 0)
    _, _, arguments = command.partition(": ")
    options = command_line._parser().parse_args(shlex.split(arguments))
    if hasattr(options, "progress"):  # a task: its request is made, and refused if values cannot be
        assert options.action(options) == 0
