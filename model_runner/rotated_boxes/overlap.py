# SPDX-License-Identifier: GPL-2.0-or-later
"""How much boxes overlap, and the suppression of those that overlap a better one.

Suppression never compares all with all: ``overlapping_pairs`` finds the pairs that can overlap with a sweep along x
in horizontal strips, and everything else is arithmetic on pairs.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from model_runner.rotated_boxes.geometry import areas, corners, enclosing_boxes

PAIRS_AT_ONCE = 32_768
CANDIDATES_AT_ONCE = 1_000_000
LARGEST_POLYGON = 16  # crossings and corners that are kept; two rectangles share at most 8 different ones


def paired_intersection(first: Tensor, second: Tensor) -> Tensor:
    """Areas (n,) that the boxes first[i] and second[i], (n, 5) each, have in common.

    The common polygon's vertices are the corners of either box that lie in the other one and the crossings of their
    sides; sorted around their mean, they give the area by the shoelace formula.
    """
    origin = first[:, :2]  # near the boxes, to lose no digits
    first = torch.cat((torch.zeros_like(origin), first[:, 2:]), 1)
    second = torch.cat((second[:, :2] - origin, second[:, 2:]), 1)
    tolerance = 1e-9 if first.dtype is torch.float64 else 1e-5
    first_corners, second_corners = corners(first), corners(second)
    crossings, crosses = _side_crossings(first_corners, second_corners, tolerance)
    points = torch.cat((first_corners, second_corners, crossings), 1)
    is_vertex = torch.cat(
        (_inside(first_corners, second, tolerance), _inside(second_corners, first, tolerance), crosses), 1
    )
    return _convex_area(points, is_vertex)


def _inside(points: Tensor, boxes: Tensor, tolerance: float) -> Tensor:
    """(n, p) which points (n, p, 2) lie in their box (n, 5), its border included."""
    offset = points - boxes[:, None, :2]
    cosine, sine = boxes[:, 4, None].cos(), boxes[:, 4, None].sin()
    along = offset[..., 0] * cosine + offset[..., 1] * sine
    across = offset[..., 1] * cosine - offset[..., 0] * sine
    slack = tolerance * (boxes[:, 2:3] + boxes[:, 3:4])
    return (along.abs() <= boxes[:, 2:3] / 2 + slack) & (across.abs() <= boxes[:, 3:4] / 2 + slack)


def _side_crossings(first: Tensor, second: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Where the sides of rectangles (n, 4, 2) cross: points (n, 16, 2), and which of them exist, (n, 16)."""
    side, other = first.roll(-1, 1) - first, second.roll(-1, 1) - second
    side_x, side_y = side[:, :, None].unbind(3)
    other_x, other_y = other[:, None].unbind(3)
    determinant = side_x * other_y - side_y * other_x
    lengths = side.norm(dim=2)[:, :, None] * other.norm(dim=2)[:, None]
    parallel = determinant.abs() <= tolerance * lengths
    determinant = determinant.masked_fill(parallel, 1)
    between_x, between_y = (second[:, None] - first[:, :, None]).unbind(3)
    at_side = (between_x * other_y - between_y * other_x) / determinant
    at_other = (between_x * side_y - between_y * side_x) / determinant
    exists = ~parallel & (at_side >= 0) & (at_side <= 1) & (at_other >= 0) & (at_other <= 1)
    points = first[:, :, None] + at_side[..., None] * side[:, :, None]
    return points.flatten(1, 2), exists.flatten(1)


