# SPDX-License-Identifier: GPL-2.0-or-later
"""What all algorithms on the runner share: they read the form, hand a request over, follow it, deliver."""

from __future__ import annotations

from contextlib import contextmanager
from html import escape
from pathlib import Path
from textwrap import shorten
from typing import Any, Iterable, Iterator

from qgis.core import QgsProcessingAlgorithm, QgsProcessingException, QgsProcessingFeedback

from ..lwganet_qgis import settings
from ..lwganet_qgis.follow import follow
from ..lwganet_qgis.layers import keep_files, scratch_folder
from ..lwganet_qgis.runner_environment import runner_python
from ..model_runner.contract.errors import RunnerError
from ..model_runner.contract.folders import PLUGIN_ROOT
from ..model_runner.contract.messages import Finished
from ..model_runner.contract.model_card import ModelCard, find_cards
from .parameters import ParameterReader

HELP = PLUGIN_ROOT / "resources" / "help"
LONGEST_REASON = 400


class Algorithm(QgsProcessingAlgorithm):
    """An algorithm of this provider: names, icon and help.

    A child gives ``NAME``, ``DISPLAY_NAME``, ``SUMMARY`` (one sentence), ``TAGS`` and ``GROUP`` (id and name), and
    has its help in ``resources/help/NAME.html``.
    """

    NAME = DISPLAY_NAME = SUMMARY = ""
    TAGS: tuple[str, ...] = ()
    GROUP = ("", "")

    def createInstance(self):
        return type(self)()

    def name(self):
        return self.NAME

    def displayName(self):
        return self.DISPLAY_NAME

    def shortDescription(self):
        return self.SUMMARY

    def groupId(self):
        return self.GROUP[0]

    def group(self):
        return self.GROUP[1]

    def tags(self):
        return list(self.TAGS)

    def icon(self):
        return self.provider().icon()

    def svgIconPath(self):
        return self.provider().svgIconPath()

    def shortHelpString(self):
        text = (HELP / f"{self.NAME}.html").read_text(encoding="utf-8")
        return " ".join(text.split())  # QGIS would make each line a paragraph


class RunnerAlgorithm(Algorithm):
    """An algorithm that the runner computes.

    A child gives ``TASK`` and the methods ``prepare``, ``request`` and ``deliver``; ``{models}`` in its help becomes
    the list of the installed models.
    """

    TASK = ""

    def shortHelpString(self):
        return super().shortHelpString().replace("{models}", models_in_help(find_cards(self.TASK)))

    def prepare(self, values: ParameterReader) -> None:
        """Read what needs the main thread, and refuse by a ``RunnerError`` what can be refused before running."""

    def request(self, values: ParameterReader, folder: Path, feedback: QgsProcessingFeedback) -> Any:
        """The task's request; ``folder`` is for temporary files."""
        raise NotImplementedError

    def deliver(self, finished: Finished, values: ParameterReader) -> dict:
        """Bring the runner's files to where the user wants them, and return the results."""
        raise NotImplementedError

    def checkParameterValues(self, parameters, context):
        values = ParameterReader(self, parameters, context)
        try:
            values.refuse_damaged_rasters()
            fine, text = super().checkParameterValues(parameters, context)
            if not fine:
                return fine, text
            runner_python(settings.chosen_runner_python())
            self.prepare(values)
        except RunnerError as error:
            return False, str(error)
        return True, ""

    def prepareAlgorithm(self, parameters, context, feedback):
        try:
            self.prepare(ParameterReader(self, parameters, context))
        except RunnerError as error:
            raise QgsProcessingException(str(error)) from error
        return True

    def processAlgorithm(self, parameters, context, feedback):
        values = ParameterReader(self, parameters, context)
        try:
            with scratch_folder() as folder:
                finished = follow(self.TASK, self.request(values, folder, feedback), feedback)
                with _kept_on_failure(finished, folder):
                    return {**numbers_for_models(finished), **self.deliver(finished, values)}
        except RunnerError as error:
            raise QgsProcessingException(str(error)) from error


@contextmanager
def _kept_on_failure(finished: Finished, folder: Path) -> Iterator[None]:
    """Keep what was computed in ``folder`` if it cannot be delivered: it may have taken hours.

    Raises:
        QgsProcessingException: it could not; the text names the place.
    """
    try:
        yield
    except (RunnerError, QgsProcessingException, OSError) as error:
        computed = [path for path in finished.outputs.values() if Path(path).parent == folder and Path(path).is_file()]
        if not computed:
            raise
        reason = shorten(str(error), LONGEST_REASON, placeholder=" …").rstrip(".")
        try:
            kept = keep_files(computed) / Path(computed[0]).name
        except OSError as another:
            raise QgsProcessingException(f"{reason}. Nor can the result be kept elsewhere: {another}.") from error
        raise QgsProcessingException(f"{reason}. What was computed is kept in {kept}.") from error


def models_in_help(cards: Iterable[ModelCard]) -> str:
    """What one needs to know of models to fill in a form, as HTML."""
    lines = []
    for card in cards:
        best = f"; best at {card.resolution.best:g} m per pixel" if card.resolution else ""
        lines.append(f"<b>{card.id}</b> finds {escape(', '.join(card.class_names))}{best}.")
    return "<br>".join(lines) or "None."


def numbers_for_models(finished: Finished) -> dict:
    """The runner's numbers under names that expressions in a model can hold: ``COUNT_SMALL_VEHICLE``."""
    return {output_name(name): value for name, value in finished.numbers.items()}


def output_name(name: str) -> str:
    """A name in capital letters, digits and underscores."""
    return "".join(letter if letter.isalnum() else "_" for letter in name).upper()
