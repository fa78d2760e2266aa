# SPDX-License-Identifier: GPL-2.0-or-later
import re
from html.parser import HTMLParser
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from model_runner.reports import shapes
from model_runner.reports.chart_pictures import FINAL, GAP, LEGEND, TITLE, save_charts
from model_runner.reports.charts import (
    BINS,
    COLOURS,
    HEIGHT,
    LEFT,
    MOST_POINTS,
    WIDTH,
    Mark,
    Series,
    bar_chart,
    histogram,
    in_groups,
    line_chart,
    svg,
)
from model_runner.reports.confusion import confusion_matrix_table
from model_runner.reports.examples import Example, Gallery, example_sections
from model_runner.reports.page import cards, facts, render_page, section, tell, warnings
from model_runner.reports.pictures import draw_polygons, paint_numbers
from model_runner.reports.shapes import LETTERS, PAPER_COLOURS, font

VOID = {"meta", "img", "br"}


class Balanced(HTMLParser):
    """Refuses tags that are not closed in their order."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.sources = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_page_is_whole_in_itself_and_escapes_what_it_is_told():
    picture = np.zeros((20, 30, 3), np.uint8)
    gallery = Gallery(worst=1, at_random=1)
    gallery.offer(1, lambda: Example("<a>.tif", "3 & 4", (("labelled", picture), ("found", picture))))
    page = render_page(
        "A <b> & c",
        "lead",
        (
            cards({"mAP50": 0.5}),
            facts({"model": "<script>", "nothing": None}),
            svg(line_chart("<Loss", [Series("a<b", [0, 1], [2.0, nan], "#000000")], "x<", "y<", mark=Mark(0, 2, "<"))),
            bar_chart("AP", {"x": 0.5, "y": nan}),
            warnings(["<script>"]),
            histogram("Sizes <m>", np.array([1.0, 2.0]), "m<", "number"),
            confusion_matrix_table(("<x>", "y"), [[3, 1], [0, 2]], "scenes"),
            *example_sections(gallery),
        ),
    )
    assert "<script" not in page
    assert "nothing" not in page
    sources = Balanced(page).sources
    assert len(sources) == 2
    assert all(source.startswith("data:image/") for source in sources)
    assert "http" not in page


@pytest.mark.parametrize(
    ("least", "most", "labels"),
    [
        (0.0, 0.5, ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        (0.000482, 0.0005, ["4.8e-4", "4.85e-4", "4.9e-4", "4.95e-4", "5e-4"]),
        (1e6, 1.2e6, ["1e6", "1.05e6", "1.1e6", "1.15e6", "1.2e6"]),
    ],
)
def test_numbers_beside_an_axis_are_short_enough_for_the_margin(least, most, labels):
    chart = line_chart("any", [Series("a", [0.0, 1.0], [least, most], "#000000")], "x", "y")
    assert re.findall(r'text-anchor="end">([^<]*)', svg(chart)) == labels
    name, numbers = 12 + LETTERS / 4, LEFT - 7  # where the upright name of the axis and the numbers end
    assert all(name + font(LETTERS).getlength(label) < numbers for label in labels)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6) | st.just(nan)), max_size=600))
def test_every_point_of_a_curve_lies_on_its_chart(points):
    x, y = [sorted(each[0] for each in points), [each[1] for each in points]]
    chart = svg(line_chart("any", [Series("a", x, y, "#000000")], "x", "y"))
    if not any(value == value for value in y):
        assert chart == ""
        return
    drawn = re.search(r'polyline points="([^"]*)"', chart).group(1).split()
    assert 1 <= len(drawn) <= MOST_POINTS
    for point in drawn:
        left, top = map(float, point.split(","))
        assert -1 <= left <= 441
        assert -1 <= top <= 271


def test_a_picture_of_charts_shows_the_same_as_the_page(tmp_path):
    series = [
        Series("first", [0.0, 1, 2, 3], [1.0, 0.4, 0.6, 0.1], "#ff0000", bold=True),
        Series("second", [0.0, 1, 2, 3], [0.2, nan, 0.3, 0.9], "#0000ff", bold=True),
        Series("nothing", [0.0], [nan], "#00ff00"),
    ]
    chart = line_chart("Loss", series, "epoch", "loss", mark=Mark(2.0, 0.6, "best"))
    once = line_chart("Once", [Series("a", [1.0], [2.0], "#009e73")], "epoch", "")
    save_charts(tmp_path / "curves.png", [chart, once, chart])
    with Image.open(tmp_path / "curves.png") as opened:
        picture = np.asarray(opened).astype(int)
    row = TITLE + HEIGHT + LEGEND  # all names are on one line
    assert picture.shape == ((2 * row + 3 * GAP) * FINAL, (2 * WIDTH + 3 * GAP) * FINAL, 3)

    def shows(colour, x, y, column=0):
        """Whether a pixel there, or one beside it, has a colour."""
        row, left = round((GAP + TITLE + y) * FINAL), round((GAP + column * (WIDTH + GAP) + x) * FINAL)
        patch = picture[row - 1 : row + 2, left - 1 : left + 2] - ImageColor.getrgb(colour)
        return abs(patch).max(2).min() < 24

    drawn = re.findall(r'polyline points="([^"]*)"[^>]*stroke="(#[^"]*)"', svg(chart))
    assert [colour for _, colour in drawn] == ["#ff0000", "#0000ff"]
    for points, colour in drawn:
        assert all(shows(colour, *map(float, point.split(","))) for point in points.split())
    (dot,) = re.findall(r'<circle cx="([^"]*)" cy="([^"]*)"', svg(once))
    assert shows("#009e73", *map(float, dot), column=1)
    lines = re.findall(r'<line x1="[^"]*" y1="([^"]*)" x2="([^"]*)" y2="[^"]*" class="grid"', svg(chart))
    assert len(lines) > 3
    for y, x_end in lines[1:]:  # the axis lies on the first; a curve may cross others in one place
        assert any(shows(PAPER_COLOURS["grid"], float(x_end) - left, float(y)) for left in (40, 80))
    assert shows("#ff0000", 6, HEIGHT + LEGEND / 2)
    assert shows("#ffffff", WIDTH - 2, 2)
    grey = (np.ptp(picture, 2) < 24) & (picture.sum(2) < 3 * 150)  # letters
    top, left = (GAP + TITLE) * FINAL, GAP * FINAL
    assert grey[top : top + (HEIGHT - 60) * FINAL, left : left + 18 * FINAL].any()  # the name that is upright
    assert grey[top + (HEIGHT - 18) * FINAL : top + HEIGHT * FINAL, left : left + WIDTH * FINAL].any()
    assert grey[: GAP * FINAL].sum() == 0


def test_text_is_drawn_where_the_system_has_no_letters(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, "FONTS", ("none.ttf",))
    font.cache_clear()
    chart = line_chart("Title", [Series("a", [0.0, 1], [0.0, 1], "#ff0000")], "x", "y")
    save_charts(tmp_path / "curves.png", [chart])
    font.cache_clear()
    with Image.open(tmp_path / "curves.png") as picture:
        assert np.asarray(picture.convert("L"))[: (GAP + TITLE) * FINAL].min() < 80


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (8, [8]), (9, [8, 1]), (21, [8, 8, 5])])
def test_many_curves_are_shared_out_among_charts(count, sizes):
    groups = in_groups({f"class {number}": number for number in range(count)})
    assert [len(group) for _, group in groups] == sizes
    assert all(len(group) <= len(COLOURS) for _, group in groups)
    assert [value for _, group in groups for value in group.values()] == list(range(count))
    many = len(groups) > 1
    assert [ending for ending, _ in groups] == [
        f" ({number} of {len(groups)})" if many else "" for number in range(1, len(groups) + 1)
    ]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_a_histogram_counts_every_value_once(values):
    chart = histogram("any", np.array(values), "m", "number")
    heights = [float(text) for text in re.findall(r'<rect [^>]*height="([^"]*)"', chart)]
    ticks = [(float(y), float(value)) for y, value in re.findall(r'y="([^"]*)" text-anchor="end">([^<]*)', chart)]
    (zero, _), (one, count) = ticks[0], ticks[-1]
    assert len(heights) == BINS
    assert sum(heights) * count / (zero - one) == pytest.approx(len(values), rel=0.02, abs=0.1)
    assert histogram("any", np.array([]), "m", "number") == ""


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(0, 5), st.integers(0, 5))
def test_a_gallery_keeps_the_worst_and_others_and_makes_no_picture_in_vain(badness, worst, at_random):
    gallery = Gallery(worst, at_random)
    for number, value in enumerate(badness):
        gallery.offer(value, lambda number=number: Example(str(number), "", ()))
    kept = [int(example.title) for example in gallery.worst]
    expected = sorted((value for value in badness if value > 0), reverse=True)[:worst]
    assert [badness[number] for number in kept] == expected
    others = [int(example.title) for example in gallery.at_random]
    assert len(others) == min(at_random, len(badness) - len(kept))
    assert not set(kept) & set(others)


def test_a_matrix_tells_counts_when_they_are_few_and_shares_when_many():
    few = confusion_matrix_table(("a", "b"), [[3, 1], [0, 2]], "scenes")
    assert re.findall(r'title="\d+">([^<]*)', few) == ["3", "1", "2"]
    many = confusion_matrix_table(("a", "b"), [[30_000, 10_000], [0, 2]], "pixels")
    assert re.findall(r'title="\d+">([^<]*)', many) == ["75.0", "25.0", "100.0"]


def test_values_are_told_as_people_read_them():
    assert [tell(each) for each in (None, nan, 0.12345, 12345, 1234.5, True, ("a", 1), 0.0, 2e-5)] == [
        "–", "–", "0.123", "12\u202f345", "1\u202f234", "yes", "a, 1", "0.000", "2e-05",
    ]  # fmt: skip
    assert section("Empty", "") == ""


def test_pictures_show_shapes_in_place_and_classes_in_their_colours():
    image = np.full((64, 128, 3), 100, np.uint8)
    drawn = draw_polygons(image, np.array([[[32, 16], [96, 16], [96, 48], [32, 48]]]), ["#ff0000"])
    assert drawn.shape == (256, 512, 3)
    assert drawn[64, 256].tolist() == [255, 0, 0]
    assert drawn[128, 256].tolist() == [100, 100, 100]
    numbers = np.zeros((64, 128), np.uint8)
    numbers[:, 64:] = 255
    painted = paint_numbers(image, numbers, ["#0000ff"])
    assert painted[128, 10].tolist() == [45, 45, 185]
    assert painted[128, 500].tolist() == [100, 100, 100]
