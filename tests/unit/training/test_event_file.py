# SPDX-License-Identifier: GPL-2.0-or-later
import struct

import pytest
import torch

from model_runner.errors import InputError
from model_runner.training.event_file import EventFile, record, scalar_event


def records(path):
    """The messages in a file, without the checksums."""
    content, place, found = path.read_bytes(), 0, []
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        found.append(content[place + 12 : place + 12 + length])
        place += length + 16
    return found


def test_a_record_is_that_of_tensorboards_own_encoders():
    written = (  # by tensorboardX 2.6.5 with protobuf 7.36.2
        "3a000000000000001295eae209000010c00b5ad64110ac022a2c0a100a09737465702f6c6f7373150000403f0a180a1165706f6368"
        "2f496f552053747261c39f6515000020c0827651af"
    )
    event = scalar_event(1_500_000_000.25, 300, {"step/loss": torch.tensor(0.75), "epoch/IoU Straße": -2.5})
    assert record(event).hex() == written


def test_a_file_tells_from_which_step_on_it_counts(tmp_path):
    events = EventFile(tmp_path, 5)
    events.write()
    events.add(5, {"step/loss": 1.0})
    events.add(6, {"step/loss": 0.5})
    events.write()
    version, start, *scalars = records(next(tmp_path.iterdir()))
    assert version.endswith(b"\x1a\x0dbrain.Event:2")
    assert start[9:] == bytes([0x10, 5, 0x3A, 2, 0x08, 1])  # the step, and a session that starts
    assert [message[10] for message in scalars] == [5, 6]


def test_a_disk_that_refuses_is_told_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"cannot be written: .*--resume"):
        EventFile(tmp_path / "nowhere", 1).write()
