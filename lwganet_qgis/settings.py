# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user has chosen in QGIS for this plugin."""

from __future__ import annotations

from qgis.core import QgsSettings

RUNNER_PYTHON = "lwganet/runner_python"
DEVICE = "lwganet/device"
IDLE_MINUTES = "lwganet/idle_minutes"


def chosen_runner_python() -> str:
    """The Python that runs the runner; empty for the plugin's own environment."""
    return QgsSettings().value(RUNNER_PYTHON, "", type=str)


def default_device() -> str:
    """The device that forms suggest."""
    return QgsSettings().value(DEVICE, "auto", type=str)


def idle_minutes() -> int:
    """How long a runner without work keeps its models loaded."""
    return QgsSettings().value(IDLE_MINUTES, 10, type=int)


def proxy_variables() -> dict[str, str]:
    """QGIS's HTTP proxy as the environment variables that pip and requests understand.

    A password that QGIS keeps in its authentication database is not passed on.
    """
    settings = QgsSettings()
    host = settings.value("proxy/proxyHost", "", type=str)
    if not settings.value("proxy/proxyEnabled", False, type=bool) or not host:
        return {}
    if settings.value("proxy/proxyType", "", type=str) not in ("HttpProxy", "HttpCachingProxy"):
        return {}
    port = settings.value("proxy/proxyPort", "", type=str)
    address = f"http://{host}:{port}" if port else f"http://{host}"
    return {"HTTP_PROXY": address, "HTTPS_PROXY": address}
