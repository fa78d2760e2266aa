# SPDX-License-Identifier: GPL-2.0-or-later
"""The script that runs QGIS with this checkout."""

import os
import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "with_qgis.sh"


def test_a_checkout_that_was_moved_or_copied_is_its_own_plugin(tmp_path):
    script = tmp_path / "a copy" / "scripts" / SCRIPT.name
    link = tmp_path / "a copy" / "build" / "qgis-home" / "plugins" / "lwganet_qgis"
    script.parent.mkdir(parents=True)
    link.parent.mkdir(parents=True)
    shutil.copy(SCRIPT, script)
    for place_of_old in (tmp_path, tmp_path / "gone"):
        link.unlink(missing_ok=True)
        link.symlink_to(place_of_old)
        assert subprocess.run([script, "true"], check=False).returncode == 0
        assert os.readlink(link) == str(tmp_path / "a copy")
