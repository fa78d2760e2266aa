# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user has chosen in QGIS for this plugin."""

from __future__ import annotations

from typing import Sequence, Union
from urllib.parse import quote

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
    port, user, password = (
        settings.value(f"proxy/{name}", "", type=str) for name in ("proxyPort", "proxyUser", "proxyPassword")
    )
    login = ":".join(quote(part, safe="") for part in (user, password) if part) + "@" if user else ""
    address = f"http://{login}{host}:{port}" if port else f"http://{login}{host}"
    variables = {"HTTP_PROXY": address, "HTTPS_PROXY": address}
    exceptions = _hosts(settings.value("proxy/noProxyUrls"))
    if exceptions:
        variables["NO_PROXY"] = ",".join(exceptions)
    return variables


def _hosts(addresses: Union[str, Sequence[str], None]) -> list[str]:
    """The hosts in beginnings of addresses such as ``https://intern.example.org/maps``; a single one may be a text."""
    beginnings = [addresses] if isinstance(addresses, str) else addresses or ()
    hosts = (each.strip().rpartition("://")[2].partition("/")[0] for each in beginnings)
    return [host for host in hosts if host]
