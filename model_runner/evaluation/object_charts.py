# SPDX-License-Identifier: GPL-2.0-or-later
"""Precision, recall and F1 of detected objects as curves."""

from collections.abc import Mapping
from math import isnan

from model_runner.metrics.detection import Curve
from model_runner.reports.charts import COLOURS, Mark, Series, in_groups, line_chart, svg

UNIT = (0.0, 1.0)
GREY = "#8a949e"  # of all objects, where each class or size has a colour


def parts_charts(whole_name: str, whole: Curve, parts: Mapping[str, Curve]) -> tuple[str, ...]:
    """Precision over recall and F1 over the threshold of each part, eight on a chart, and everywhere of the whole.

    Args:
        whole_name: such as "all classes".
        whole: of all objects; its best threshold is marked.
        parts: of each class, or of each size; those without detections are left out, and a single one is the whole.
    """
    if len(parts) == 1:
        (name,) = parts
        return _pair("", {name: whole}, {name: COLOURS[0]}, whole)
    known = {name: curve for name, curve in parts.items() if len(curve.scores)}
    return tuple(
        chart
        for ending, group in in_groups(known)
        for chart in _pair(
            ending,
            {**group, whole_name: whole},
            {**dict(zip(group, COLOURS, strict=False)), whole_name: GREY},
            whole,
        )
    )


def threshold_chart(title: str, whole: Curve) -> str:
    """Precision, recall and F1 over the threshold, the best one marked."""
    curves = {"precision": whole.precision, "recall": whole.recall, "F1": whole.f1}
    series = [
        Series(name, whole.scores.tolist(), values.tolist(), colour, name == "F1")
        for (name, values), colour in zip(curves.items(), COLOURS, strict=False)
    ]
    return svg(line_chart(title, series, "smallest score", "", UNIT, UNIT, _marks(whole)[1]))


def _pair(ending: str, curves: Mapping[str, Curve], colours: Mapping[str, str], whole: Curve) -> tuple[str, str]:
    by_recall = [
        Series(name, curve.recall.tolist(), curve.precision.tolist(), colours[name], curve is whole)
        for name, curve in curves.items()
    ]
    by_score = [
        Series(name, curve.scores.tolist(), curve.f1.tolist(), colours[name], curve is whole)
        for name, curve in curves.items()
    ]
    on_recall, on_score = _marks(whole)
    return (
        svg(line_chart(f"Precision over recall{ending}", by_recall, "recall", "precision", UNIT, UNIT, on_recall)),
        svg(line_chart(f"F1 over the threshold{ending}", by_score, "smallest score", "F1", UNIT, UNIT, on_score)),
    )


def _marks(whole: Curve) -> tuple[Mark, Mark]:
    """The best threshold on precision over recall, and on F1 over the threshold."""
    best = whole.best_threshold()
    precision, recall, f1 = (best,) * 3 if isnan(best) else whole.at(best)
    told = f"best: {best:.2f}"
    return Mark(recall, precision, told), Mark(best, f1, told)
