# SPDX-License-Identifier: GPL-2.0-or-later
import errno
import os
import re
from pathlib import Path

import geopandas
import pytest
import shapely

from model_runner.errors import InputError
from model_runner.raster.writer import SIDECARS, atomic, new_folder, refuse_unwritable


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


@pytest.mark.parametrize("ending", [".ovr", ".msk"])
def test_pyramids_and_masks_of_a_former_file_go_with_it(tmp_path, ending):
    (tmp_path / "result.tif").write_text("former")
    (tmp_path / f"result.tif{ending}").write_text("of the former")
    with atomic(tmp_path / "result.tif") as unfinished:
        unfinished.write_text("new")
    assert os.listdir(tmp_path) == ["result.tif"]


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


@pytest.fixture
def hold(monkeypatch):
    """Have a file held by another program, as on Windows."""
    held = set()
    replace = os.replace

    def replace_unless_held(source, target):
        if {Path(source), Path(target)} & held:
            raise PermissionError(13, "held", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_unless_held)
    return held.add


def test_a_file_that_another_program_holds_is_told_before_the_work(tmp_path, hold):
    path = tmp_path / "a.tif"
    path.write_text("old")
    refuse_unwritable(path)
    hold(path)
    with pytest.raises(InputError, match="close it in other programs"):
        refuse_unwritable(path)
    with pytest.raises(InputError, match="close it in other programs"), atomic(path):
        pytest.fail("the work was begun")
    assert path.read_text() == "old"


def test_a_file_that_another_program_opens_during_the_work_stays_with_all_that_is_beside_it(tmp_path, hold):
    path, sidecar = tmp_path / "a.tif", tmp_path / "a.tif.aux.xml"
    path.write_text("old")
    sidecar.write_text("old")
    writing = atomic(path)
    writing.__enter__().write_text("new")
    hold(path)
    (tmp_path / "a-2.tif").write_text("another")
    with pytest.raises(InputError, match=r"close it in other programs.* The result is in .*a-3\.tif\.$"):
        writing.__exit__(None, None, None)
    assert (path.read_text(), sidecar.read_text()) == ("old", "old")
    assert (tmp_path / "a-3.tif").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["a-2.tif", "a-3.tif", "a.tif", "a.tif.aux.xml"]


def test_what_lies_beside_a_file_may_be_held_too(tmp_path, hold):
    path, sidecar = tmp_path / "a.tif", tmp_path / "a.tif.aux.xml"
    writing = atomic(path)
    unfinished = writing.__enter__()
    unfinished.write_text("new")
    unfinished.with_name(f"{unfinished.name}.aux.xml").write_text("new")
    hold(sidecar)
    with pytest.raises(InputError, match="close it in other programs"):
        writing.__exit__(None, None, None)
    assert os.listdir(tmp_path) == ["a.tif"]


def test_a_folder_that_is_there_stays_itself_and_is_filled_in_one_go(tmp_path):
    target = tmp_path / "report"
    target.mkdir()
    number = target.stat().st_ino
    with new_folder(target) as unfinished:
        assert unfinished.parent == target  # it may be a disk of its own
        (unfinished / "a.txt").write_text("a")
        (unfinished / "b").mkdir()
    assert sorted(os.listdir(target)) == ["a.txt", "b"]
    assert target.stat().st_ino == number
    assert os.listdir(tmp_path) == ["report"]
    with pytest.raises(InputError, match=r"report is not empty; name one that is new or empty\.$"), new_folder(target):
        pass


@pytest.mark.parametrize("is_there", [True, False])
def test_an_exception_leaves_no_part_of_a_folder(tmp_path, is_there):
    target = tmp_path / "report"
    if is_there:
        target.mkdir()

    def fail():
        with new_folder(target) as unfinished:
            (unfinished / "a.txt").write_text("a")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=f"report cannot be written: {os.strerror(errno.ENOSPC)}"):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["report"] * is_there


def test_what_came_into_a_folder_meanwhile_stays(tmp_path):
    def write():
        with new_folder(tmp_path) as unfinished:
            (unfinished / "a.txt").write_text("ours")
            (tmp_path / "a.txt").write_text("theirs")

    with pytest.raises(InputError, match="not empty"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "theirs"


def test_layers_of_others_in_a_geopackage_are_not_lost(tmp_path):
    path = tmp_path / "town.gpkg"
    frame = geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    for layer in ("town", "parcels"):
        frame.to_file(path, layer=layer)
    message = re.escape(f"{path} holds the layers parcels, which would be lost; name another file.")
    with pytest.raises(InputError, match=message), atomic(path):
        pass
    with pytest.raises(InputError, match=message):
        refuse_unwritable(str(path))
    frame.to_file(tmp_path / "roads.gpkg", layer="roads")
    with atomic(tmp_path / "roads.gpkg") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "roads.gpkg").read_text() == "new"
