# SPDX-License-Identifier: GPL-2.0-or-later
import gc
import math
from dataclasses import dataclass

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runner.inference.detections import DetectionCollector, Detections, detector, merge, touches_inner_edge
from model_runner.networks import build_network
from model_runner.raster.tiling import plan_tiles
from model_runner.rotated_boxes.geometry import corners, from_quadrilaterals
from model_runner.rotated_boxes.overlap import pairwise_iou


@dataclass
class Valid:
    valid: np.ndarray


def detections(*rows):
    """Rows cx, cy, w, h, angle, score, label."""
    values = torch.tensor(rows, dtype=torch.float64).reshape(-1, 7)
    return Detections(values[:, :5], values[:, 5].float(), values[:, 6].long())


def seen_by(tile, objects):
    """What a detector would say of a tile: whole objects with their score, of cut ones the smallest box around the
    part that it sees, and too sure of it."""
    window = shapely.box(tile.x, tile.y, tile.x + tile.width, tile.y + tile.height)
    rows = []
    for *box, score, label in objects.tolist():
        polygon = shapely.Polygon(corners(torch.tensor([box], dtype=torch.float64))[0].numpy())
        if window.contains(polygon):
            rows.append((*box, score, label))
            continue
        part = shapely.oriented_envelope(polygon.intersection(window))
        if part.area > 9:
            vertices = torch.from_numpy(shapely.get_coordinates(part)[None, :4])
            rows.append((*from_quadrilaterals(vertices)[0].tolist(), 0.99, label))
    found = detections(*rows)
    return found._replace(boxes=found.boxes - torch.tensor([tile.x, tile.y, 0, 0, 0]))


def scene(seed, count=60, side=1000):
    """Objects that do not overlap one another."""
    generator = np.random.default_rng(seed)
    kept = []
    while len(kept) < count:
        length = generator.uniform(20, 90)
        row = (
            *generator.uniform(60, side - 60, 2),
            length,
            length * generator.uniform(0.3, 0.9),
            generator.uniform(-math.pi / 2, math.pi / 2),
            round(generator.uniform(0.3, 0.95), 3),
            generator.integers(0, 3),
        )
        if all(math.dist(row[:2], other[:2]) > (row[2] + other[2]) * 0.8 for other in kept):
            kept.append(row)
    return torch.tensor(kept, dtype=torch.float64)


def collect(objects, tiles):
    collector = DetectionCollector(threshold=0.1, nms_iou=0.1)
    for tile in tiles:
        collector.add(tile, Valid(np.ones((tile.height, tile.width), bool)), seen_by(tile, objects))
    return collector.finish()


@pytest.mark.parametrize(("tile_size", "overlap"), [(256, 100), (320, 110), (512, 128), (1024, 200)])
def test_cut_objects_come_out_whole_whatever_the_tiles(tile_size, overlap):
    objects = scene(1)
    found = collect(objects, plan_tiles(1000, 1000, tile_size, overlap))
    assert len(found.scores) == len(objects)
    ious = pairwise_iou(found.boxes, objects[:, :5])
    best = ious.argmax(1)
    assert ious.amax(1).min() > 0.999
    assert torch.equal(found.labels, objects[best, 6].long())
    assert torch.allclose(found.scores.double(), objects[best, 5])


