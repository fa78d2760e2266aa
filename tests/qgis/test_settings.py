# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

pytestmark = pytest.mark.usefixtures("qgis")


@pytest.fixture
def variables():
    """The variables for a proxy of QGIS's that also has these settings."""
    from lwganet_qgis.lwganet_qgis.settings import proxy_variables
    from qgis.core import QgsSettings

    settings = QgsSettings()

    def with_settings(**more):
        standard = {"proxyEnabled": True, "proxyType": "HttpProxy", "proxyHost": "proxy.example.org"}
        for name, value in {**standard, **more}.items():
            settings.setValue(f"proxy/{name}", value)
        return proxy_variables()

    yield with_settings
    settings.remove("proxy")


def test_a_proxy_is_passed_on(variables):
    address = "http://proxy.example.org:3128"
    assert variables(proxyPort="3128") == {"HTTP_PROXY": address, "HTTPS_PROXY": address}


def test_without_a_proxy_there_is_nothing_to_pass_on(variables):
    assert variables(proxyEnabled=False) == variables(proxyEnabled=True, proxyType="Socks5Proxy") == {}


@pytest.mark.parametrize(
    ("user", "password", "login"), [("me", "p@ss:w/rd", "me:p%40ss%3Aw%2Frd@"), ("me", "", "me@"), ("", "unused", "")]
)
def test_user_and_password_are_in_the_address(variables, user, password, login):
    address = variables(proxyUser=user, proxyPassword=password)["HTTPS_PROXY"]
    assert address == f"http://{login}proxy.example.org"


@pytest.mark.parametrize(
    ("addresses", "hosts"),
    [
        (["https://intern.example.org/maps", "localhost:8080", "https://"], "intern.example.org,localhost:8080"),
        ("http://intern.example.org", "intern.example.org"),
    ],
)
def test_hosts_that_need_no_proxy_are_named(variables, addresses, hosts):
    assert variables(noProxyUrls=addresses)["NO_PROXY"] == hosts
