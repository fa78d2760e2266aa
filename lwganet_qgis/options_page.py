# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's page in QGIS's options."""

from __future__ import annotations

from qgis.core import QgsSettings
from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QLabel, QSpinBox

from ..model_runner.contract.folders import environment_folder
from ..model_runner.contract.request_parts import DEVICES
from . import settings
from .follow import renew_runner
from .provider import ICON_FILE


class OptionsPageFactory(QgsOptionsWidgetFactory):
    """Makes the page when the options are opened."""

    def __init__(self):
        super().__init__("LWGANet", QIcon(str(ICON_FILE)))

    def createWidget(self, parent):
        return OptionsPage(parent)


class OptionsPage(QgsOptionsPageWidget):
    """The runner's Python, the default device, and how long a runner waits for work."""

    def __init__(self, parent):
        super().__init__(parent)
        self._python = QgsFileWidget()
        self._python.setFilePath(settings.chosen_runner_python())
        self._python.lineEdit().setPlaceholderText(f"own environment in {environment_folder()}")
        self._device = QComboBox()
        self._device.setEditable(True)
        self._device.addItems(DEVICES)
        self._device.setCurrentText(settings.default_device())
        self._idle = QSpinBox()
        self._idle.setRange(1, 24 * 60)
        self._idle.setSuffix(" min")
        self._idle.setValue(settings.idle_minutes())

        form = QFormLayout(self)
        form.addRow("Python of the model runner", self._python)
        form.addRow("Device that forms suggest", self._device)
        form.addRow("Keep models loaded for", self._idle)
        hint = QLabel(
            "The algorithm 'Set up the environment' in the Processing toolbox creates the runner's own Python "
            "environment. Name another Python here only if you maintain such an environment yourself."
        )
        hint.setWordWrap(True)
        form.addRow(hint)

    def apply(self):
        store, before = QgsSettings(), _of_the_runner()
        store.setValue(settings.RUNNER_PYTHON, self._python.filePath().strip())
        store.setValue(settings.DEVICE, self._device.currentText().strip() or "auto")
        store.setValue(settings.IDLE_MINUTES, self._idle.value())
        if _of_the_runner() != before:  # QGIS applies every page, also one that nobody looked at
            renew_runner()


def _of_the_runner() -> tuple[str, int]:
    """The settings with which a runner is started."""
    return settings.chosen_runner_python(), settings.idle_minutes()
