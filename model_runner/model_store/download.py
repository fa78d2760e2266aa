# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch files that may be large, over connections that may break, and tell in plain words what went wrong.

An unfinished transfer is kept as ``<file>.<validator>.part``. The validator (the server's ETag, else its date of
change) tells the server which version of the file the part belongs to; the transfer goes on only if it is unchanged.
"""

import errno
import hashlib
import os
import time
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import requests
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ConnectTimeout,
    ProxyError,
    ReadTimeout,
    RequestException,
    SSLError,
)
from urllib3.exceptions import MaxRetryError

from model_runner.errors import DownloadError, one_line
from model_runner.report import Report

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 1.0  # doubled after each attempt
TIMEOUT_SECONDS = (15, 60)  # to connect; between two bytes
CHUNK_BYTES = 1 << 18
BY_HAND = "or fetch it with a browser and import the file"

_LONGEST_NAME = 100  # characters of a validator in a file's name
_STATUS = {
    401: "The server refuses to hand out {address} (HTTP 401); try another network, {by_hand}.",
    403: "The server refuses to hand out {address} (HTTP 403); try another network, {by_hand}.",
    404: "There is no file at {address} (HTTP 404); update the plugin, {by_hand}.",
    407: "The proxy asks for a name and a password on the way to {address} (HTTP 407); set them in HTTPS_PROXY, "
    "{by_hand}.",
}


class _Broken(Exception):
    """The transfer ended too early for a reason that may pass."""


def download(
    address: str, target: Path, report: Report, sha256: str | None = None, expected_bytes: int | None = None
) -> str:
    """Fetch a file; what is at ``target`` is always whole.

    Proxies are those of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).

    Args:
        address: what to fetch, https or http.
        target: where to write it; its folder is made.
        report: told of the bytes, as the stage "download".
        sha256: the hash that the file must have, in hexadecimal digits.
        expected_bytes: the size that the file must have.

    Returns:
        the SHA-256 of the file, in hexadecimal digits.

    Raises:
        DownloadError: the file cannot be fetched or is not the expected one; the text tells what to do.
        Cancelled: the user asked to stop; the part that was fetched is kept for the next time.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _fetch(address, target, report, expected_bytes)
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 and found != sha256.lower():
            part.unlink()
            raise DownloadError(
                f"The file from {address} has the SHA-256 {found} instead of {sha256}; it was changed at the server or "
                "on the way, and was removed; try again, and if it stays so, do not use it."
            )
        os.replace(part, target)
    except RequestException as error:
        raise DownloadError(_explain(error, address)) from error
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(_explain_disk(error, target)) from error
    return found


def _fetch(address: str, target: Path, report: Report, expected_bytes: int | None) -> Path:
    """The finished ``.part`` file, after as many attempts as it takes."""
    pause = FIRST_PAUSE_SECONDS
    with requests.Session() as session:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _transfer(session, address, target, report, expected_bytes)
            except _Broken as broken:
                if attempt == ATTEMPTS:
                    raise DownloadError(
                        f"The transfer of {address} broke off {ATTEMPTS} times ({broken}); try again later, it will "
                        "go on from there."
                    ) from broken
                report.log("warning", f"The transfer of {address} broke off ({broken}); trying again.")
            _wait(pause, report)
            pause *= 2
    raise AssertionError("the last attempt returns or raises")


def _wait(seconds: float, report: Report) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        report.check_cancelled()
        time.sleep(min(0.1, seconds))