def _convex_area(points: Tensor, is_vertex: Tensor) -> Tensor:
    """Areas (n,) of the convex polygons whose vertices are the marked ones (n, p) of points (n, p, 2), in any order."""
    count = is_vertex.sum(1, keepdim=True).clamp(min=1)
    points = points * is_vertex[..., None]
    points = points - points.sum(1, keepdim=True) / count[..., None]
    direction = torch.atan2(points[..., 1], points[..., 0]).masked_fill(~is_vertex, math.inf)
    order = direction.argsort(1)[:, :LARGEST_POLYGON]
    ring = points.gather(1, order[..., None].expand(-1, -1, 2))
    ring = torch.where(is_vertex.gather(1, order)[..., None], ring, ring[:, :1])
    following = ring.roll(-1, 1)
    doubled = (ring[..., 0] * following[..., 1] - ring[..., 1] * following[..., 0]).sum(1)
    return torch.where(is_vertex.any(1), doubled.abs() / 2, 0)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (n,) of first[i] and second[i]; 0 where a box has no area."""
    common = paired_intersection(first, second)
    union = areas(first) + areas(second) - common
    has_area = (areas(first) > 0) & (areas(second) > 0)
    return torch.where(has_area, common / union.masked_fill(~has_area, 1), 0)


def paired_iof(first: Tensor, second: Tensor) -> Tensor:
    """Share (n,) of the area of first[i] that lies in second[i]; 0 where a box has no area."""
    common = paired_intersection(first, second)
    has_area = (areas(first) > 0) & (areas(second) > 0)
    return torch.where(has_area, common / areas(first).masked_fill(~has_area, 1), 0)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (n, m) of all boxes (n, 5) with all boxes (m, 5)."""
    return _pairwise(paired_iou, first, second)


def pairwise_iof(first: Tensor, second: Tensor) -> Tensor:
    """Share (n, m) of the area of the first boxes (n, 5) that lies in each of the second (m, 5)."""
    return _pairwise(paired_iof, first, second)


def _pairwise(measure: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor) -> Tensor:
    """The measure of all pairs (n, m), computed only where enclosing boxes touch."""
    a, b = enclosing_boxes(first)[:, None], enclosing_boxes(second)[None]
    touching = (a[..., :2] <= b[..., 2:]).all(2) & (b[..., :2] <= a[..., 2:]).all(2)
    rows, columns = touching.nonzero(as_tuple=True)
    result = first.new_zeros(len(first), len(second))
    for row, column in zip(rows.split(PAIRS_AT_ONCE), columns.split(PAIRS_AT_ONCE), strict=True):
        result[row, column] = measure(first[row], second[column])
    return result


def overlapping_pairs(boxes: Tensor) -> Tensor:
    """Pairs of indices (p, 2) of boxes (n, 5) whose enclosing boxes touch, each pair once, in any order."""
    pairs = list(_touching(enclosing_boxes(boxes)))
    return torch.cat(pairs) if pairs else torch.zeros(0, 2, dtype=torch.int64, device=boxes.device)


def _touching(horizontal: Tensor) -> Iterator[Tensor]:
    """Pairs (p, 2) of horizontal boxes (n, 4) that touch, in portions.

    The plane is cut into horizontal strips, twice as high as a box is on average, and each strip is swept along x. A
    box stands in each strip that it meets (2.5 on average at most); a pair counts in the first strip that both meet.
    """
    count = len(horizontal)
    if count < 2:
        return
    device = horizontal.device
    left, top, right, bottom = horizontal.t().contiguous().unbind(0)
    height = (2 * (bottom - top).mean()).clamp(min=1e-6)
    first_strip = ((top - top.min()) / height).long()
    strips = ((bottom - top.min()) / height).long() - first_strip + 1
    by_left = left.argsort(stable=True)
    rank = torch.empty_like(by_left).scatter_(0, by_left, torch.arange(count, device=device))
    end = torch.searchsorted(left[by_left], right, right=True)

    box = torch.repeat_interleave(torch.arange(count, device=device), strips)
    strip = first_strip[box] + _counting(strips)
    key, order = (strip * (count + 1) + rank[box]).sort()
    box, strip = box[order], strip[order]
    top, bottom, first_strip = top[box], bottom[box], first_strip[box]
    followers = torch.searchsorted(key, strip * (count + 1) + end[box]) - torch.arange(len(key), device=device) - 1
    followers = followers.clamp(min=0)
    until = followers.cumsum(0)
    start = 0
    while start < len(key):
        before = int(until[start - 1]) if start else 0
        stop = max(int(torch.searchsorted(until, before + CANDIDATES_AT_ONCE, right=True)), start + 1)
        portion = followers[start:stop]
        leader = torch.repeat_interleave(torch.arange(start, stop, device=device), portion)
        follower = leader + 1 + _counting(portion)
        touching = _at(top, leader) <= _at(bottom, follower)
        touching &= _at(top, follower) <= _at(bottom, leader)
        common_strip = torch.maximum(_at(first_strip, leader), _at(first_strip, follower))
        touching &= _at(strip, leader) == common_strip
        chosen = touching.nonzero()[:, 0]
        yield torch.stack((_at(box, _at(leader, chosen)), _at(box, _at(follower, chosen))), 1)
        start = stop


