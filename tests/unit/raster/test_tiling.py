# SPDX-License-Identifier: GPL-2.0-or-later
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_runner.errors import InputError
from model_runner.raster.tiling import Tile, plan_axis, plan_tiles


@st.composite
def axes(draw):
    tile_size = draw(st.integers(1, 300))
    return draw(st.integers(1, 3000)), tile_size, draw(st.integers(0, tile_size - 1))


@given(axes())
def test_tiles_cover_an_axis_overlap_enough_and_stay_within(axis):
    length, tile_size, overlap = axis
    starts = plan_axis(length, tile_size, overlap)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert all(following - start <= tile_size - overlap for start, following in pairwise(starts))
    assert starts[-1] + tile_size == max(length, tile_size)


@given(axes())
def test_no_tile_is_superfluous(axis):
    length, tile_size, overlap = axis
    starts = plan_axis(length, tile_size, overlap)
    step = tile_size - overlap
    assert len(starts) == max(1, -(-(length - overlap) // step))


@given(st.integers(1, 300), st.integers(1, 300), st.integers(20, 150), st.integers(0, 15))
def test_tiles_cover_the_plane_and_know_their_inner_edges(width, height, tile_size, overlap):
    covered = np.zeros((height, width), dtype=bool)
    for tile in plan_tiles(width, height, tile_size, overlap):
        covered[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] = True
        assert (tile.width, tile.height) == (tile_size, tile_size)
        assert tile.inner_left == (tile.x > 0)
        assert tile.inner_top == (tile.y > 0)
        assert tile.inner_right == (tile.x + tile.width < width)
        assert tile.inner_bottom == (tile.y + tile.height < height)
    assert covered.all()


def test_tiles_come_row_by_row_and_the_last_is_pulled_back():
    tiles = plan_tiles(250, 110, 100, 20)
    assert [(tile.column, tile.row, tile.x, tile.y) for tile in tiles] == [
        (0, 0, 0, 0), (1, 0, 80, 0), (2, 0, 150, 0), (0, 1, 0, 10), (1, 1, 80, 10), (2, 1, 150, 10),
    ]  # fmt: skip


def test_a_raster_smaller_than_a_tile_is_one_tile_without_inner_edges():
    assert plan_tiles(30, 20, 100, 20) == [Tile(0, 0, 0, 0, 100, 100, False, False, False, False)]


@pytest.mark.parametrize(("tile_size", "overlap"), [(100, 100), (100, 120), (100, -1), (0, 0)])
def test_an_impossible_overlap_is_refused_in_one_line(tile_size, overlap):
    with pytest.raises(InputError, match=rf"{overlap} pixels.*{tile_size} pixels") as refusal:
        plan_tiles(500, 500, tile_size, overlap)
    assert "\n" not in str(refusal.value)
