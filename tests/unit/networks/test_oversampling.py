# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks that look at images more finely than the images are."""

import pytest
import torch
from torch.nn import functional as F

from model_runner.networks import build_network


@pytest.mark.parametrize(("name", "dates", "options"), [("unetformer_l0", 1, {"num_classes": 2}), ("a2net_l0", 2, {})])
def test_an_oversampling_network_sees_enlarged_images_and_answers_at_their_size(name, dates, options):
    torch.manual_seed(0)
    plain = build_network(name, **options).eval()
    finer = build_network(name, **options, oversampling=2).eval()
    finer.load_state_dict(plain.state_dict())
    images = [torch.randn(1, 3, 96, 128) for _ in range(dates)]
    with torch.inference_mode():
        found = finer(*images)
        enlarged = plain(*(F.interpolate(each, scale_factor=2, mode="bilinear") for each in images))
    assert found.shape[-2:] == (96, 128)
    # both come from the same maps: the middle of two by two pixels is the pixel
    torch.testing.assert_close(F.avg_pool2d(enlarged, 2), found, atol=2e-2 * found.std().item(), rtol=0.05)
    finer.train()
    answers = finer(*images)
    assert all(each.shape[-2:] == (96, 128) for each in answers)
