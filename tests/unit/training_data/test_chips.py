# SPDX-License-Identifier: GPL-2.0-or-later
"""Where chips lie, and which split they go to."""

from itertools import pairwise

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from model_runner.raster.scenes import Scene
from model_runner.raster.working_grid import WorkingGrid
from model_runner.training_data.chips import block_side, chips_of_scenes, choose_block, cut_blocks, plan_chips
from model_runner.training_data.splitting import join_blocks, split_units, without_common_ground


def grid_of(width, height, x=0.0, y=0.0):
    return WorkingGrid(width, height, Affine(1, 0, x, 0, -1, y), None)


def windows(chips):
    return np.array([shapely.box(each.x, each.y, each.x + each.width, each.y + each.height) for each in chips])


@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    chip=st.integers(32, 160),
    share=st.floats(0, 0.9),
    across=st.integers(1, 4),
)
def test_chips_of_different_blocks_share_no_pixel_and_leave_out_narrow_strips_only(width, height, chip, share, across):
    overlap = int(share * chip)
    blocks = cut_blocks(grid_of(width, height), block_side(chip, overlap, across), chip)
    chips = plan_chips(0, blocks, chip, overlap)
    covered = np.zeros((max(height, chip), max(width, chip)), int) - 1
    for each in chips:
        number = each.block[1] * 1000 + each.block[2]
        part = covered[each.y : each.y + chip, each.x : each.x + chip]
        assert part.shape == (chip, chip)
        assert ((part == -1) | (part == number)).all()
        part[:] = number
    for axis, edges in enumerate((blocks.columns, blocks.rows)):
        shown = (covered >= 0).any(axis=axis)  # across the other axis
        for start, end in pairwise(edges):
            assert (~shown[start:end]).sum() <= chip / 8


@given(length=st.integers(1, 2000), chip=st.integers(32, 400), share=st.floats(0, 0.9))
def test_no_chip_repeats_its_neighbour(length, chip, share):
    overlap = int(share * chip)
    columns = [each.x for each in plan_chips(0, cut_blocks(grid_of(length, 1), length, chip), chip, overlap)]
    assert (np.diff(columns) >= min(chip / 8, (chip - overlap) / 2) - 1).all()


def test_blocks_are_as_large_as_leaves_enough_of_them_with_labels():
    generator = np.random.default_rng(0)
    spread, few = generator.uniform(0, 4000, (500, 2)), generator.uniform(0, 300, (500, 2))
    assert choose_block([grid_of(4000, 4000)], [spread], 100, 0, None) == 8
    assert choose_block([grid_of(1000, 1000)], [spread / 4], 100, 0, None) == 2
    assert choose_block([grid_of(4000, 4000)], [few], 100, 0, None) == 1
    assert choose_block([grid_of(4000, 4000)], [spread], 100, 0, 3) == 3


def test_a_scene_goes_to_the_block_of_its_centre_and_has_no_more_pixels_than_it_shows():
    blocks = cut_blocks(grid_of(400, 200), 200, 50)
    chips = chips_of_scenes(0, blocks, [Scene(0, 150, 10, 90, 90), Scene(1, 210, 0, 190, 190)], np.array([7, 9]), 128)
    assert [(each.block, each.side, each.row) for each in chips] == [((0, 0, 0), 90, 7), ((0, 1, 0), 128, 9)]


def test_blocks_of_another_date_go_with_those_they_lie_on():
    first = {(0, column, 0): shapely.box(column * 10, 0, column * 10 + 10, 10) for column in range(3)}
    second = {(1, column, 0): shapely.box(column * 10 + 1, 1, column * 10 + 11, 11) for column in range(4)}
    units = join_blocks({**first, **second})
    assert [units[1, column, 0] for column in range(3)] == [units[0, column, 0] for column in range(3)]
    assert units[1, 3, 0] not in [units[block] for block in first]


@given(
    weights=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=40),
    seed=st.integers(0, 5),
)
def test_every_split_gets_labels_as_long_as_there_are_enough_blocks(weights, seed):
    weights = np.array([(*each, 4) for each in weights])
    splits = split_units(weights, (0.7, 0.15, 0.15), np.random.default_rng(seed))
    labelled = splits[weights[:, :-1].any(axis=1)]
    assert set(splits.tolist()) <= {0, 1, 2}
    assert len(set(labelled.tolist())) == min(3, len(labelled))
    assert not len(labelled) or 0 in labelled


def test_a_split_that_is_not_wanted_gets_nothing_and_shares_of_classes_are_kept():
    generator = np.random.default_rng(1)
    weights = np.column_stack([generator.poisson(3, 200), generator.random(200) < 0.1, np.ones(200)])
    splits = split_units(weights, (0.8, 0.2, 0.0), generator)
    assert set(splits) == {0, 1}
    labels = weights[:, :-1]
    assert labels[splits == 1].sum(axis=0) / labels.sum(axis=0) == pytest.approx(0.2, abs=0.02)


@given(
    places=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50), st.integers(0, 2)), min_size=1, max_size=30),
)
def test_no_two_chips_of_different_splits_keep_common_ground(places):
    footprints = np.array([shapely.box(x, y, x + 10, y + 10) for x, y, _ in places])
    splits = np.array([split for *_, split in places])
    keep = without_common_ground(footprints, splits)
    assert keep[splits == 2].all()
    for one, other in zip(*np.triu_indices(len(places), 1), strict=True):
        if keep[one] and keep[other] and splits[one] != splits[other]:
            assert footprints[one].intersection(footprints[other]).area < 1e-3
    for dropped in np.flatnonzero(~keep):
        stronger = footprints[keep & (splits > splits[dropped])]
        assert shapely.area(shapely.intersection(footprints[dropped], stronger)).any()
