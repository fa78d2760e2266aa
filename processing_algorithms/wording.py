# SPDX-License-Identifier: GPL-2.0-or-later
"""What the runner says, in the words of the form."""

from __future__ import annotations

import re

from qgis.core import QgsProcessingAlgorithm

SWITCH = re.compile(r"(?<!\S)--([a-z]+(?:-[a-z]+)*)")


class Wording:
    """Makes what users of QGIS see of what users of the command line see: labels of switches, layers of files.

    A parameter of the form has the name of the switch in capital letters; what the form does not have stays a switch.
    """

    def __init__(self, algorithm: QgsProcessingAlgorithm) -> None:
        self._algorithm = algorithm
        self._layers: dict[str, str] = {}

    def note_file(self, path: str, layer: str) -> None:
        """Call a file that was made of a layer by the layer's name."""
        self._layers[path] = layer

    def reword(self, text: str) -> str:
        """The text in the words of the form."""
        for path, layer in self._layers.items():
            text = text.replace(path, f"'{layer}'")
        return SWITCH.sub(self._label, text)

    def _label(self, switch: re.Match) -> str:
        definition = self._algorithm.parameterDefinition(switch[1].replace("-", "_").upper())
        return switch[0] if definition is None else f"'{definition.description().partition(' (')[0]}'"
