# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from model_runner.training.recipes import RECIPES
from model_runner.training.schedules import cosine, polynomial, staircase, warm_up


def test_the_courses_are_the_published_ones():
    assert warm_up(0, 200, 0.1) == pytest.approx(0.1)
    assert warm_up(100, 200, 0.1) == pytest.approx(0.55)
    assert warm_up(500, 200, 0.1) == 1
    assert [staircase(step, 300) for step in (0, 159, 160, 220, 299)] == pytest.approx([1, 1, 0.1, 0.01, 0.001])
    assert [cosine(step, 100) for step in (0, 50, 100)] == pytest.approx([1, 0.5, 0])
    assert cosine(100, 100, 0.25) == pytest.approx(0.25)
    assert polynomial(20_000, 40_000) == pytest.approx(0.5**0.9)


@pytest.mark.parametrize("kind", RECIPES)
@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_every_recipe_starts_low_or_at_once_and_ends_low(kind, steps):
    course = [RECIPES[kind].learning_rate_factor(step, steps) for step in range(steps + 1)]
    assert all(0 <= factor <= 1 for factor in course)
    assert course[-1] <= 0.01
    assert max(course) > 0.99 or steps < 1000
