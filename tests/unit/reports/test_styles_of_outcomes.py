# SPDX-License-Identifier: GPL-2.0-or-later
"""The map shows what is right, false and missed in the colours of the report."""

import re

from PIL import ImageColor

from model_runner.contract.folders import PLUGIN_ROOT
from model_runner.evaluation import maps, objects

STYLES = PLUGIN_ROOT / "resources" / "styles"


def test_objects_have_the_same_colours_on_the_map_and_in_the_report():
    style = (STYLES / "outcomes.qml").read_text(encoding="utf-8")
    named = re.findall(r'category value="(\w+)"', style)
    drawn = re.findall(r'locked="0".*?name="line_color" value="(\d+),(\d+),(\d+),255"', style, re.DOTALL)
    colours = [tuple(map(int, each)) for each in drawn]
    assert dict(zip(named, colours, strict=True)) == {
        name: ImageColor.getrgb(colour) for name, colour in objects.OUTCOMES.items()
    }


def test_pixels_have_the_same_colours_on_the_map_and_in_the_report():
    style = (STYLES / "outcome_pixels.qml").read_text(encoding="utf-8")
    drawn = re.findall(r'paletteEntry value="(\d)" label="([^"]+)" color="(#\w+)"', style)
    assert [(number, name) for number, name, _ in drawn] == [
        (str(number), name) for number, name in enumerate(maps.OUTCOMES)
    ]
    assert [colour for *_, colour in drawn[1:]] == list(maps.OUTCOMES.values())[1:]
