# SPDX-License-Identifier: GPL-2.0-or-later
"""LWGANet for QGIS: this folder is the plugin. It imports nothing before QGIS asks for the plugin."""

from __future__ import annotations


def classFactory(iface):  # noqa: ANN001, ANN201
    """The plugin, for QGIS's plugin loader; ``iface`` is None in ``qgis_process``."""
    from .lwganet_qgis.plugin import Plugin

    return Plugin(iface)
