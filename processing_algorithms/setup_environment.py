# SPDX-License-Identifier: GPL-2.0-or-later
"""Creates the Python environment in which the model runner works."""

from __future__ import annotations

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
)

from ..lwganet_qgis import settings
from ..lwganet_qgis.environment_setup import Setup, SetupCancelled
from ..lwganet_qgis.follow import without_runner
from ..lwganet_qgis.runner_environment import EnvironmentProblem, is_outdated, runner_python
from ..model_runner.contract.errors import RunnerError
from .algorithm import Algorithm
from .parameter_reader import ParameterReader
from .parameters import advanced, explained

PYTORCH_BUILDS = ("auto", "cpu", "cuda")


class SetupEnvironment(Algorithm):
    """``lwganet:setupenvironment``."""

    NAME = "setupenvironment"
    DISPLAY_NAME = "Set up the environment"
    SUMMARY = "Creates the Python environment of the model runner, once; also checks and repairs it."
    TAGS = ("install", "python", "pytorch", "repair", "lwganet")
    GROUP = ("models", "Models and setup")

    def flags(self):
        return super().flags() | QgsProcessingAlgorithm.Flag.FlagHideFromModeler

    def initAlgorithm(self, configuration=None):
        self.addParameter(
            explained(
                QgsProcessingParameterBoolean("REPAIR", "Create it anew even if it works", defaultValue=False),
                "Otherwise an environment that works is only checked. The old one goes when the new one is ready; "
                "other algorithms wait meanwhile.",
            )
        )
        self.addParameter(
            explained(
                QgsProcessingParameterEnum(
                    "PYTORCH", "Build of PyTorch", list(PYTORCH_BUILDS), defaultValue="auto", usesStaticStrings=True
                ),
                "auto takes the build for NVIDIA GPUs where there is such a GPU (about 6 GB), otherwise that for "
                "the CPU (about 1.5 GB), which on a Mac also uses its GPU.",
            )
        )
        self.addParameter(
            advanced(
                explained(
                    QgsProcessingParameterFile("PYTHON", "Python to create it with", optional=True),
                    "A Python from 3.11 to 3.14. Empty: QGIS's own where it is new enough, otherwise one that is "
                    "installed.",
                )
            )
        )
        self.addOutput(QgsProcessingOutputString("RUNNER_PYTHON", "Python of the model runner"))

    def processAlgorithm(self, parameters, context, feedback):
        values = ParameterReader(self, parameters, context)
        setup = Setup(feedback.pushInfo, feedback.isCanceled, settings.proxy_variables())
        try:
            python = None if values.flag("REPAIR") else _existing_python()
            if python is not None:
                feedback.pushInfo(f"The model runner uses {python}.")
                setup.diagnose(python)
            else:
                with without_runner():
                    python = setup.create(values.choice("PYTORCH"), values.text("PYTHON"))
        except SetupCancelled as error:
            raise QgsProcessingException("Cancelled.") from error
        except RunnerError as error:
            raise QgsProcessingException(str(error)) from error
        return {"RUNNER_PYTHON": str(python)}


def _existing_python():
    """The Python of an environment that fits this version of the plugin, or None."""
    try:
        python = runner_python(settings.chosen_runner_python())
    except EnvironmentProblem:
        return None
    return None if is_outdated(python) else python
