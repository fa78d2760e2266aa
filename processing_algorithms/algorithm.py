# SPDX-License-Identifier: GPL-2.0-or-later
"""What every algorithm of the provider has."""

from __future__ import annotations

from qgis.core import QgsProcessingAlgorithm

from ..model_runner.contract.folders import PLUGIN_ROOT

HELP = PLUGIN_ROOT / "resources" / "help"


class Algorithm(QgsProcessingAlgorithm):
    """An algorithm of this provider: names, icon and help.

    A child gives ``NAME``, ``DISPLAY_NAME``, ``SUMMARY`` (one sentence), ``TAGS`` and ``GROUP`` (id and name), and
    has its help in ``resources/help/NAME.html``.
    """

    NAME = DISPLAY_NAME = SUMMARY = ""
    TAGS: tuple[str, ...] = ()
    GROUP = ("", "")

    def createInstance(self):
        return type(self)()

    def name(self):
        return self.NAME

    def displayName(self):
        return self.DISPLAY_NAME

    def shortDescription(self):
        return self.SUMMARY

    def groupId(self):
        return self.GROUP[0]

    def group(self):
        return self.GROUP[1]

    def tags(self):
        return list(self.TAGS)

    def icon(self):
        return self.provider().icon()

    def svgIconPath(self):
        return self.provider().svgIconPath()

    def shortHelpString(self):
        text = (HELP / f"{self.NAME}.html").read_text(encoding="utf-8")
        return " ".join(text.split())  # QGIS would make each line a paragraph
