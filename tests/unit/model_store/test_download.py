# SPDX-License-Identifier: GPL-2.0-or-later
import errno
import hashlib
import random
import socket
from pathlib import Path

import pytest

from model_runner.errors import Cancelled, DownloadError
from model_runner.model_store import download as download_module
from model_runner.model_store.download import ATTEMPTS, CHUNK_BYTES, download
from model_runner.report import Report
from tests.unit.model_store.file_server import serving

CONTENT = random.Random(0).randbytes(5 * CHUNK_BYTES + 17)
OTHER = random.Random(1).randbytes(4 * CHUNK_BYTES)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Listener(Report):
    def __init__(self, cancel_at=None):
        self.steps = []
        self.lines = []
        self.cancel_at = cancel_at

    def progress(self, stage, done, total, megapixels_per_second=None, seconds_left=None):
        self.steps.append((stage, done, total))

    def log(self, level, text):
        self.lines.append((level, text))

    def check_cancelled(self):
        if self.cancel_at is not None and self.steps and self.steps[-1][1] >= self.cancel_at:
            raise Cancelled


@pytest.fixture(autouse=True)
def _quick_and_without_proxy(monkeypatch):
    monkeypatch.setattr(download_module, "FIRST_PAUSE_SECONDS", 0.0)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "weights.pth"


def names(target):
    return sorted(each.name for each in target.parent.iterdir())


def fault(address, target, **options):
    """The text of the error, which must be one line and name the address."""
    with pytest.raises(DownloadError) as caught:
        download(address, target, Listener(), **options)
    text = str(caught.value)
    assert "\n" not in text
    assert not target.exists()
    return text


def test_a_whole_file_arrives_with_its_hash_and_progress(server, target):
    listener = Listener()
    assert download(server.address, target, listener, SHA256, len(CONTENT)) == SHA256
    assert target.read_bytes() == CONTENT
    assert names(target) == ["weights.pth"]
    assert listener.steps[0] == ("download", 0, len(CONTENT))
    assert listener.steps[-1] == ("download", len(CONTENT), len(CONTENT))
    assert len(listener.steps) >= 6


def test_a_broken_transfer_goes_on_where_it_broke(server, target):
    server.break_after = 2 * CHUNK_BYTES
    listener = Listener()
    assert download(server.address, target, listener) == SHA256
    assert target.read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={2 * CHUNK_BYTES}-"]
    assert server.bytes_sent == len(CONTENT)
    assert [level for level, _ in listener.lines] == ["warning"]


def test_a_server_without_ranges_sends_all_again(server, target):
    server.break_after = 2 * CHUNK_BYTES
    server.ranges = False
    assert download(server.address, target, Listener()) == SHA256
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_server_without_validators_is_asked_for_all_again(server, target):
    server.break_after = 2 * CHUNK_BYTES
    server.etag = ""
    assert download(server.address, target, Listener()) == SHA256
    assert server.requests == [None, None]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("checks_validator", [True, False])
def test_a_file_that_changed_in_between_is_fetched_anew(server, target, checks_validator):
    server.checks_validator = checks_validator
    with pytest.raises(Cancelled):
        download(server.address, target, Listener(cancel_at=2 * CHUNK_BYTES))
    server.content, server.etag = OTHER, '"two"'
    download(server.address, target, Listener())
    assert target.read_bytes() == OTHER
    assert names(target) == ["weights.pth"]


def test_cancelling_leaves_only_a_part_with_which_the_next_time_begins(server, target):
    with pytest.raises(Cancelled):
        download(server.address, target, Listener(cancel_at=2 * CHUNK_BYTES))
    (part,) = target.parent.iterdir()
    assert part.suffix == ".part"
    size = part.stat().st_size
    assert CONTENT.startswith(part.read_bytes())
    assert size == 2 * CHUNK_BYTES
    assert download(server.address, target, Listener()) == SHA256
    assert server.requests == [None, f"bytes={size}-"]


def test_a_part_that_is_whole_already_does_no_harm(server, target):
    with pytest.raises(Cancelled):
        download(server.address, target, Listener(cancel_at=2 * CHUNK_BYTES))
    (part,) = target.parent.iterdir()
    part.write_bytes(CONTENT)
    assert download(server.address, target, Listener()) == SHA256
    assert names(target) == ["weights.pth"]


def test_a_wrong_hash_removes_the_file(server, target):
    text = fault(server.address, target, sha256=hashlib.sha256(OTHER).hexdigest())
    assert SHA256 in text
    assert server.address in text
    assert names(target) == []


def test_a_wrong_size_is_told_before_anything_is_fetched(server, target):
    assert "bytes instead of 5" in fault(server.address, target, expected_bytes=5)


def test_transfers_that_break_again_and_again_end(server, target):
    server.statuses = [503] * ATTEMPTS
    text = fault(server.address, target)
    assert "HTTP 503" in text
    assert server.address in text
    assert len(server.requests) == ATTEMPTS


def test_an_overloaded_server_is_asked_again(server, target):
    server.statuses = [503, 429]
    assert download(server.address, target, Listener()) == SHA256


@pytest.mark.parametrize(("status", "words"), [(404, "no file at"), (403, "refuses"), (418, "HTTP 418")])
def test_what_the_server_refuses_is_told_at_once(server, target, status, words):
    server.statuses = [status]
    text = fault(server.address, target)
    assert words in text
    assert server.address in text
    assert len(server.requests) == 1


def unused_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_no_connection(target):
    address = f"http://127.0.0.1:{unused_port()}/weights.pth"
    text = fault(address, target)
    assert f"no connection to {address}" in text
    assert "refused" in text


def test_no_trusted_connection(server, target):
    text = fault(server.address.replace("http:", "https:"), target)
    assert "REQUESTS_CA_BUNDLE" in text
    assert "certificate" in text


def test_a_proxy_that_refuses_is_named_without_its_password(target, monkeypatch):
    port = unused_port()
    monkeypatch.setenv("https_proxy", f"http://name:secret@127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "")
    text = fault("https://weights.invalid/weights.pth", target)
    assert f"The proxy 127.0.0.1:{port} refused" in text
    assert "secret" not in text


def test_an_address_that_is_none(target):
    assert "check the address" in fault("weights.pth", target)


def test_a_full_disk(server, target, monkeypatch):
    class FullDisk:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    really_open = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *mode: FullDisk(really_open(self, *mode)))
    text = fault(server.address, target)
    assert str(target.parent) in text
    assert "full" in text
