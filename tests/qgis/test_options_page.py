# SPDX-License-Identifier: GPL-2.0-or-later
from functools import partial

import pytest

pytestmark = pytest.mark.usefixtures("qgis")


@pytest.fixture
def page(monkeypatch):
    """The page; ``renewals`` tells what it has done to the runner."""
    from lwganet_qgis.lwganet_qgis import options_page, settings
    from qgis.core import QgsSettings

    page = options_page.OptionsPage(None)
    page.renewals = []
    for name in ("end_runner", "renew_runner"):
        monkeypatch.setattr(options_page, name, partial(page.renewals.append, name), raising=False)
    yield page
    for name in (settings.RUNNER_PYTHON, settings.DEVICE, settings.IDLE_MINUTES):
        QgsSettings().remove(name)


def test_an_untouched_page_leaves_the_runner_alone(page):
    page.apply()
    page._device.setCurrentText("cpu")
    page.apply()
    assert page.renewals == []


def test_another_python_or_idle_time_is_for_the_next_runner(page):
    page._idle.setValue(3)
    page.apply()
    assert page.renewals == ["renew_runner"]
    page._python.setFilePath("/opt/python")
    page.apply()
    page.apply()
    assert len(page.renewals) == 2
