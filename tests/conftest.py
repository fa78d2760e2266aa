# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the runner share: golden numbers and tiny rasters."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def golden_arrays() -> Callable[[str], dict[str, torch.Tensor]]:
    """The arrays of a golden file by name."""

    def load(name: str) -> dict[str, torch.Tensor]:
        with np.load(DATA / f"{name}.npz") as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    return load
