# SPDX-License-Identifier: GPL-2.0-or-later
"""Put a result into place in one go: it is there, whole, or it is not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from uuid import uuid4

from model_runner.contract.renaming import put_in_place
from model_runner.errors import InputError, RunnerError
from model_runner.raster.polygon_files import layer_name, layers_of

SIDECARS = ("-wal", "-shm", "-journal", ".aux.xml", ".ovr", ".msk")  # what SQLite and GDAL lay beside a file
GEOPACKAGE = ".gpkg"
KEPT_SIDECAR = ".aux.xml"  # in which GDAL keeps what a format has no place for


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which takes the place of ``path`` when the block ends well.

    After an exception nothing is left of it, and a former file at ``path`` is as it was. Where another program holds
    that one, as Windows lets them, the result lies beside it under another name, which the error tells. Sidecars that
    a former file leaves (a journal would be played into the new file) are removed with it. GDAL's ``.aux.xml``, where
    there is one beside the temporary path, goes along.

    Raises:
        InputError: the folder is missing or not writable, or the file there cannot be replaced.
    """
    target = Path(path)
    refuse_unwritable(target)
    unfinished = target.with_name(f".{target.stem}.{uuid4().hex[:12]}{target.suffix}")
    try:
        yield unfinished
        try:
            if target.exists():
                put_in_place(target, target)  # refused where it is held: its sidecars remain then
            _remove(_sidecars(target))
            _rename(unfinished, target)
        except PermissionError as error:
            kept = _free_name(target)
            with suppress(OSError):
                _rename(unfinished, kept)
            where = f"The result is in {kept}." if kept.exists() else ""
            raise InputError(f"{_held(target)} {where}".rstrip()) from error
    finally:
        _remove([unfinished, *_sidecars(unfinished)])


def refuse_unwritable(path: str | os.PathLike) -> None:
    """Say before hours of work that a result could not be put there.

    Raises:
        InputError: the folder is missing or not writable, there is a folder of that name, or the file there cannot be
            replaced or holds layers of others.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise InputError(f"{target} cannot be written: there is no folder {target.parent}.")
    if target.is_dir():
        raise InputError(f"{target} cannot be written: it is a folder; name a file.")
    _refuse_unwritable_folder(target)
    _refuse_held(target)
    _refuse_losing_layers(target)


@contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder, whose content is in the folder ``path`` when the block ends well.

    It lies beside ``path`` or, if that is there and empty, in it: it may be a disk of its own. After an exception
    nothing is left of it.

    Raises:
        InputError: see ``refuse_used_folder``; or what belongs in the folder cannot be written.
    """
    target = Path(path).absolute()
    refuse_used_folder(target)
    parent, name = (target, "") if target.is_dir() else (target.parent, target.name)
    unfinished = parent / f".{name}.{uuid4().hex[:12]}"
    try:
        unfinished.mkdir()
        yield unfinished
        if parent == target:
            _refuse_content(target, besides=unfinished)
            for each in unfinished.iterdir():
                put_in_place(each, target / each.name)
        else:
            refuse_used_folder(target)
            put_in_place(unfinished, target)
    except RunnerError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def refuse_used_folder(path: str | os.PathLike) -> None:
    """Say before hours of work that a folder could not be put there.

    Raises:
        InputError: there is a file of that name or a folder with something in it, or it, or the folder around it, is
            missing or not writable.
    """
    target = Path(path).absolute()
    if target.exists() and not target.is_dir():
        raise InputError(f"{path} is a file; name a folder that is new or empty.")
    if target.is_dir():
        _refuse_content(target)
        _refuse_unwritable_folder(target / "any")
        return
    if not target.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {target.parent}.")
    _refuse_unwritable_folder(target)


def _refuse_content(folder: Path, besides: Path | None = None) -> None:
    if any(each != besides for each in folder.iterdir()):
        raise InputError(f"The folder {folder} is not empty; name one that is new or empty.")


def _refuse_unwritable_folder(target: Path) -> None:
    """Put an empty file beside ``target`` for a moment: permissions alone say little on Windows and file servers."""
    probe = target.with_name(f".{uuid4().hex[:12]}")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise InputError(f"{target} cannot be written: the folder {target.parent} is not writable.") from error


def _refuse_held(target: Path) -> None:
    """Give a file its own name: Windows refuses while another program, such as QGIS with its layer, holds it."""
    try:
        os.replace(target, target)
    except FileNotFoundError:
        return
    except PermissionError as error:
        raise InputError(_held(target)) from error


def _refuse_losing_layers(target: Path) -> None:
    """Results replace a file as a whole: other layers in a GeoPackage would go with it."""
    if target.suffix.lower() == GEOPACKAGE and target.is_file():
        others = [name for name in layers_of(target) if name != layer_name(target.stem)]
        if others:
            raise InputError(f"{target} holds the layers {', '.join(others)}, which would be lost; name another file.")


def _rename(unfinished: Path, target: Path) -> None:
    """Give a file, and what GDAL keeps beside it, the name of another."""
    put_in_place(unfinished, target)
    sidecar = unfinished.with_name(unfinished.name + KEPT_SIDECAR)
    if sidecar.exists():
        put_in_place(sidecar, target.with_name(target.name + KEPT_SIDECAR))


def _free_name(target: Path) -> Path:
    """A name like that of a file, with a number, that no file has."""
    names = (target.with_name(f"{target.stem}-{number}{target.suffix}") for number in count(2))
    return next(name for name in names if not name.exists())


def _held(target: Path) -> str:
    return f"{target} cannot be replaced; close it in other programs first, or remove its layer in QGIS."


def _sidecars(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in SIDECARS]


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
