# SPDX-License-Identifier: GPL-2.0-or-later
import hashlib
import json
from dataclasses import replace

import pytest
import torch

from model_runner.contract import model_card
from model_runner.contract.model_card import read_card
from model_runner.contract.task_requests import DownloadModelRequest, ImportModelRequest, RemoveModelRequest
from model_runner.errors import Cancelled, DownloadError, InputError, ModelError
from model_runner.model_store.store import open_model, save_model
from model_runner.report import Report
from model_runner.tasks.models import describe, download_model, import_model, list_models, remove_model
from tests.lines import Lines
from tests.unit.model_store.checkpoint_files import detector_checkpoint, detector_weights
from tests.unit.model_store.file_server import serving

OFFICIAL = "detect-dota10-l2"
OFFICIAL_FILE = "ORCNN_LWGANet_L2_fpn_le90_dota10_ss_e30.pth"


class ImpatientUser(Report):
    done = 0

    def progress(self, stage, done, total, megapixels_per_second=None, seconds_left=None):
        self.done = done

    def check_cancelled(self):
        if self.done:
            raise Cancelled


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LWGANET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(model_card, "embedded_models_folder", lambda: tmp_path / "embedded")
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "detector.pth"
    torch.save(detector_checkpoint(), path)
    return path


@pytest.fixture
def server(checkpoint, monkeypatch):
    with serving(checkpoint.read_bytes()) as server:
        monkeypatch.setenv("LWGANET_RELEASES", server.address.rpartition("/")[0] + "/")
        yield server


def row_of(model_id):
    """The words of a model's line in the list."""
    (line,) = (line for line in list_models() if line.startswith(f"{model_id} "))
    return line


def test_an_imported_checkpoint_is_listed_opened_and_removed(checkpoint, home):
    finished = import_model(ImportModelRequest(str(checkpoint), "mine"), Lines())
    assert finished.outputs == {"model": str(home / "models" / "mine")}
    assert finished.numbers == {"classes": 15}
    assert "installed" in row_of("mine")
    card, network = open_model("mine", "detect")
    assert card.network == "oriented_rcnn_l0"
    state_dict = network.state_dict()
    assert state_dict.keys() == detector_weights().keys()
    for name, tensor in detector_weights().items():
        torch.testing.assert_close(state_dict[name], tensor, rtol=0, atol=0)
    remove_model(RemoveModelRequest("mine"), Lines())
    assert not (home / "models" / "mine").exists()
    assert not any(line.startswith("mine ") for line in list_models())


def test_an_import_without_an_id_takes_the_files_name(checkpoint):
    import_model(ImportModelRequest(str(checkpoint)), Lines())
    with pytest.raises(ModelError, match="remove it first or choose another id"):
        import_model(ImportModelRequest(str(checkpoint)), Lines())
    assert row_of("detector")


def test_a_models_folder_is_imported(checkpoint, tmp_path):
    imported = import_model(ImportModelRequest(str(checkpoint), "mine"), Lines())
    finished = import_model(ImportModelRequest(imported.outputs["model"], "copy"), Lines())
    assert finished.numbers == {"classes": 15}
    assert open_model("copy", "detect")[0].title == open_model("mine", "detect")[0].title


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        import_model(ImportModelRequest(str(tmp_path / "missing.pth")), Lines())


def test_without_acceptance_the_licence_is_told_and_nothing_is_fetched(server, home):
    with pytest.raises(InputError) as caught:
        download_model(DownloadModelRequest(OFFICIAL), Lines())
    text = str(caught.value)
    for words in (
        "CC BY-NC 4.0",
        "https://creativecommons.org/licenses/by-nc/4.0/",
        "not for commercial use",
        "--accept-licence",
    ):
        assert words in text
    assert server.requests == []
    assert not home.exists()


def test_an_official_model_is_downloaded_once(server, home):
    assert "can be downloaded" in row_of(OFFICIAL)
    finished = download_model(DownloadModelRequest(OFFICIAL, accept_licence=True), Lines())
    assert finished.outputs == {"model": str(home / "models" / OFFICIAL)}
    assert finished.numbers == {"classes": 15}
    card = read_card(home / "models" / OFFICIAL)
    assert (card.title, card.licence.name) == ("Oriented R-CNN with LWGANet-L2, DOTA-1.0", "CC BY-NC 4.0")
    assert "installed" in row_of(OFFICIAL)
    assert sum(line.startswith(OFFICIAL) for line in list_models()) == 1
    hashes = json.loads((home / "models" / "downloads.json").read_text())
    assert hashes == {OFFICIAL_FILE: hashlib.sha256(server.content).hexdigest()}
    assert list((home / "models" / ".downloads").iterdir()) == []

    lines = Lines()
    again = download_model(DownloadModelRequest(OFFICIAL), lines)
    assert again.outputs == finished.outputs
    assert "installed already" in lines.lines[0]
    assert len(server.requests) == 1


