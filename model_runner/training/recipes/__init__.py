# SPDX-License-Identifier: GPL-2.0-or-later
"""How networks are trained: a recipe for each kind of network, and what the recipes have in common.

``module`` and ``fit`` are the same for every task; a further task is a further recipe.
"""

from model_runner.errors import InputError
from model_runner.networks.lwganet import SIZES
from model_runner.training.recipes.change import A2NET, CLAFA
from model_runner.training.recipes.detection import DetectionRecipe
from model_runner.training.recipes.recipe import Recipe
from model_runner.training.recipes.scenes import SceneRecipe
from model_runner.training.recipes.segmentation import SegmentationRecipe

# by the networks' names without their sizes
RECIPES: dict[str, Recipe] = {
    "oriented_rcnn": DetectionRecipe(),
    "unetformer": SegmentationRecipe(),
    "a2net": A2NET,
    "clafa": CLAFA,
    "classifier": SceneRecipe(),
}
DEFAULT_NETWORKS = {
    "detect": "oriented_rcnn_l0",
    "segment": "unetformer_l0",
    "change": "a2net_l0",
    "classify": "classifier_l0",
}


def find_recipe(task: str, network: str) -> Recipe:
    """The recipe by which a network learns a task.

    Raises:
        InputError: there is no such network, or it is not for the task.
    """
    suitable = {f"{kind}_{size}": recipe for kind, recipe in RECIPES.items() if recipe.task == task for size in SIZES}
    if network not in suitable:
        *others, last = suitable
        raise InputError(
            f"There is no network {network!r} that learns the task {task}; choose {', '.join(others)} or {last}."
        )
    return suitable[network]
