# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled demonstration scenes for oriented detection: real backgrounds with drawn objects and their exact boxes.

``python -m model_runner.training.generated_scenes --help`` writes them as a folder in DOTA's layout.
"""

from model_runner.training.generated_scenes.dataset import write_dataset
from model_runner.training.generated_scenes.scenes import CLASSES, Scene, SceneGenerator

__all__ = ["CLASSES", "Scene", "SceneGenerator", "write_dataset"]
