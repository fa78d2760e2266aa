# SPDX-License-Identifier: GPL-2.0-or-later
import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty folder for the user's models."""
    monkeypatch.setenv("LWGANET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
