# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts and stops the plugin."""

from __future__ import annotations

from qgis.core import QgsApplication

from .follow import end_runner
from .provider import Provider


class Plugin:
    """What QGIS loads; ``iface`` is None in ``qgis_process``."""

    def __init__(self, iface):
        self._iface = iface
        self._provider = None
        self._options = None

    def initProcessing(self):
        """Register the algorithms; all that ``qgis_process`` calls."""
        self._provider = Provider()
        QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self):
        """Register the algorithms and the settings page."""
        from .options_page import OptionsPageFactory

        self.initProcessing()
        self._options = OptionsPageFactory()
        self._iface.registerOptionsWidgetFactory(self._options)

    def unload(self):
        """Take everything back and end the runner."""
        end_runner()
        if self._options is not None:
            self._iface.unregisterOptionsWidgetFactory(self._options)
        QgsApplication.processingRegistry().removeProvider(self._provider)
