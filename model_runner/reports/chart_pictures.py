# SPDX-License-Identifier: GPL-2.0-or-later
"""Charts of curves as a picture, for those who show them elsewhere than on the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from model_runner.reports.charts import HEIGHT, WIDTH, Chart
from model_runner.reports.shapes import font

FINAL = 2  # pixels of the picture for each of the page
SMOOTHING = 2  # times as large is drawn what is then reduced, so that lines have no steps
SCALE = FINAL * SMOOTHING
GAP = 18
TITLE, TITLE_LETTERS, LEGEND, LEGEND_LETTERS = 30, 15, 20, 12  # heights of the line of text and of its letters
INK, FAINT = "#1d2329", "#68727c"
IN_A_ROW = 2


def save_charts(path: Path, charts: Sequence[Chart]) -> None:
    """Write charts on white as a PNG, two beside each other; there is one at least, and all have curves."""
    pictures = [_picture(chart) for chart in charts]
    rows = [pictures[start : start + IN_A_ROW] for start in range(0, len(pictures), IN_A_ROW)]
    gap, heights = GAP * FINAL, [max(each.height for each in row) for row in rows]
    columns = min(len(pictures), IN_A_ROW)
    size = columns * WIDTH * FINAL + (columns + 1) * gap, sum(heights) + (len(rows) + 1) * gap
    whole, top = Image.new("RGB", size, "white"), gap
    for row, height in zip(rows, heights, strict=True):
        for column, each in enumerate(row):
            whole.paste(each, (gap + column * (WIDTH * FINAL + gap), top))
        top += height + gap
    whole.save(path, optimize=True)


def _picture(chart: Chart) -> Image.Image:
    """A chart under its title and above its legend, ``FINAL`` times as large as on the page."""
    places = _legend_places(chart.names)
    lines = max((line for _, line in places.values()), default=-1) + 1
    curves = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    for each in chart.shapes:
        each.draw(ImageDraw.Draw(curves), SCALE)
    whole = Image.new("RGB", (WIDTH * SCALE, (TITLE + HEIGHT + lines * LEGEND) * SCALE), "white")
    whole.paste(curves, (0, TITLE * SCALE))
    pen = ImageDraw.Draw(whole)
    pen.text((0, TITLE * SCALE / 2), chart.title, INK, font(TITLE_LETTERS * SCALE), "lm")
    for name, (left, line) in places.items():
        middle, half = (TITLE + HEIGHT + (line + 0.5) * LEGEND) * SCALE, LEGEND_LETTERS * SCALE / 2
        pen.rectangle((left, middle - half, left + 2 * half, middle + half), chart.names[name])
        pen.text((left + 3 * half, middle), name, FAINT, font(LEGEND_LETTERS * SCALE), "lm")
    return whole.reduce(SMOOTHING)


def _legend_places(names: Mapping[str, str]) -> dict[str, tuple[float, int]]:
    """Where each name begins, in pixels that are drawn, and on which line."""
    places, left, line, letters = {}, 0.0, 0, font(LEGEND_LETTERS * SCALE)
    for name in names:
        length = letters.getlength(name) + 3 * LEGEND_LETTERS * SCALE
        if left and left + length > WIDTH * SCALE:
            left, line = 0.0, line + 1
        places[name] = left, line
        left += length
    return places
