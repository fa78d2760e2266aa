# SPDX-License-Identifier: GPL-2.0-or-later
"""The results viewer of Processing, into which QGIS itself puts the pages of successful runs alone."""

from __future__ import annotations

import time
from pathlib import Path

from qgis.PyQt.QtGui import QIcon


def add_page(icon: QIcon, title: str, page: Path) -> None:
    """Put a page into the viewer, which opens; from any thread. Without a desktop nobody sees it."""
    from processing.core.ProcessingResults import resultsList  # which QGIS may load after this plugin

    resultsList.addResult(icon=icon, name=title, timestamp=time.localtime(), result=str(page))
