# SPDX-License-Identifier: GPL-2.0-or-later
import os

import pytest

from model_runner.tasks.training_report import fingerprint


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
def test_the_fingerprint_is_of_what_linked_folders_hold_too(tmp_path):
    for split in ("train", "val"):
        (tmp_path / "data" / split).mkdir(parents=True)
        (tmp_path / "data" / split / "a.png").write_bytes(split.encode())
    (tmp_path / "linked").mkdir()
    for split in ("train", "val"):
        (tmp_path / "linked" / split).symlink_to(tmp_path / "data" / split)
    plain, linked = (fingerprint(tmp_path / name, tmp_path / "out") for name in ("data", "linked"))
    assert plain == linked
    (tmp_path / "data" / "val" / "a.png").write_bytes(b"other")
    assert fingerprint(tmp_path / "linked", tmp_path / "out") != linked
    (tmp_path / "data" / "train" / "around").symlink_to(tmp_path / "data")
    assert fingerprint(tmp_path / "data", tmp_path / "out")  # a way around has an end
