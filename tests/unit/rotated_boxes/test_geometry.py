# SPDX-License-Identifier: GPL-2.0-or-later
import math

import numpy as np
import pytest
import shapely
import torch

from model_runner.rotated_boxes.geometry import (
    areas,
    corners,
    enclosing_boxes,
    from_horizontal,
    from_quadrilaterals,
    long_side_first,
    minimum_area_boxes,
    wrap_angle,
)


@pytest.fixture
def golden(golden_arrays):
    return golden_arrays("ops/transforms")


def test_corners_are_the_official_ones(golden):
    torch.testing.assert_close(corners(golden["boxes"]).flatten(1), golden["obb2poly"], atol=1e-4, rtol=1e-5)


def test_quadrilaterals_become_the_official_boxes(golden):
    boxes = from_quadrilaterals(golden["obb2poly"].view(-1, 4, 2))
    torch.testing.assert_close(boxes, golden["poly2obb"], atol=1e-3, rtol=1e-5)


def test_hulls_are_the_official_ones(golden):
    torch.testing.assert_close(enclosing_boxes(golden["boxes"]), golden["obb2xyxy"], atol=1e-4, rtol=1e-5)


def test_horizontal_boxes_become_the_official_le90_boxes():
    boxes = from_horizontal(torch.tensor([[0.0, 0, 4, 2], [0, 0, 2, 4]]))
    torch.testing.assert_close(boxes, torch.tensor([[2.0, 1, 4, 2, 0], [1, 2, 4, 2, -math.pi / 2]]))


def test_angles_wrap_as_officially(golden):
    wrapped = wrap_angle(golden["angles"])
    torch.testing.assert_close(wrapped, golden["norm_angle"], atol=1e-5, rtol=0)
    assert wrap_angle(torch.tensor([math.pi / 2], dtype=torch.float64)).item() == -math.pi / 2


def test_annotated_quadrilaterals_get_the_smallest_enclosing_box(golden):
    wanted = golden["quads_to_obb_minarearect"]
    kept = ~wanted.isnan().any(1)
    wanted, quadrilaterals = wanted[kept], golden["quads"].double().view(-1, 4, 2)[kept]
    boxes = minimum_area_boxes(quadrilaterals)
    torch.testing.assert_close(areas(boxes), areas(wanted), atol=1e-2, rtol=1e-4)
    # several rectangles can have the smallest area; that ours encloses the points and is as small proves it right
    enclosed = shapely.polygons(corners(boxes).numpy())
    assert shapely.covers(shapely.buffer(enclosed, 1e-6), shapely.polygons(quadrilaterals.numpy())).all()
    same = rectangle_distance(boxes, wanted) < 1e-2
    assert same.sum() > 20


def rectangle_distance(first, second):
    """The largest distance (n,) from a corner of one rectangle to the nearest of the other."""
    return torch.cdist(corners(first), corners(second)).amin(2).amax(1)


def test_the_smallest_box_does_not_depend_on_the_order_of_points():
    boxes = torch.from_numpy(np.random.default_rng(0).uniform(-40, 40, (20, 4, 2)))
    shuffled = boxes[:, [2, 0, 3, 1]]
    torch.testing.assert_close(areas(minimum_area_boxes(boxes)), areas(minimum_area_boxes(shuffled)))


def test_swapping_sides_keeps_the_rectangle():
    upright = torch.tensor([[10.0, 20.0, 4.0, 9.0, 0.3]], dtype=torch.float64)
    lying = long_side_first(upright)
    assert lying[0, 2] == 9
    assert rectangle_distance(upright, lying).max() < 1e-9
