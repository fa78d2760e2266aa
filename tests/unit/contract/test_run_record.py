# SPDX-License-Identifier: GPL-2.0-or-later
import json

import pytest

from model_runner.contract.run_record import output_in, record_beside


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (None, "town.run.json"),
        ({"request": {"output": "town.gpkg"}}, "town.run.json"),  # of the same result, made anew
        ({"request": {"output": "town.tif"}}, "town.gpkg.run.json"),
        ({"stretch": None}, "town.run.json"),
        ("no record", "town.run.json"),
    ],
)
def test_results_of_two_kinds_and_one_name_have_records_of_their_own(tmp_path, there, expected):
    if there is not None:
        (tmp_path / "town.run.json").write_text(there if isinstance(there, str) else json.dumps(there))
    assert record_beside(tmp_path / "town", str(tmp_path / "town.gpkg")) == tmp_path / expected


def test_what_is_not_known_of_a_result_is_no_other(tmp_path):
    (tmp_path / "town.run.json").write_text('{"request": {"output": "town.tif"}}')
    assert output_in(tmp_path / "town.run.json") == "town.tif"
    assert output_in(tmp_path / "none.run.json") is None
    assert record_beside(tmp_path / "town", None) == tmp_path / "town.run.json"
