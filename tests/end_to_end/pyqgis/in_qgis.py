# SPDX-License-Identifier: GPL-2.0-or-later
"""QGIS without a window, with Processing and the plugin: what the scripts of this folder begin with."""

import json
import os
import sys
from pathlib import Path

from qgis.core import QgsApplication, QgsProcessingFeedback

application = QgsApplication([], False)
application.initQgis()
sys.path += [os.path.join(application.pkgDataPath(), "python", "plugins"), os.environ["QGIS_PLUGINPATH"]]

import processing  # noqa: E402
from processing.core.Processing import Processing  # noqa: E402

from lwganet_qgis import classFactory  # noqa: E402

Processing.initialize()
plugin = classFactory(None)
plugin.initProcessing()


class WhenTilesCome(QgsProcessingFeedback):
    """Does something once, as soon as tiles are being computed."""

    def __init__(self, action):
        super().__init__()
        self._action = action
        self.done = False

    def setProgressText(self, text):
        if text.startswith("tiles") and not self.done:
            self.done = True
            self._action(self)


def detect(feedback=None, **parameters):
    """Detect objects as scripts do, and return the results."""
    return processing.run("lwganet:detectobjects", parameters, feedback=feedback)


def runner_pids():
    """The runners that this process has started and that still live."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if int(parent) == os.getpid() and b"model_runner" in command:
            pids.append(int(process.name))
    return pids


def tell(**facts):
    """Hand facts to the test, as the last line of standard output."""
    print(json.dumps(facts), flush=True)
