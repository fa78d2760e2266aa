# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from model_runner.contract.task_requests import DetectRequest, RasterSource
from model_runner.errors import InputError
from model_runner.report import Report
from model_runner.tasks.detect import detect


def test_a_result_that_could_not_be_written_is_refused_before_anything_else(tmp_path):
    request = DetectRequest(RasterSource("no raster"), output=str(tmp_path / "no" / "found.gpkg"), model="no model")
    with pytest.raises(InputError, match="there is no folder"):
        detect(request, Report())
