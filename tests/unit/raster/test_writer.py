# SPDX-License-Identifier: GPL-2.0-or-later
import os
from pathlib import Path

import pytest

from model_runner.errors import InputError
from model_runner.raster.writer import SIDECARS, atomic, new_folder


def test_the_file_appears_at_the_end_and_nothing_else_stays(tmp_path):
    target = tmp_path / "result.gpkg"
    with atomic(target) as unfinished:
        assert unfinished.parent == tmp_path
        assert unfinished.suffix == ".gpkg"
        assert unfinished.name.startswith(".")
        unfinished.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["result.gpkg"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_former_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "result.gpkg"
    target.write_text("former")

    def fail():
        with atomic(str(target)) as unfinished:
            unfinished.write_text("half")
            for ending in SIDECARS:
                unfinished.with_name(unfinished.name + ending).write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "former"
    assert os.listdir(tmp_path) == ["result.gpkg"]


def test_the_journal_of_a_former_file_is_not_played_into_the_new_one(tmp_path):
    (tmp_path / "result.gpkg").write_text("former")
    (tmp_path / "result.gpkg-wal").write_text("journal of the former")
    with atomic(tmp_path / "result.gpkg") as unfinished:
        unfinished.write_text("new")
    assert os.listdir(tmp_path) == ["result.gpkg"]


def test_what_gdal_lays_beside_a_file_goes_along(tmp_path):
    (tmp_path / "result.tif.aux.xml").write_text("of the former")
    with atomic(tmp_path / "result.tif") as unfinished:
        unfinished.write_text("new")
        unfinished.with_name(unfinished.name + ".aux.xml").write_text("of the new")
    assert (tmp_path / "result.tif.aux.xml").read_text() == "of the new"
    assert sorted(os.listdir(tmp_path)) == ["result.tif", "result.tif.aux.xml"]


def test_two_writers_do_not_meet(tmp_path):
    with atomic(tmp_path / "a.tif") as first, atomic(tmp_path / "a.tif") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "a.tif").read_text() == "1"


def test_a_missing_folder_is_an_error_of_one_line(tmp_path):
    with pytest.raises(InputError, match="there is no folder") as refusal, atomic(tmp_path / "no" / "a.tif"):
        pass
    assert "\n" not in str(refusal.value)


def test_a_folder_cannot_be_written_as_a_file(tmp_path):
    with pytest.raises(InputError, match="it is a folder"), atomic(tmp_path):
        pass


@pytest.mark.parametrize("writing", [atomic, new_folder])
def test_a_folder_that_takes_no_file_is_an_error_whatever_its_permissions_say(tmp_path, monkeypatch, writing):
    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(InputError, match="not writable"), writing(tmp_path / "a.tif"):
        pass


def test_a_file_that_is_held_by_another_program_is_an_error(tmp_path, monkeypatch):
    def held(source, target):
        raise PermissionError(13, "held", str(target))

    monkeypatch.setattr(os, "replace", held)
    with pytest.raises(InputError, match="close it in other programs"), atomic(tmp_path / "a.tif") as unfinished:
        unfinished.write_text("new")
    assert os.listdir(tmp_path) == []
