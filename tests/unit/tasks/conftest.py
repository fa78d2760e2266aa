# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from model_runner.contract import model_card


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty folder for the user's models, and no embedded ones."""
    monkeypatch.setenv("LWGANET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(model_card, "embedded_models_folder", lambda: tmp_path / "embedded")
    return tmp_path / "home"