@given(st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_order_of_the_tiles_does_not_matter(random):
    objects = scene(2, count=30)
    tiles = plan_tiles(1000, 1000, 256, 100)
    first = collect(objects, tiles)
    random.shuffle(tiles)
    second = collect(objects, tiles)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_box_cut_by_a_tile_edge_loses_to_its_neighbours_whole_box_even_with_a_better_score():
    whole = (100.0, 50.0, 60.0, 20.0, 0.0, 0.4, 0)
    cut = (125.0, 50.0, 10.0, 20.0, 0.0, 0.9, 0)  # IoU 0.17 with the whole box
    sliver = (128.0, 50.0, 4.0, 20.0, 0.0, 0.95, 0)  # IoU 0.07: below the threshold of the suppression
    found = merge(detections(whole, cut, sliver), torch.tensor([False, True, True]), 0.1)
    assert found.boxes.tolist() == [list(whole[:5])]


def test_a_cut_box_that_nobody_sees_whole_stays():
    found = merge(detections((50, 50, 40, 20, 0, 0.8, 0), (60, 50, 40, 20, 0, 0.7, 0)), torch.tensor([True, True]), 0.1)
    assert found.scores.tolist() == pytest.approx([0.8])


def test_classes_do_not_suppress_each_other():
    rows = [(50, 50, 40, 20, 0.3, 0.8, 0), (50, 50, 40, 20, 0.3, 0.7, 1)]
    assert len(merge(detections(*rows), torch.tensor([False, False]), 0.1).scores) == 2


def test_a_cut_piece_loses_to_the_whole_object_that_covers_it_whatever_it_was_taken_for():
    whole = (100.0, 50.0, 60.0, 40.0, 0.0, 0.6, 0)
    wing = (120.0, 50.0, 15.0, 8.0, 0.0, 0.9, 1)
    beside = (133.0, 50.0, 15.0, 8.0, 0.0, 0.8, 1)  # 0.3 of it covered
    found = merge(detections(whole, wing, beside), torch.tensor([False, True, True]), 0.1)
    assert found.scores.tolist() == pytest.approx([0.8, 0.6])


def test_edges_of_the_raster_are_no_inner_edges():
    tiles = plan_tiles(1000, 500, 500, 100)
    boxes = torch.tensor([[5.0, 250, 10, 10, 0], [250, 3, 10, 5, 0], [497, 250, 8, 8, 0.5], [250, 250, 40, 20, 0]])
    assert touches_inner_edge(boxes, tiles[0]).tolist() == [False, False, True, False]
    assert touches_inner_edge(boxes, tiles[-1]).tolist() == [True, False, False, False]


def test_detections_whose_centre_has_no_data_or_lies_outside_are_dropped():
    (tile,) = plan_tiles(100, 100, 128, 10)
    valid = np.zeros((tile.height, tile.width), bool)
    valid[:50] = True
    collector = DetectionCollector(0.1, 0.1)
    rows = [
        (20, 20, 10, 5, 0, 0.9, 0),
        (20, 70, 10, 5, 0, 0.9, 0),
        (-3, 20, 10, 5, 0, 0.9, 0),
        (130, 20, 9, 5, 0, 0.9, 0),
    ]
    collector.add(tile, Valid(valid), detections(*rows))
    assert collector.finish().boxes[:, :2].tolist() == [[20, 20]]


def test_scores_below_the_threshold_and_unwanted_classes_are_dropped():
    (tile,) = plan_tiles(128, 128, 128, 10)
    collector = DetectionCollector(0.5, 0.1, labels=(1,))
    rows = [(20, 20, 10, 5, 0, 0.9, 0), (60, 20, 10, 5, 0, 0.9, 1), (90, 20, 10, 5, 0, 0.4, 1)]
    collector.add(tile, Valid(np.ones((128, 128), bool)), detections(*rows))
    assert collector.finish().boxes[:, 0].tolist() == [60]


def test_tiles_without_detections_take_no_memory():
    tiles = plan_tiles(1000, 1000, 128, 28)
    collector = DetectionCollector(0.5, 0.1)

    def tensors():
        return sum(type(each) is torch.Tensor for each in gc.get_objects())

    before = tensors()
    for tile in tiles:
        collector.add(tile, Valid(np.ones((128, 128), bool)), detections((60, 60, 10, 5, 0, 0.4, 0)))
    assert len(tiles) == 100
    assert tensors() < before + 10


def test_what_is_kept_of_a_tile_is_no_larger_than_its_detections():
    (tile,) = plan_tiles(128, 128, 128, 10)
    collector = DetectionCollector(0.5, 0.1)
    rows = [(60, 60, 10, 5, 0, 0.4 + 0.3 * (number == 7), 0) for number in range(2000)]
    collector.add(tile, Valid(np.ones((128, 128), bool)), detections(*rows))
    kept = [*collector._found[-1], collector._cut[-1]]
    assert sum(each.untyped_storage().nbytes() for each in kept) <= 100


def test_no_detections_are_a_result_too():
    found = DetectionCollector(0.5, 0.1).finish()
    assert found.boxes.shape == (0, 5)
    assert found.scores.shape == found.labels.shape == (0,)


def test_the_limits_of_a_run_reach_the_network():
    network = build_network("oriented_rcnn_l0", num_classes=1, neck_channels=8, rpn_channels=8, head_channels=8)
    detector(network, None, torch.device("cpu"), torch.float32, threshold=0.02, nms_iou=0.5)
    boxes = torch.tensor([[50.0, 50, 40, 20, 0], [50.0, 58, 40, 20, 0], [150.0, 50, 40, 20, 0]])  # IoU 0.43
    logits = torch.tensor([[3.0, 0.0], [2.0, 0.0], [-3.7, 0.0]])  # the last one's score is 0.024
    found = network.roi_head.detections(logits, torch.zeros(3, 5), boxes, (100, 200))
    assert len(found.scores) == 3
