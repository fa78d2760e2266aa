# SPDX-License-Identifier: GPL-2.0-or-later
"""Where models and the runner's environment are kept.

``LWGANET_HOME`` moves everything that is not part of the plugin; otherwise the operating system's folder for the
user's data is taken, outside of the QGIS profile, so that an update of the plugin leaves models alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PLUGIN_ROOT = Path(__file__).resolve().parents[2]


def data_folder() -> Path:
    """The folder for the user's models and the runner's environment; it may not exist yet."""
    chosen = os.environ.get("LWGANET_HOME")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "lwganet-qgis"


def embedded_models_folder() -> Path:
    """The models that come with the plugin."""
    return PLUGIN_ROOT / "resources" / "models"


def user_models_folder() -> Path:
    """The models that the user imported, downloaded or trained."""
    return data_folder() / "models"


def environment_folder() -> Path:
    """The runner's own Python environment."""
    return data_folder() / "environment"


def program_name() -> str:
    """The program and its version, as cards and reports tell it."""
    return f"LWGANet for QGIS {plugin_version()}"


def plugin_version() -> str:
    """The version in ``metadata.txt``, the only place where it is written."""
    for line in (PLUGIN_ROOT / "metadata.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("version="):
            return line.partition("=")[2].strip()
    raise ValueError(f"{PLUGIN_ROOT / 'metadata.txt'} has no line 'version=…'.")
