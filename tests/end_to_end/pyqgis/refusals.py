# SPDX-License-Identifier: GPL-2.0-or-later
"""Run algorithms with wrong parameters, and tell what they say."""

import json
import sys

from in_qgis import processing, tell
from qgis.core import QgsProcessingException

said = []
for algorithm, parameters in json.loads(sys.argv[1]):
    try:
        processing.run(algorithm, parameters)
    except QgsProcessingException as exception:
        said.append(str(exception))
    else:
        said.append("nothing")
tell(said=said)
