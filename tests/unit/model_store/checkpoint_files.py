# SPDX-License-Identifier: GPL-2.0-or-later
"""Checkpoint files as the official programs write them."""

from functools import cache

import numpy as np
import torch

from model_runner.model_store.official_checkpoints import DOTA_CLASSES, read_classes
from model_runner.networks import build_network


@cache
def detector_weights(num_classes=15):
    """The tensors of an Oriented R-CNN with LWGANet-L0, drawn at random, by their official names."""
    torch.manual_seed(0)
    return build_network("oriented_rcnn_l0", num_classes=num_classes).state_dict()


def detector_checkpoint(weights=None, classes=None):
    """What mmcv's ``save_checkpoint`` saves: the entries, and their types, of the official files."""
    weights = detector_weights() if weights is None else weights
    return {
        "meta": {
            "env_info": "sys.platform: linux\nPython: 3.8",
            "config": "model = dict(type='OrientedRCNN')\n" * 200,
            "seed": 1234,
            "exp_name": "ORCNN_LWGANet_L0_fpn_le90_dota10_ss_e30.py",
            "epoch": 30,
            "iter": np.int64(96000),
            "hook_msgs": {"best_score": np.float64(0.5), "best_ckpt": "epoch_30.pth", "flag": np.bool_(True)},
            "mmrotate_version": "0.3.4",
            "CLASSES": tuple(each.name for each in read_classes(DOTA_CLASSES, 15)) if classes is None else classes,
            "PALETTE": None,
            "mmcv_version": "1.7.2",
            "time": "Sat Nov 21 00:21:07 2026",
        },
        "state_dict": weights,
        "optimizer": {
            "state": {0: {"step": 96000, "exp_avg": torch.zeros(32, 3, 4, 4), "exp_avg_sq": torch.zeros(32, 3, 4, 4)}},
            "param_groups": [{"lr": np.float32(1e-6), "betas": (0.9, 0.999), "weight_decay": 0.05, "params": [0]}],
        },
    }
