# SPDX-License-Identifier: GPL-2.0-or-later
import re

import numpy as np
import pytest
import torch
from affine import Affine

from model_runner.contract.model_card import ModelCard, ModelClass
from model_runner.evaluation.objects import ObjectTally, Truth
from model_runner.inference.detections import Detections
from model_runner.raster.working_grid import WorkingGrid
from model_runner.reports.examples import Gallery

GRID = WorkingGrid(4000, 4000, Affine.identity(), None)
SMALL, LARGE = (20.0, 10.0), (150.0, 100.0)
SCORE = 0.5


def tally_of(found, labelled, class_count):
    """A tally of one image: found (x, width and height, score, class) and labelled (x, width and height, class)."""
    classes = tuple(ModelClass(f"class {number}", "#ff0000") for number in range(class_count))
    card = ModelCard(id="any", title="any", task="detect", network="oriented_rcnn_l0", classes=classes)
    tally = ObjectTally(card, 0.5, SCORE, Gallery())

    def boxes(rows):
        return torch.tensor([[row[0], 500.0, *row[1], 0.1] for row in rows]).reshape(-1, 5)

    objects = Truth(
        boxes(labelled), torch.tensor([row[-1] for row in labelled]), torch.zeros(len(labelled), dtype=torch.bool)
    )
    detections = Detections(
        boxes(found), torch.tensor([row[2] for row in found]), torch.tensor([row[-1] for row in found])
    )
    errors = tally.add("image", detections, objects, GRID)
    tally.offer("image", lambda: np.zeros((50, 50, 3), np.uint8), detections, objects, errors)
    return tally


@pytest.fixture
def two_sizes():
    """Class 0 has both sizes, all found; class 1 a small one, which is missed; a large false one scores best."""
    labelled = [(100.0, SMALL, 0), (400.0, LARGE, 0), (700.0, SMALL, 1)]
    found = [(100.0, SMALL, 0.9, 0), (400.0, (LARGE[0] * 0.7, LARGE[1]), 0.8, 0), (2000.0, LARGE, 0.95, 0)]
    return tally_of(found, labelled, 2)


def test_precision_is_told_by_size_and_of_each_class(two_sizes):
    sizes = two_sizes.figures()["sizes"]
    assert sizes["medium"] == {"objects": 0}
    assert sizes["small"]["objects"] == 2
    assert (sizes["small"]["mAP50"], sizes["small"]["mAP75"]) == (0.5, 0.5)  # the large false one does not count
    assert sizes["small"]["classes"] == {
        "class 0": {"objects": 1, "AP50": 1, "AP75": 1},
        "class 1": {"objects": 1, "AP50": 0, "AP75": 0},
    }
    assert sizes["large"]["classes"] == {"class 0": {"objects": 1, "AP50": 0.5, "AP75": 0}}  # IoU 0.7
    assert (sizes["large"]["mAP50"], sizes["large"]["mAP75"]) == (0.5, 0)
    assert sizes["large"]["best threshold"] == pytest.approx(0.8)


def test_the_report_tells_precision_by_size(two_sizes):
    by_size = next(each for each in two_sizes.sections(two_sizes.figures()) if "<h2>By object size" in each)
    tables = re.findall(r"<table>.*?</table>", by_size)
    rows = [re.findall(r"<t[hd]>([^<]*)", row) for row in re.findall(r"<tr>.*?</tr>", "".join(tables))]
    assert rows[0] == ["size", "objects", "mAP50", "mAP75", "best threshold", "precision", "recall", "F1"]
    assert [row[1:4] for row in rows[1:4]] == [["2", "0.500", "0.500"], ["0", "–", "–"], ["1", "0.500", "0.000"]]
    assert rows[4] == ["class", "AP50, small", "AP75, small", "AP50, large", "AP75, large"]
    assert rows[5:] == [["class 0", "1.000", "1.000", "0.500", "0.000"], ["class 1", "0.000", "0.000", "–", "–"]]
    legends = re.findall(r'<div class="legend">(.*?)</div>', by_size)
    assert [re.findall("</i>([^<]*)", each) for each in legends] == [["small", "large", "all sizes"]] * 2


@pytest.mark.parametrize(("count", "groups"), [(1, [1]), (3, [3]), (9, [8, 1]), (20, [8, 8, 4])])
def test_every_class_has_its_curves_however_many_there_are(count, groups):
    places = [100.0 + 40 * number for number in range(count)]
    labelled = [(x, SMALL, number) for number, x in enumerate(places)]
    found = [(x, SMALL, 0.5 + number / 50, number) for number, x in enumerate(places)]
    tally = tally_of(found, labelled, count)
    part = next(each for each in tally.sections(tally.figures()) if "<h2>Precision, recall" in each)
    figures = re.findall(r"<figure><h3>(.*?)</h3>(.*?)</figure>", part)
    names = [re.findall(r"</i>([^<]*)", drawn) for _, drawn in figures]
    for kind in ("Precision over recall", "F1 over the threshold"):
        own = [each for (title, _), each in zip(figures, names, strict=True) if title.startswith(kind)]
        assert len(own) == len(groups)
        if count > 1:
            assert [len(each) for each in own] == [group + 1 for group in groups]  # and all classes
            shown = [name for each in own for name in each if name != "all classes"]
            assert shown == [f"class {number}" for number in range(count)]
    assert names[-1] == ["precision", "recall", "F1"]
    assert len(figures) == 2 * len(groups) + 1
    assert len({title for title, _ in figures}) == len(figures)
    for _, drawn in figures:
        assert drawn.count("best: 0.50") == 1
        assert len(set(re.findall(r'stroke="(#[^"]*)"', drawn))) == max(len(re.findall("</i>", drawn)), 1)
