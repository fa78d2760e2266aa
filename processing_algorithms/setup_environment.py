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
from ..lwganet_qgis.runner_environment import (
    PYTHON_VARIABLE,
    EnvironmentProblem,
    is_outdated,
    named_python,
    python_in,
)
from ..model_runner.contract.errors import RunnerError
from ..model_runner.contract.folders import environment_folder
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
                "Otherwise this is done only if there is none that works. The old one goes when the new one is ready; "
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
            named = named_python(settings.chosen_runner_python())
            python = None if values.flag("REPAIR") else _working_python(named, setup, feedback)
            if python is None:
                with without_runner():
                    python = setup.create(values.choice("PYTORCH"), values.text("PYTHON"))
                if named is not None:
                    feedback.pushWarning(f"Used is {named}, which the options or the variable {PYTHON_VARIABLE} name.")
        except SetupCancelled as error:
            raise QgsProcessingException("Cancelled.") from error
        except RunnerError as error:
            raise QgsProcessingException(str(error)) from error
        return {"RUNNER_PYTHON": str(python)}


def _working_python(named, setup, feedback):
    """The Python that the user names, or that of the plugin's environment if it fits this version and works, or None.

    Raises:
        EnvironmentProblem: the one that the user names does not work.
    """
    python = named or python_in(environment_folder())
    if not python.is_file() or is_outdated(python):
        return None
    feedback.pushInfo(f"The model runner uses {python}.")
    try:
        setup.diagnose(python)
    except EnvironmentProblem as error:
        if named is not None:
            raise EnvironmentProblem(
                f"{error} It is the Python that the options, or the variable {PYTHON_VARIABLE}, name: mend it, or name "
                "none to have an environment made."
            ) from error
        feedback.pushWarning(f"It does not work ({error}) and is made anew.")
        return None
    return python
