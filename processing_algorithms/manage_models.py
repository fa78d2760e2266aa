# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists, imports, downloads and removes models."""

from __future__ import annotations

import json
from pathlib import Path

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterString,
)

from ..lwganet_qgis.follow import follow
from ..model_runner.contract.errors import InputError
from ..model_runner.contract.folders import PLUGIN_ROOT
from ..model_runner.contract.model_card import CARD_FILE, WEIGHTS_FILE, ModelCard, find_cards
from ..model_runner.contract.task_requests import DownloadModelRequest, ImportModelRequest, RemoveModelRequest
from .algorithm import Algorithm
from .parameter_reader import ParameterReader
from .parameters import explained

LIST, IMPORT, DOWNLOAD, REMOVE = ACTIONS = ("list", "import", "download", "remove")
OFFICIAL_MODELS = PLUGIN_ROOT / "resources" / "official_models.json"


class ManageModels(Algorithm):
    """``lwganet:managemodels``."""

    NAME = "managemodels"
    DISPLAY_NAME = "Manage models"
    SUMMARY = "Lists the installed models; imports, downloads and removes them."
    TAGS = ("weights", "checkpoint", "download", "import", "lwganet")
    GROUP = ("models", "Models and setup")

    def flags(self):
        return super().flags() | QgsProcessingAlgorithm.Flag.FlagHideFromModeler

    def initAlgorithm(self, configuration=None):
        for parameter in (
            explained(
                QgsProcessingParameterEnum(
                    "ACTION", "Action", list(ACTIONS), defaultValue=LIST, usesStaticStrings=True
                ),
                "list shows the installed models and those to download; import takes a file; download fetches an "
                "official model; remove deletes a model that you imported or downloaded.",
            ),
            explained(
                QgsProcessingParameterString("MODEL", "Model", optional=True),
                "The id of the model to download or remove; for an import the id that it shall have (empty: from the "
                "file's name).",
            ),
            explained(
                QgsProcessingParameterFile("FILE", "File to import", optional=True),
                f"An official LWGANet checkpoint (.pth), or the {CARD_FILE} in the folder of a model that somebody has "
                "trained with this plugin.",
            ),
            explained(
                QgsProcessingParameterBoolean("ACCEPT_LICENCE", "I accept the licence", defaultValue=False),
                "Official models have licences of their own. A download without this shows the licence and stops.",
            ),
        ):
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputString("MODELS", "Ids of the installed models"))
        self.addOutput(QgsProcessingOutputNumber("COUNT", "Number of installed models"))

    def checkParameterValues(self, parameters, context):
        fine, text = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, text
        values = ParameterReader(self, parameters, context)
        action = values.choice("ACTION")
        needed = {IMPORT: "FILE", DOWNLOAD: "MODEL", REMOVE: "MODEL"}.get(action)
        try:
            if needed and not values.text(needed):
                choices = f"; what can be downloaded: {', '.join(_official_ids())}" if action == DOWNLOAD else ""
                return False, f"The action {action} needs {needed}{choices}."
        except InputError as error:
            return False, str(error)
        return True, ""

    def processAlgorithm(self, parameters, context, feedback):
        values = ParameterReader(self, parameters, context)
        action, model = values.choice("ACTION"), values.text("MODEL")
        if action == IMPORT:
            request = ImportModelRequest(_folder_if_model(values.text("FILE")), model)
        elif action == DOWNLOAD:
            request = DownloadModelRequest(model, values.flag("ACCEPT_LICENCE"))
        elif action == REMOVE:
            request = RemoveModelRequest(model)
        if action != LIST:
            follow(f"{action}-model", request, feedback, values.reword)
        cards = find_cards()
        for card in cards:
            feedback.pushInfo(one_line(card))
        to_download = sorted(set(_official_ids()) - {card.id for card in cards})
        if action == LIST and to_download:
            feedback.pushInfo(f"What can be downloaded: {', '.join(to_download)}")
        return {"MODELS": ",".join(card.id for card in cards), "COUNT": len(cards)}


def _official_ids() -> list[str]:
    return [each["id"] for each in json.loads(OFFICIAL_MODELS.read_text(encoding="utf-8"))]


def _folder_if_model(path: str) -> str:
    """The folder of a model of which a file is chosen, as forms choose no folders and files alike; else the file."""
    return str(Path(path).parent) if Path(path).name in (CARD_FILE, WEIGHTS_FILE) else path


def one_line(card: ModelCard) -> str:
    """What a user wants to know of a model first."""
    use = "" if card.licence.commercial_use else ", not for commercial use"
    return f"{card.id}: {card.title} ({card.task}; {', '.join(card.class_names)}; {card.licence.name}{use})"