def _transfer(
    session: requests.Session, address: str, target: Path, report: Report, expected_bytes: int | None
) -> Path:
    """One attempt; goes on with the part that is there if the server agrees."""
    part, validator, done = _unfinished(target)
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": validator}
    report.check_cancelled()
    try:
        with session.get(address, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            _refuse_status(response, address)
            if response.status_code == 200:
                part, done = _begin_again(target, response), 0
            elif not _goes_on(response, done, validator):
                part.unlink(missing_ok=True)
                raise _Broken("the part that was there is of no use")
            _receive(response, part, done, address, report, expected_bytes)
    except (ChunkedEncodingError, ConnectionError, ReadTimeout) as error:
        if _may_pass(error):
            raise _Broken(_innermost(error)) from error
        raise
    return part


def _receive(
    response: requests.Response, part: Path, done: int, address: str, report: Report, expected_bytes: int | None
) -> None:
    """Append the answer to the part, which has ``done`` bytes."""
    length = response.headers.get("Content-Length", "")
    total = done + int(length) if length.isdigit() else expected_bytes or 0
    if expected_bytes and total != expected_bytes:
        raise DownloadError(f"The file at {address} has {total} bytes instead of {expected_bytes}; update the plugin.")
    with part.open("ab") as file:
        report.progress("download", done, total)
        for chunk in response.iter_content(CHUNK_BYTES):
            report.check_cancelled()
            file.write(chunk)
            done += len(chunk)
            report.progress("download", done, total)
    if total and done != total:
        raise _Broken(f"{done} of {total} bytes came")


def _unfinished(target: Path) -> tuple[Path, str, int]:
    """The part to go on with, the validator in its name, and its size; the size is 0 where there is none."""
    for part in _parts(target):
        validator = unquote(part.name[len(target.name) + 1 : -len(".part")])
        if validator:
            return part, validator, part.stat().st_size
    return _part(target, ""), "", 0


def _begin_again(target: Path, response: requests.Response) -> Path:
    """An empty part for the version of the file that the server is sending."""
    for part in _parts(target):
        part.unlink()
    part = _part(target, _validator(response))
    part.touch()
    return part


def _goes_on(response: requests.Response, done: int, validator: str) -> bool:
    """Whether the answer begins where the part ends, in the same version of the file."""
    return (
        response.status_code == 206
        and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        and _validator(response) in ("", validator)
    )


def _validator(response: requests.Response) -> str:
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _part(target: Path, validator: str) -> Path:
    name = quote(validator, safe="")
    return target.with_name(f"{target.name}.{name}.part" if 0 < len(name) <= _LONGEST_NAME else f"{target.name}.part")


def _parts(target: Path) -> list[Path]:
    return [
        each
        for each in target.parent.iterdir()
        if each.name.startswith(f"{target.name}.") and each.name.endswith(".part")
    ]


def _refuse_status(response: requests.Response, address: str) -> None:
    status = response.status_code
    if status == 429 or status >= 500:
        raise _Broken(f"HTTP {status}, the server is overloaded or out of order")
    if status not in (200, 206, 416):
        text = _STATUS.get(status, "The server answered HTTP {status} for {address}; try again later, {by_hand}.")
        raise DownloadError(text.format(address=address, status=status, by_hand=BY_HAND))


def _may_pass(error: RequestException) -> bool:
    """Whether a connection was there and broke; what cannot be reached at all is not tried again."""
    return not (error.args and isinstance(error.args[0], MaxRetryError))


def _explain(error: RequestException, address: str) -> str:
    if isinstance(error, ProxyError):
        return (
            f"The proxy {_proxy(address)} refused the way to {address}; check HTTPS_PROXY and HTTP_PROXY or ask your "
            f"administrator, {BY_HAND}."
        )
    if isinstance(error, SSLError):
        return (
            f"No trusted connection to {address} ({_innermost(error)}); where a corporate network has a certificate "
            f"of its own, set REQUESTS_CA_BUNDLE to its file, {BY_HAND}."
        )
    if isinstance(error, (ConnectionError, ConnectTimeout)):
        return (
            f"There is no connection to {address} ({_innermost(error)}); check the network, or set HTTPS_PROXY if "
            f"yours has a proxy, {BY_HAND}."
        )
    return f"{address} cannot be fetched ({_innermost(error)}); check the address, {BY_HAND}."


def _explain_disk(error: OSError, target: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"The disk of {target.parent} is full; make room there and try again, the download will go on."
    return f"{target} cannot be fetched: {error.strerror or error}."


def _proxy(address: str) -> str:
    """Host and port of the proxy for an address, without name and password."""
    proxy = requests.utils.select_proxy(address, requests.utils.get_environ_proxies(address)) or ""
    parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _innermost(error: BaseException) -> str:
    """The shortest true reason in a chain of wrapped errors, on one line."""
    while True:
        inner = getattr(error, "reason", None) or next(
            (each for each in reversed(error.args) if isinstance(each, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return one_line(error)
        error = inner
