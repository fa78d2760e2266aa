# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled demonstration scenes for segmentation and change: real grounds joined along random borders.

``python -m model_runner.training.composed_scenes --help`` writes them as folders of images and masks, or of pairs.
"""

from model_runner.training.composed_scenes.grounds import CLASSES, Grounds
from model_runner.training.composed_scenes.pairs import compose_pair
from model_runner.training.composed_scenes.scenes import compose_scene

__all__ = ["CLASSES", "Grounds", "compose_pair", "compose_scene"]
