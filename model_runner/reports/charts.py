# SPDX-License-Identifier: GPL-2.0-or-later
"""Curves, bars and histograms, as figures with inline SVG; curves also as what is drawn on an image."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Any, NamedTuple

import numpy as np

from model_runner.reports.shapes import Dot, Label, Line, Shape

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 70, 14, 10, 40
MOST_POINTS = 240  # of a curve
TICKS = 5
BINS = 24  # bars of a histogram
# Okabe and Ito's colours, which those who are colour-blind tell apart; legible on white and on black
COLOURS = ("#0a8fcf", "#e06c00", "#009e73", "#cc6699", "#b8960c", "#56b4e9", "#d04a35", "#7f7f7f")


class Series(NamedTuple):
    """A curve: its name, its points in rising or falling order of x, its colour, and whether it stands out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    bold: bool = False


class Mark(NamedTuple):
    """A point that is named."""

    x: float
    y: float
    text: str


class Chart(NamedTuple):
    """What is drawn under a title, in ``WIDTH`` and ``HEIGHT``, and the names of its colours; maybe nothing."""

    title: str
    shapes: tuple[Shape, ...] = ()
    names: Mapping[str, str] = {}


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    mark: Mark | None = None,
) -> Chart:
    """Curves over one another; points that are not finite are left out, and nothing is drawn where there are none.

    Args:
        title: plain text.
        series: the curves; bold ones are drawn last.
        x_label: what is counted to the right.
        y_label: what is counted upwards.
        x_range: from and to; None is as far as the points reach.
        y_range: the same.
        mark: a point of them.
    """
    thinned = [(each, _thinned(each)) for each in sorted(series, key=lambda each: each.bold)]
    curves = [(each, kept) for each, kept in thinned if kept]
    points = [point for _, each in curves for point in each]
    if not points:
        return Chart(title)
    x_span = x_range or _reach([x for x, _ in points])
    y_span = y_range or _reach([y for _, y in points])
    place = partial(_place, x_span, y_span)
    whole = x_range is None and all(x.is_integer() for x, _ in points)
    drawn = [*_grid(place, x_span, y_span, whole), *_names(x_label, y_label)]
    for each, kept in curves:
        width = 2.6 if each.bold else 1.5
        if len(kept) == 1:
            drawn.append(Dot(*place(*kept[0]), width + 1, each.colour))
        drawn.append(Line([place(*point) for point in kept], each.colour, width))
    if mark is not None and isfinite(mark.x) and isfinite(mark.y):
        x, y = place(mark.x, mark.y)
        anchor, shift = ("end", -8) if x > WIDTH / 2 else ("start", 8)
        drawn += [Dot(x, y, 4, "axis", filled=False), Label(x + shift, max(y - 8, TOP + 10), mark.text, anchor)]
    return Chart(title, tuple(drawn), {each.name: each.colour for each in series} if len(series) > 1 else {})


