# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from model_runner.contract.errors import WireError
from model_runner.contract.messages import (
    Cancel,
    Failed,
    Finished,
    Hello,
    Log,
    Progress,
    Run,
    decode,
    encode,
)

EXAMPLES = [
    Hello(1, "0.1.0", 42),
    Run("a", "detect", {"source": {"path": "Grüße/日本.tif", "bands": [1, 2, 3]}}),
    Cancel("a"),
    Progress("a", "tiles", 3, 10, 1.5, 4.0),
    Log("a", "warning", "two\nlines"),
    Finished("a", {"detections": "x.gpkg"}, {"count": 3}),
    Failed("a", "input", "No such file."),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message):
    line = encode(message)
    assert line.endswith("\n")
    assert "\n" not in line[:-1]
    assert line.isascii()
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    ["", "junk", "[]", "{}", '{"type": "Nonsense"}', '{"type": "Cancel"}', '{"type": "Cancel", "job": "a", "x": 1}'],
)
def test_a_line_that_is_no_message_is_refused_with_the_line(line):
    with pytest.raises(WireError, match="Not a message of protocol 1"):
        decode(line)