def test_a_file_that_is_another_the_second_time_is_refused(server, home):
    download_model(DownloadModelRequest(OFFICIAL, accept_licence=True), Lines())
    remove_model(RemoveModelRequest(OFFICIAL), Lines())
    right = server.content
    server.content = right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(DownloadError, match=hashlib.sha256(right).hexdigest()):
        download_model(DownloadModelRequest(OFFICIAL, accept_licence=True), Lines())
    assert not (home / "models" / OFFICIAL).exists()
    assert list((home / "models" / ".downloads").iterdir()) == []
    server.content = right
    download_model(DownloadModelRequest(OFFICIAL, accept_licence=True), Lines())


def test_a_page_instead_of_the_file_is_not_remembered(server, home):
    right = server.content
    server.content = b"<html>Please log in to this network</html>"
    with pytest.raises(ModelError, match="no PyTorch checkpoint"):
        download_model(DownloadModelRequest(OFFICIAL, accept_licence=True), Lines())
    server.content = right
    download_model(DownloadModelRequest(OFFICIAL, accept_licence=True), Lines())


def test_cancelling_a_download_installs_nothing(server, home):
    with pytest.raises(Cancelled):
        download_model(DownloadModelRequest(OFFICIAL, accept_licence=True), ImpatientUser())
    (part,) = (home / "models" / ".downloads").iterdir()
    assert part.name.endswith(".part")
    assert "can be downloaded" in row_of(OFFICIAL)


def test_a_damaged_record_of_downloads_is_told(server, home):
    (home / "models").mkdir(parents=True)
    (home / "models" / "downloads.json").write_text("[")
    with pytest.raises(DownloadError, match=r"downloads\.json cannot be read"):
        download_model(DownloadModelRequest(OFFICIAL, accept_licence=True), Lines())


def test_an_unknown_official_model_is_refused_with_those_that_exist():
    with pytest.raises(ModelError, match="detect-dota10-l2, detect-dota15-l2"):
        download_model(DownloadModelRequest("detect-dota20-l2", accept_licence=True), Lines())


def test_removing_needs_a_model_of_ones_own(tmp_path, checkpoint):
    with pytest.raises(ModelError, match="yours are: none"):
        remove_model(RemoveModelRequest(OFFICIAL), Lines())


def test_the_list_has_columns(checkpoint, tmp_path):
    import_model(ImportModelRequest(str(checkpoint), "a-rather-long-name-for-a-model"), Lines())
    card, network = open_model("a-rather-long-name-for-a-model", "detect")
    save_model(replace(card, id="demo"), network.state_dict(), tmp_path / "embedded" / "demo")
    assert "embedded" in row_of("demo")
    assert "installed" in row_of("a-rather-long-name-for-a-model")
    lines = list(list_models())
    assert lines[0].split() == ["id", "task", "licence", "state", "title"]
    title = lines[0].index("title")
    assert len(lines) == 5
    assert all(line[title - 2 : title] == "  " and line[title] == "O" for line in lines[1:])


def test_all_facts_of_a_model_are_told(checkpoint, home):
    import_model(ImportModelRequest(str(checkpoint), "mine"), Lines())
    text = describe("mine")
    card = read_card(home / "models" / "mine")
    for fact in (
        "mine",
        card.title,
        "installed",
        "not for commercial use",
        "helicopter",
        "0.1 to 1 m per pixel, best at 0.3",
        "1024 px, overlap 200 px",
        "oriented_rcnn_l0",
        "123.675, 116.28, 103.53",
        "DOTA-1.0",
        card.weights_sha256,
    ):
        assert fact in text


def test_a_model_that_can_be_downloaded_is_described():
    text = describe("detect-dota15-l2")
    for fact in (
        "container-crane",
        "CC BY-NC 4.0",
        "can be downloaded",
        "https://github.com/lwCVer/LWGANet/releases/download/weights/ORCNN_LWGANet_L2_fpn_le90_dota15_ss_e30.pth",
    ):
        assert fact in text


def test_an_unknown_model_is_not_described():
    with pytest.raises(ModelError, match="'nothing'; known are detect-dota10-l2"):
        describe("nothing")
