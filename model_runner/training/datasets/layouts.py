# SPDX-License-Identifier: GPL-2.0-or-later
"""For which task the folders of a dataset are laid out."""

from pathlib import Path

from model_runner.training.datasets.coco import is_coco
from model_runner.training.datasets.dota import is_dota
from model_runner.training.datasets.maps import MASK_FOLDERS, PAIR_FOLDERS
from model_runner.training.datasets.splits import SPLITS, part_folder


def find_other_tasks(folder: Path, task: str) -> tuple[str, ...]:
    """The tasks for which a dataset is laid out, where it is not for this one; none where its folders may be scenes."""
    roots = (folder, *(part_folder(folder, split) for split in SPLITS))

    def holds(names: tuple[str, ...]) -> bool:
        return any(all((root / name).is_dir() for name in names) for root in roots)

    found = {"detect": is_dota(folder), "segment": holds(MASK_FOLDERS), "change": holds(PAIR_FOLDERS)}
    if found.get(task) or (task == "detect" and is_coco(folder)):
        return ()
    return tuple(other for other, is_there in found.items() if is_there)
