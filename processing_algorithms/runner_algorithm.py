# SPDX-License-Identifier: GPL-2.0-or-later
"""What all algorithms on the runner share: they read the form, hand a request over, follow it, deliver."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from html import escape
from pathlib import Path
from textwrap import shorten
from typing import Any, Iterable, Iterator, Optional

from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsProcessingOutputNumber

from ..lwganet_qgis import settings
from ..lwganet_qgis.follow import follow
from ..lwganet_qgis.layers import keep_files, scratch_folder
from ..lwganet_qgis.runner_environment import runner_python
from ..model_runner.contract.errors import RunnerError
from ..model_runner.contract.messages import Finished
from ..model_runner.contract.model_card import ModelCard, find_cards
from .algorithm import Algorithm
from .parameter_reader import ParameterReader
from .results import Results

LONGEST_REASON = 400


class RunnerAlgorithm(Algorithm):
    """An algorithm that the runner computes.

    A child gives ``TASK`` and the methods ``prepare``, ``request`` and ``deliver``; ``{models}`` in its help becomes
    the list of the installed models. Its run may take ``CANCEL_SECONDS`` to stop (None: as long as others), and may
    go on in used folders that ``FOLDERS_TO_GO_ON_IN`` names.
    """

    TASK = ""
    CANCEL_SECONDS: Optional[float] = None
    FOLDERS_TO_GO_ON_IN: tuple[str, ...] = ()

    def shortHelpString(self):
        return super().shortHelpString().replace("{models}", models_in_help(find_cards(self.TASK)))

    def add_numbers(self, **labels: str) -> None:
        """Declare numbers that models can use, each with its label."""
        for name, label in labels.items():
            self.addOutput(QgsProcessingOutputNumber(name, label))

    def add_numbers_by_class(self, prefix: str, label: str) -> None:
        """Declare a number for each class of the models that are installed: ``COUNT_SHIP``."""
        names = dict.fromkeys(name for card in find_cards(self.TASK) for name in card.class_names)
        self.add_numbers(**{output_name(f"{prefix}_{name}"): f"{label}: {name}" for name in names})

    def prepare(self, values: ParameterReader) -> None:
        """Read what needs the main thread, and refuse by a ``RunnerError`` what can be refused before running."""

    def request(self, values: ParameterReader, results: Results, folder: Path, feedback: QgsProcessingFeedback) -> Any:
        """The task's request; ``folder`` is for temporary files."""
        raise NotImplementedError

    def deliver(self, finished: Finished, results: Results) -> dict:
        """Bring the runner's files to where the user wants them, and return the results."""
        raise NotImplementedError

    def what_is_left(self, request: Any) -> str:
        """What a cancelled run has left, in words; nothing unless a child says otherwise, and shows a page of it."""
        return ""

    def checkParameterValues(self, parameters, context):
        values = ParameterReader(self, parameters, context)
        try:
            values.refuse_unreadable_rasters()
            fine, text = super().checkParameterValues(parameters, context)
            if not fine:
                return fine, text
            runner_python(settings.chosen_runner_python())
            self._refuse_and_prepare(values, Results(self, parameters, context))
        except RunnerError as error:
            return False, values.reword(str(error))
        return True, ""

    def prepareAlgorithm(self, parameters, context, feedback):
        values = ParameterReader(self, parameters, context)
        try:
            self._refuse_and_prepare(values, Results(self, parameters, context))
        except RunnerError as error:
            raise QgsProcessingException(values.reword(str(error))) from error
        return True

    def _refuse_and_prepare(self, values, results):
        results.refuse_bad_places(self.FOLDERS_TO_GO_ON_IN)
        self.prepare(values)

    def processAlgorithm(self, parameters, context, feedback):
        values, results = ParameterReader(self, parameters, context), Results(self, parameters, context)
        try:
            with scratch_folder() as folder:
                request = self.request(values, results, folder, feedback)
                what_is_left = partial(self.what_is_left, request)
                finished = follow(self.TASK, request, feedback, values.reword, self.CANCEL_SECONDS, what_is_left)
                with _kept_on_failure(finished, folder):
                    return {**numbers_for_models(finished), **self.deliver(finished, results)}
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
        lines.append(f"<b>{card.id}</b> knows {escape(', '.join(card.class_names))}{best}.")
    return "<br>".join(lines) or "None."


def numbers_for_models(finished: Finished) -> dict:
    """The runner's numbers under names that expressions in a model can hold: ``COUNT_SMALL_VEHICLE``."""
    return {output_name(name): value for name, value in finished.numbers.items()}


def output_name(name: str) -> str:
    """A name in capital letters, digits and single underscores."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in name).split()).upper()
