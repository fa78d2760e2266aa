# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from model_runner.contract.file_names import fitting_file_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Lake Shala, north", "Lake Shala, north"),
        (" a/b\\c:d*e?. ", "a_b_c_d_e_"),
        ("tab\there", "tab_here"),
        ("..", ""),
        ("con", "con_"),
        ("AUX", "AUX_"),
        ("com1.tif", "com1_.tif"),
        ("nul.2020.tif", "nul_.2020.tif"),
        ("conifers", "conifers"),
        ("my con", "my con"),
    ],
)
def test_names_of_files_fit_every_system(text, name):
    assert fitting_file_name(text) == name