def _at(values: Tensor, index: Tensor) -> Tensor:
    """values[index] for one-dimensional tensors, which is several times faster in these words."""
    return values.index_select(0, index)


def _counting(lengths: Tensor) -> Tensor:
    """0, 1, … lengths[0] - 1, 0, 1, … lengths[1] - 1, and so on."""
    starts = torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
    return torch.arange(len(starts), device=lengths.device) - starts


def rotated_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Indices of the boxes (n, 5) that no better kept one overlaps by the IoU ``threshold`` or more, best first."""

    def overlaps(pairs: Tensor) -> Tensor:
        portions = pairs.split(PAIRS_AT_ONCE)
        return torch.cat([paired_iou(boxes[p[:, 0]], boxes[p[:, 1]]) >= threshold for p in portions])

    return _suppress(_touching(enclosing_boxes(boxes)), overlaps, scores)


def horizontal_nms(horizontal: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Indices of the boxes (n, 4) that no better kept one overlaps by more than the IoU ``threshold``, best first."""
    left, top, right, bottom = horizontal.t().contiguous().unbind(0)
    size = (right - left) * (bottom - top)

    def overlaps(pairs: Tensor) -> Tensor:
        one, other = pairs.unbind(1)
        width = torch.minimum(_at(right, one), _at(right, other)) - torch.maximum(_at(left, one), _at(left, other))
        height = torch.minimum(_at(bottom, one), _at(bottom, other)) - torch.maximum(_at(top, one), _at(top, other))
        common = width.clamp(min=0) * height.clamp(min=0)
        return common > threshold * (_at(size, one) + _at(size, other) - common)

    return _suppress(_touching(horizontal), overlaps, scores)


def class_wise_rotated_nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """``rotated_nms`` within each class: boxes of different classes are moved far apart first."""
    if not len(boxes):
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    return rotated_nms(_apart(boxes, labels, boxes[:, :2].amax() + boxes[:, 2:4].amax() + 1), scores, threshold)


def level_wise_horizontal_nms(horizontal: Tensor, scores: Tensor, levels: Tensor, threshold: float) -> Tensor:
    """``horizontal_nms`` within each level of a pyramid, levels (n,)."""
    if not len(horizontal):
        return torch.zeros(0, dtype=torch.int64, device=horizontal.device)
    offset = levels.to(horizontal)[:, None] * (horizontal.amax() + 1)
    return horizontal_nms(horizontal + offset, scores, threshold)


def _apart(boxes: Tensor, groups: Tensor, distance: Tensor) -> Tensor:
    """Boxes (n, 5), moved along both axes by their group's number times the distance."""
    return torch.cat((boxes[:, :2] + groups.to(boxes)[:, None] * distance, boxes[:, 2:]), 1)


def _suppress(candidates: Iterator[Tensor], overlaps: Callable[[Tensor], Tensor], scores: Tensor) -> Tensor:
    """Greedy suppression: indices of what is kept, best first, ties in the order of the input.

    Instead of one box after the other it settles all at once that no undecided better box overlaps, then removes
    what those overlap, and begins anew; the result is the same, and rounds are few.

    Args:
        candidates: pairs of indices (p, 2) that may overlap.
        overlaps: which of such pairs do.
        scores: (n,).
    """
    device = scores.device
    order = scores.argsort(descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=device))
    found = [rank[pairs[overlaps(pairs)]] for pairs in candidates if len(pairs)]
    pairs = torch.cat(found) if found else torch.zeros(0, 2, dtype=torch.int64, device=device)
    better, worse = pairs.amin(1), pairs.amax(1)
    undecided = torch.ones(len(order), dtype=torch.bool, device=device)
    kept = torch.zeros_like(undecided)
    while len(better):
        blocked = torch.zeros_like(undecided)
        blocked[worse] = True
        settled = undecided & ~blocked
        kept |= settled
        undecided &= blocked
        undecided[worse[settled[better]]] = False
        alive = undecided[better] & undecided[worse]
        better, worse = better[alive], worse[alive]
    return order[kept | undecided]
