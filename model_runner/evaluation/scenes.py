# SPDX-License-Identifier: GPL-2.0-or-later
"""Named scenes beside labelled ones: figures and pictures."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model_runner.contract.model_card import ModelCard
from model_runner.metrics.confusion import agreement, confusion_matrix
from model_runner.metrics.ranking import top_accuracy
from model_runner.reports.charts import bar_chart
from model_runner.reports.confusion import confusion_matrix_table
from model_runner.reports.examples import Example, Gallery, example_sections
from model_runner.reports.page import section, table
from model_runner.reports.pictures import scaled

NAMED = 3  # likeliest classes under a picture


class SceneTally:
    """Takes scene after scene and tells how often their kind was named.

    Args:
        card: of the model.
        gallery: takes the examples; worst are those whose class the model is surest not to see.
    """

    def __init__(self, card: ModelCard, gallery: Gallery) -> None:
        self._card = card
        self._gallery = gallery
        self._probabilities: list[Tensor] = []
        self._labels: list[int] = []

    def add(self, name: str, probabilities: Tensor, label: int, read: Callable[[], np.ndarray]) -> None:
        """Take a scene: probabilities (classes,), the labelled class, and what gives its pixels uint8 (h, w, 3)."""
        self._probabilities.append(probabilities)
        self._labels.append(label)
        is_wrong = int(probabilities.argmax()) != label
        badness = 1 - float(probabilities[label]) if is_wrong else 0.0
        self._gallery.offer(badness, lambda: scene_example(name, read(), probabilities, label, self._card.class_names))

    @property
    def confusion(self) -> Tensor:
        """Numbers of scenes, int64 (classes, classes), labelled classes in rows."""
        found = torch.stack(self._probabilities).argmax(1)
        return confusion_matrix(found, torch.tensor(self._labels), len(self._card.classes))

    def totals(self) -> dict[str, Any]:
        """The main figures."""
        scores, labels = torch.stack(self._probabilities), torch.tensor(self._labels)
        return {
            "images": len(labels),
            "top-1": top_accuracy(scores, labels, 1),
            "top-5": top_accuracy(scores, labels, 5),
            "kappa": agreement(self.confusion).kappa,
        }

    def sections(self) -> tuple[str, ...]:
        """What the report shows."""
        names, confusion = self._card.class_names, self.confusion
        figures = agreement(confusion)
        return (
            section(
                "By class",
                table(
                    ("class", "labelled scenes", "F1", "precision", "recall"),
                    zip(names, confusion.sum(1).tolist(), figures.f1, figures.precision, figures.recall, strict=True),
                ),
                bar_chart("F1 by class", dict(zip(names, figures.f1, strict=True))),
                note="Recall: share of the labelled scenes that were named so. Precision: share of those named so that "
                "are labelled so.",
            ),
            section("What is taken for what", confusion_matrix_table(names, confusion.tolist(), "scenes")),
            *example_sections(self._gallery),
        )


def scene_example(
    name: str, image: np.ndarray, probabilities: Tensor, label: int, class_names: tuple[str, ...]
) -> Example:
    """A scene with its labelled class and the likeliest ones."""
    likeliest = probabilities.topk(min(NAMED, len(class_names)))
    told = ", ".join(
        f"{class_names[number]} {value:.0%}"
        for number, value in zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
    )
    return Example(name, f"labelled {class_names[label]}; found {told}", (("scene", scaled(image)),))