def in_groups(curves: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What is shown by name, as many on a chart as there are colours, after what its title ends with."""
    names = list(curves)
    groups = [names[start : start + len(COLOURS)] for start in range(0, len(names), len(COLOURS))]
    return [
        (f" ({number} of {len(groups)})" if len(groups) > 1 else "", {name: curves[name] for name in group})
        for number, group in enumerate(groups, 1)
    ]


def svg(chart: Chart) -> str:
    """A chart as a figure on a page; nothing where nothing is drawn."""
    return _figure(chart.title, HEIGHT, [each.svg() for each in chart.shapes], chart.names) if chart.shapes else ""


def histogram(title: str, values: np.ndarray, x_label: str, y_label: str, colour: str = COLOURS[0]) -> str:
    """How many values (n,), none below 0, lie where; those above their 99th percentile are in the last bar."""
    if not len(values):
        return ""
    most = max(float(np.quantile(values, 0.99)), 1e-9)
    counts, edges = np.histogram(np.clip(values, 0, most), BINS, (0, most))
    x_span, y_span = (0.0, most), _reach([0, max(int(counts.max()), TICKS)])
    place = partial(_place, x_span, y_span)
    drawn = [each.svg() for each in (*_grid(place, x_span, y_span, False), *_names(x_label, y_label))]
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        (x, top), (x_end, bottom) = place(left, count), place(right, 0)
        drawn.append(
            f'<rect x="{x:.1f}" y="{top:.1f}" width="{x_end - x - 1:.1f}" height="{bottom - top:.1f}" fill="{colour}"/>'
        )
    return _figure(title, HEIGHT, drawn, {})


def bar_chart(title: str, values: Mapping[str, float], colour: str = COLOURS[0], x_to: float = 1.0) -> str:
    """A bar for each value from 0 to ``x_to``, to the right; values that are not finite have none."""
    if not values:
        return ""
    left, step = 130, 20
    height = TOP + step * len(values) + 6
    drawn = []
    for number, (name, value) in enumerate(values.items()):
        y = TOP + step * number
        known = isfinite(value)
        length = (WIDTH - left - 50) * min(max(value, 0), x_to) / x_to if known else 0
        drawn.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{escape(name[:22])}</text>')
        drawn.append(f'<rect x="{left}" y="{y + 3}" width="{length:.1f}" height="{step - 7}" fill="{colour}" rx="1"/>')
        drawn.append(f'<text x="{left + length + 6:.1f}" y="{y + 13}">{f"{value:.3f}" if known else "–"}</text>')
    drawn.append(f'<line x1="{left}" y1="{TOP}" x2="{left}" y2="{height - 6}" class="axis"/>')
    return _figure(title, height, drawn, {})


def legend(names: Mapping[str, str], before: str = "") -> str:
    """Names with their colours, after a word of what they are."""
    entries = (f'<span><i style="background:{colour}"></i>{escape(name)}</span> ' for name, colour in names.items())
    return f'<div class="legend">{escape(before)} {"".join(entries)}</div>'


def _figure(title: str, height: int, drawn: Sequence[str], names: Mapping[str, str]) -> str:
    return (
        f'<figure><h3>{escape(title)}</h3><svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">{"".join(drawn)}</svg>{legend(names) if names else ""}</figure>'
    )


def _thinned(series: Series) -> list[tuple[float, float]]:
    """The finite points of a curve, evenly chosen if there are many; the first and the last among them."""
    points = [(float(x), float(y)) for x, y in zip(series.x, series.y, strict=True) if isfinite(x) and isfinite(y)]
    if len(points) <= MOST_POINTS:
        return points
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(number * step)] for number in range(MOST_POINTS)]


def _reach(values: Sequence[float]) -> tuple[float, float]:
    """A round range around values."""
    least, most = min(values), max(values)
    if least == most:
        margin = abs(least) / 2 or 0.5
        return least - margin, most + margin
    step = _round_step(most - least)
    return floor(least / step) * step, ceil(most / step - 1e-9) * step


def _round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, of which about ``TICKS`` make the span."""
    rough = span / TICKS
    power = 10 ** floor(log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _place(x_range: tuple[float, float], y_range: tuple[float, float], x: float, y: float) -> tuple[float, float]:
    """Where a point lies on a chart."""
    (x_from, x_to), (y_from, y_to) = x_range, y_range
    return (
        LEFT + (x - x_from) / (x_to - x_from) * (WIDTH - LEFT - RIGHT),
        HEIGHT - BOTTOM - (y - y_from) / (y_to - y_from) * (HEIGHT - TOP - BOTTOM),
    )


def _grid(
    place: Callable[[float, float], tuple[float, float]],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    whole: bool,
) -> list[Shape]:
    drawn: list[Shape] = []
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in _ticks(*y_range, False):
        _, y = place(x_range[0], value)
        drawn += [Line([(LEFT, y), (right, y)], "grid"), Label(LEFT - 7, y + 4, _number(value), "end")]
    for value in _ticks(*x_range, whole):
        x, _ = place(value, y_range[0])
        drawn += [Line([(x, bottom), (x, bottom + 4)], "axis"), Label(x, bottom + 16, _number(value), "middle")]
    return [*drawn, Line([(LEFT, bottom), (right, bottom)], "axis")]


def _names(x_label: str, y_label: str) -> list[Label]:
    return [
        Label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle"),
        Label(12, (TOP + HEIGHT - BOTTOM) / 2, y_label, "middle", upright=True),
    ]


def _ticks(least: float, most: float, whole: bool) -> list[float]:
    step = max(_round_step(most - least), 1.0 if whole else 0.0)
    first = ceil(least / step - 1e-9)
    return [number * step for number in range(first, floor(most / step + 1e-9) + 1)]


def _number(value: float) -> str:
    """A number beside an axis, short enough for the margin."""
    if value == 0 or 0.001 <= abs(value) < 1e6:
        return f"{value:.6g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
