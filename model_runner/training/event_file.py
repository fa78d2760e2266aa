# SPDX-License-Identifier: GPL-2.0-or-later
"""Curves for TensorBoard: its event files, of which scalars alone are written here.

A file is a row of records. Each has its length, a checksum of that, a message in the encoding of Protocol Buffers, and
a checksum of the message; a record that was cut off is left alone by TensorBoard.
"""

import struct
import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from model_runner.errors import InputError

VERSION = b"brain.Event:2"
WALL_TIME, STEP, FILE_VERSION, SUMMARY, SESSION = 1, 2, 3, 5, 7  # fields of an event
SESSION_STATUS, SESSION_STARTS = 1, 1
SUMMARY_VALUE, VALUE_TAG, VALUE_NUMBER = 1, 1, 2
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # kinds of fields
CASTAGNOLI = 0x82F63B78  # the polynomial of CRC-32C, its bits from low to high


class EventFile:
    """The scalars of a training from one step on; each start of a training has a file of its own.

    What is added lies in memory until ``write``, which a training does with each checkpoint: what comes after the last
    one is repeated by a resumed training, whose file tells TensorBoard to forget older values of its steps.

    Args:
        folder: of the log.
        first_step: that will be told of.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._path = folder / f"events.out.tfevents.{time.time():.6f}"
        version = _event(time.time(), 0, _field(FILE_VERSION, BYTES, VERSION))
        start = _field(SESSION, BYTES, _field(SESSION_STATUS, VARINT, SESSION_STARTS))
        self._unwritten = [record(version), record(_event(time.time(), first_step, start))]
        self._scalars: list[tuple[float, int, Mapping[str, float | Tensor]]] = []

    def add(self, step: int, scalars: Mapping[str, float | Tensor]) -> None:
        """Note values by name; tensors stay on their device until they are written."""
        self._scalars.append((time.time(), step, scalars))

    def write(self) -> None:
        """Append what was noted to the file.

        Raises:
            InputError: the disk is full or refuses.
        """
        self._unwritten += [record(scalar_event(*each)) for each in self._scalars]
        self._scalars = []
        try:
            with self._path.open("ab") as file:
                file.write(b"".join(self._unwritten))
        except OSError as error:
            raise InputError(
                f"{self._path} cannot be written: {error.strerror}. Make room on the disk and go on with --resume."
            ) from error
        self._unwritten = []


def scalar_event(seconds: float, step: int, scalars: Mapping[str, float | Tensor]) -> bytes:
    """The message that tells of some values at a step; ``seconds`` are those since 1970."""
    values = b"".join(
        _field(
            SUMMARY_VALUE,
            BYTES,
            _field(VALUE_TAG, BYTES, name.encode()) + _field(VALUE_NUMBER, FLOAT, float(value)),
        )
        for name, value in scalars.items()
    )
    return _event(seconds, step, _field(SUMMARY, BYTES, values))


def record(message: bytes) -> bytes:
    """A message as it stands in the file."""
    length = struct.pack("<Q", len(message))
    return length + _checksum(length) + message + _checksum(message)


def _event(seconds: float, step: int, what: bytes) -> bytes:
    return _field(WALL_TIME, DOUBLE, seconds) + (_field(STEP, VARINT, step) if step else b"") + what


def _field(number: int, kind: int, value: float | bytes) -> bytes:
    """A field of a message, with its key in front."""
    key = _varint(number << 3 | kind)
    if kind == VARINT:
        return key + _varint(value)
    if kind == BYTES:
        return key + _varint(len(value)) + value
    return key + struct.pack("<d" if kind == DOUBLE else "<f", value)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit of a byte tells that others follow."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _checksum(content: bytes) -> bytes:
    """The CRC-32C, turned by 15 bits and moved, so that checksums of checksums are none of zeros."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = CRC_OF_BYTES[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (CASTAGNOLI if byte & 1 else 0)
    return byte


CRC_OF_BYTES = tuple(map(_crc_of_byte, range(256)))
