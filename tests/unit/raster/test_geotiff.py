# SPDX-License-Identifier: GPL-2.0-or-later
"""Results on the disk: every pixel, its place on the ground and its meaning."""

import os
import warnings
from contextlib import contextmanager
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from model_runner.errors import InputError
from model_runner.raster.geotiff import (
    NO_CLASS,
    class_numbers,
    probabilities,
    rounded_probabilities,
    writing_geotiff,
)
from model_runner.raster.working_grid import WorkingGrid
from model_runner.raster.writer import atomic

CLASSES = class_numbers("kind of ground", [("water & ice", "#1f78b4"), ("forêt", "#33a02c"), ("built-up", "#e31a1c")])
ROTATED = Affine.translation(400_000.3, 5_800_000.7) @ Affine.rotation(23) @ Affine.scale(0.3, -0.4)
UTM = CRS.from_epsg(32633)


@contextmanager
def writing(path, grid, meaning, check_cancelled=lambda: None):
    with atomic(path) as unfinished, writing_geotiff(unfinished, path, grid, meaning, check_cancelled) as writer:
        yield writer


def opened(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rasterio.open(path)


def test_windows_in_any_order_become_a_cloud_optimised_geotiff(tmp_path):
    values = np.random.default_rng(0).integers(0, 3, (700, 1300)).astype(np.uint8)
    path = tmp_path / "a.tif"
    with writing(path, WorkingGrid(1300, 700, ROTATED, UTM), CLASSES) as writer:
        for x, y in np.random.default_rng(1).permutation(
            [(x, y) for x in range(0, 1300, 90) for y in range(0, 600, 70)]
        ):
            writer.write(x, y, values[y : min(y + 70, 600), x : x + 90])
        assert not path.exists()
    with opened(path) as dataset:
        assert (dataset.read(1)[:600] == values[:600]).all()
        assert (dataset.read(1)[600:] == NO_CLASS).all()  # nobody wrote these
        assert dataset.transform == ROTATED
        assert dataset.crs == UTM
        assert dataset.nodata == NO_CLASS
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.overviews(1) == [2, 4]
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
        assert dataset.descriptions == ("kind of ground",)


def test_classes_have_their_names_and_colours(tmp_path):
    path = tmp_path / "a.tif"
    with writing(path, WorkingGrid(5, 4, ROTATED, UTM), CLASSES) as writer:
        writer.write(0, 0, np.zeros((4, 5), np.uint8))
    with opened(path) as dataset:
        colours = dataset.colormap(1)
    assert [colours[number] for number in range(3)] == [(31, 120, 180, 255), (51, 160, 44, 255), (227, 26, 28, 255)]
    assert colours[NO_CLASS][3] == 0
    names = [each.text for each in ElementTree.parse(f"{path}.aux.xml").iter("Category")]
    assert names == ["water & ice", "forêt", "built-up"]
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "a.tif.aux.xml"]


def test_an_overview_shows_most_of_the_pixels_class_and_their_mean_probability(tmp_path):
    grid = WorkingGrid(1024, 1024, ROTATED, UTM)
    values = np.tile(np.array([[0, 2], [2, 2]], np.uint8), (512, 512))
    with writing(tmp_path / "a.tif", grid, CLASSES) as writer:
        writer.write(0, 0, values)
    with writing(tmp_path / "b.tif", grid, probabilities("how sure")) as writer:
        writer.write(0, 0, rounded_probabilities(values / 2, values == 2))
    with opened(tmp_path / "a.tif") as classes, opened(tmp_path / "b.tif") as sure:
        assert (classes.read(1, out_shape=(512, 512)) == 2).all()
        assert (sure.read(1, out_shape=(512, 512)) == 1).all()
        assert sure.nodata == -1


@pytest.mark.parametrize(
    ("to_ground", "crs"),
    [
        (Affine(1, 0, 0, 0, -1, 0), None),
        (Affine(1, 0, 7, 0, -1, -9), None),
        (ROTATED, None),
        (Affine(0.1, 0, 5, 0, -0.2, 50), CRS.from_epsg(4326)),
    ],
)
def test_the_place_is_kept_also_where_there_is_no_reference_system(tmp_path, to_ground, crs):
    with writing(tmp_path / "a.tif", WorkingGrid(1, 3, to_ground, crs), CLASSES) as writer:
        writer.write(0, 0, np.array([[2], [1], [0]], np.uint8))
    with opened(tmp_path / "a.tif") as dataset:
        expected = Affine.identity() if to_ground == Affine(1, 0, 0, 0, -1, 0) else to_ground
        assert dataset.transform == expected
        assert dataset.crs == crs
        assert dataset.read(1).tolist() == [[2], [1], [0]]


def test_what_is_written_can_be_read_before_it_is_put_into_place(tmp_path):
    with writing(tmp_path / "a.tif", WorkingGrid(2, 2, ROTATED, UTM), CLASSES) as writer:
        writer.write(0, 0, np.array([[2, 1]], np.uint8))
        with writer.reading_back() as dataset:
            assert dataset.read(1).tolist() == [[2, 1], [NO_CLASS, NO_CLASS]]


def test_a_run_that_ends_early_leaves_nothing(tmp_path):
    def fail():
        with writing(tmp_path / "a.tif", WorkingGrid(900, 900, ROTATED, UTM), CLASSES) as writer:
            writer.write(0, 0, np.zeros((100, 900), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert os.listdir(tmp_path) == []


class Stopped(Exception):
    """Somebody asked to stop."""


def test_the_making_of_the_result_stops_in_its_midst_and_leaves_nothing(tmp_path):
    values = np.random.default_rng(0).integers(0, 3, (1100, 1100)).astype(np.uint8)
    questions = 0

    def write(stop_at):
        def check_cancelled():
            nonlocal questions
            questions += 1
            if questions == stop_at:
                raise Stopped

        with writing(tmp_path / "a.tif", WorkingGrid(1100, 1100, ROTATED, UTM), CLASSES, check_cancelled) as writer:
            writer.write(0, 0, values)

    write(stop_at=None)
    asked = questions
    assert asked > 9  # at least once a block
    for path in tmp_path.iterdir():
        path.unlink()
    for stop_at in (1, 2, asked // 2, asked):
        questions = 0
        with pytest.raises(Stopped):
            write(stop_at)
        assert questions == stop_at
        assert os.listdir(tmp_path) == []


def test_more_classes_than_numbers_are_refused():
    with pytest.raises(InputError, match="at most 255 of them; the model has 300"):
        class_numbers("too many", [("one", "#000000")] * 300)


def test_probabilities_are_rounded_to_parts_that_compress():
    values = rounded_probabilities(np.array([[0.0, 1.0, 1 / 3, 0.9]]), np.array([[True, True, True, False]]))
    assert values.tolist() == [[0, 1, 341 / 1024, -1]]
    assert values.dtype == np.float32
