# SPDX-License-Identifier: GPL-2.0-or-later
"""The official models that can be downloaded: where they lie, under which licence, and what they were like before."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model_runner.contract.folders import PLUGIN_ROOT, user_models_folder
from model_runner.contract.model_card import Licence, ModelClass
from model_runner.errors import DownloadError
from model_runner.model_store.download import download
from model_runner.model_store.official_checkpoints import read_classes
from model_runner.report import Report

RELEASES_VARIABLE = "LWGANET_RELEASES"
"""Environment variable with another base address of the files, for mirrors and tests."""


@dataclass(frozen=True)
class OfficialModel:
    """A model whose checkpoint its authors publish; ``file`` is the file's name at ``address``."""

    id: str
    title: str
    task: str
    file: str
    address: str
    licence: Licence
    classes: tuple[ModelClass, ...]


def official_models() -> dict[str, OfficialModel]:
    """The models of ``resources/official_models.json`` by id."""
    text = (PLUGIN_ROOT / "resources" / "official_models.json").read_text(encoding="utf-8")
    return {each["id"]: _official_model(each) for each in json.loads(text)}


def _official_model(plain: dict) -> OfficialModel:
    base = os.environ.get(RELEASES_VARIABLE)
    return OfficialModel(
        plain["id"],
        plain["title"],
        plain["task"],
        plain["file"],
        f"{base.rstrip('/')}/{plain['file']}" if base else plain["address"],
        Licence(**plain["licence"]),
        read_classes(plain["classes_file"], plain["class_count"]),
    )


@contextmanager
def downloaded_checkpoint(model: OfficialModel, report: Report) -> Iterator[Path]:
    """A model's checkpoint, fetched for the length of a ``with`` block and removed after it.

    The authors publish no hashes: when the block ends well, that of the first download is recorded, and the files of
    later downloads must have the same.

    Raises:
        DownloadError: as ``download``; or the record cannot be read or written.
        Cancelled: the user asked to stop.
    """
    target = user_models_folder() / ".downloads" / model.file
    hashes = _recorded_hashes()
    found = download(model.address, target, report, hashes.get(model.file))
    try:
        yield target
        _record({**hashes, model.file: found})
    finally:
        target.unlink(missing_ok=True)


def _record_file() -> Path:
    return user_models_folder() / "downloads.json"


def _recorded_hashes() -> dict[str, str]:
    """The SHA-256 of the files that were downloaded before, by the file's name."""
    path = _record_file()
    try:
        return {str(file): str(sha256) for file, sha256 in json.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise DownloadError(f"The record of downloads {path} cannot be read: {error}; remove it.") from error


def _record(hashes: dict[str, str]) -> None:
    path = _record_file()
    unfinished = path.with_suffix(".json.unfinished")
    try:
        unfinished.write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise DownloadError(f"The record of downloads {path} cannot be written: {error}.") from error
