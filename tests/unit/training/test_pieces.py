# SPDX-License-Identifier: GPL-2.0-or-later
"""Large validation images are seen in pieces, and measured as if they were not."""

import pytest
import torch
from torch import Tensor

from model_runner.training.datasets.maps import IGNORED
from model_runner.training.datasets.objects import Sample
from model_runner.training.recipes import pieces
from model_runner.training.recipes.detection import DetectionMetric
from model_runner.training.recipes.maps import MapMetric, MapTargets
from model_runner.training.recipes.pieces import objects_of, pieces_of
from model_runner.training.recipes.segmentation import predict_classes, segmentation_figures

CLASSES = ("land", "water")


def sample_of(*boxes: tuple[float, ...]) -> Sample:
    """Objects of one class."""
    count = len(boxes)
    tensor = torch.tensor(boxes, dtype=torch.float32).view(count, 5)
    return Sample(torch.empty(3, 0, 0), tensor, torch.zeros(count, dtype=torch.int64), torch.zeros(count).bool(), "a")


@pytest.mark.parametrize(("height", "width"), [(32, 2048), (2080, 64), (4096, 4128), (6176, 2048)])
def test_pieces_cover_an_image_once_and_suit_networks(height: int, width: int) -> None:
    seen = torch.zeros(height, width, dtype=torch.uint8)
    for piece in pieces_of(height, width):
        part = piece.of(seen)
        part += 1
        assert max(part.shape) <= pieces.LARGEST_SIDE
        assert all(side % 32 == 0 for side in part.shape)
    assert seen.unique().tolist() == [1]


def test_what_networks_take_at_once_is_one_piece() -> None:
    assert len(pieces_of(2048, 2048)) == 1
    assert len(pieces_of(2080, 2048)) == 2


def test_an_object_counts_in_the_piece_that_holds_it_and_nowhere_if_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LARGEST_SIDE", 96)
    whole, over_the_edge, cut = (
        (112.0, 20.0, 20.0, 10.0, 0.3),
        (20.0, 0.0, 20.0, 10.0, 0.0),
        (96.0, 30.0, 20.0, 8.0, 0.0),
    )
    left, right = (objects_of(piece, 96, 192, sample_of(whole, over_the_edge, cut)) for piece in pieces_of(96, 192))
    assert left.boxes.tolist() == [pytest.approx(over_the_edge), pytest.approx((91, 30, 10, 8, 0))]
    assert left.difficult.tolist() == [False, True]
    assert right.boxes.tolist() == [pytest.approx((16, 20, 20, 10, 0.3)), pytest.approx((5, 30, 10, 8, 0))]
    assert right.difficult.tolist() == [False, True]


def test_an_image_without_objects_has_none_in_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LARGEST_SIDE", 96)
    assert [len(objects_of(piece, 96, 192, sample_of()).boxes) for piece in pieces_of(96, 192)] == [0, 0]


def test_maps_are_measured_over_all_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 2, 192, 288, generator=generator)
    labels = (torch.rand(2, 192, 288, generator=generator) * 2).byte()
    labels[0, :8] = IGNORED
    shapes = []

    def network(seen: Tensor) -> Tensor:
        shapes.append(tuple(seen.shape))
        return seen

    figures = []
    for side in (2048, 96):
        monkeypatch.setattr(pieces, "LARGEST_SIDE", side)
        metric = MapMetric(2, predict_classes, lambda found: segmentation_figures(CLASSES, found))
        metric.update(network, images, MapTargets(labels, ("a", "b")))
        figures.append(metric.compute())
        assert {name: int(seen.sum()) for name, seen in metric.seen.items()} == {"a": 184 * 288, "b": 192 * 288}
    assert figures[0] == figures[1]
    assert shapes[0] == (2, 2, 192, 288)
    assert len(shapes) == 1 + 2 * 3
    assert max(max(shape) for shape in shapes[1:]) <= 96


def test_objects_are_measured_over_all_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LARGEST_SIDE", 96)
    first, second, missed = (
        (20.0, 20.0, 20.0, 10.0, 0.3),
        (132.0, 40.0, 20.0, 10.0, 0.6),
        (132.0, 10.0, 20.0, 10.0, 0.0),
    )
    cut = (96.0, 50.0, 20.0, 8.0, 0.0)
    answers = iter([(first, (91.0, 50.0, 9.0, 8.0, 0.0)), ((36.0, 40.0, 20.0, 10.0, 0.6),)])

    def network(seen: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        boxes = torch.tensor(next(answers))
        return [(boxes, torch.full((len(boxes),), 0.9), torch.zeros(len(boxes), dtype=torch.int64))]

    metric = DetectionMetric(("building",))
    metric.update(network, torch.zeros(1, 3, 96, 192), [sample_of(first, second, missed, cut)])
    figures = metric.compute()
    assert figures["F1"] == pytest.approx(2 * 2 / (2 + 3))  # the cut one does not count
