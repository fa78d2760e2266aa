# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithms of the provider ``lwganet``, in the order of daily use."""

from __future__ import annotations

from .classify_scenes import ClassifyScenes
from .detect_changes import DetectChanges
from .detect_objects import DetectObjects
from .evaluate_model import EvaluateModel
from .export_training_data import ExportTrainingData
from .finetune_model import FinetuneModel
from .load_training_data import LoadTrainingData
from .manage_models import ManageModels
from .segment_image import SegmentImage
from .setup_environment import SetupEnvironment

ALGORITHMS = (
    DetectObjects,
    SegmentImage,
    DetectChanges,
    ClassifyScenes,
    ExportTrainingData,
    LoadTrainingData,
    FinetuneModel,
    EvaluateModel,
    ManageModels,
    SetupEnvironment,
)
