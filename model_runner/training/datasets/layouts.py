# SPDX-License-Identifier: GPL-2.0-or-later
"""For which task the folders of a dataset are laid out, and in which parts."""

from pathlib import Path

from model_runner.errors import InputError
from model_runner.training.datasets.coco import holds_annotations
from model_runner.training.datasets.dota import IMAGES, LABELS, is_dota
from model_runner.training.datasets.findings import Finding, Tell
from model_runner.training.datasets.maps import CLASSES_FILE, MASK_FOLDERS, PAIR_FOLDERS
from model_runner.training.datasets.objects import object_splits
from model_runner.training.datasets.scenes import scene_folders, scene_splits
from model_runner.training.datasets.splits import SPLITS, part_folder, present_splits

# what a dataset for a task has in it, or in each split
LAYOUTS = {
    "detect": f"{IMAGES} and {LABELS}, or annotations in COCO's JSON",
    "segment": f"{MASK_FOLDERS[0]}, {MASK_FOLDERS[1]} and {CLASSES_FILE}",
    "change": f"{PAIR_FOLDERS[0]}, {PAIR_FOLDERS[1]} and {PAIR_FOLDERS[2]}",
    "classify": "a folder of images for each class, two at least",
}
NO_CLASSES = {IMAGES, LABELS, *MASK_FOLDERS, *PAIR_FOLDERS}


def check_layout(folder: Path, task: str, tell: Tell) -> bool:
    """Whether a folder is there, and not laid out for another task than this; if it is, ``tell`` is told."""
    if not folder.is_dir():
        tell(Finding("layout", str(folder), f"There is no folder {folder}; choose that of a dataset."))
        return False
    others = find_other_tasks(folder, task)
    if others:
        text = (
            f"{folder} was made for another task: it has the layout of a dataset for {' or '.join(others)}, not for "
            f"{task}, which has {LAYOUTS[task]}."
        )
        tell(Finding("other_task", str(folder), text))
    return not others


def find_task(folder: Path) -> str:
    """The task for which a dataset is laid out.

    Raises:
        InputError: for none; the text tells what there can be.
    """
    tasks = _laid_out_for(folder)
    if tasks:
        return tasks[0]
    layouts = "; ".join(f"{layout} ({task})" for task, layout in LAYOUTS.items())
    raise InputError(f"{folder} holds no dataset. It would have in it, or in each of {', '.join(SPLITS)}: {layouts}.")


def find_other_tasks(folder: Path, task: str) -> tuple[str, ...]:
    """The tasks for which a dataset is laid out, where it is not for this one."""
    tasks = _laid_out_for(folder)
    may_be_this = task in tasks or (task == "detect" and holds_annotations(folder))
    return () if may_be_this else tasks


def dataset_splits(folder: Path, task: str) -> tuple[str, ...]:
    """The splits that a dataset for a task has; none where it is not divided."""
    if task == "detect":
        return object_splits(folder)
    if task == "classify":
        return scene_splits(folder)
    return present_splits(folder, (MASK_FOLDERS if task == "segment" else PAIR_FOLDERS)[0])


def _laid_out_for(folder: Path) -> tuple[str, ...]:
    """The tasks whose folders a dataset has, itself or in a split; else that of COCO's files or of scenes' folders."""
    roots = (folder, *(part_folder(folder, split) for split in SPLITS))

    def holds(names: tuple[str, ...]) -> bool:
        return any(all((root / name).is_dir() for name in names) for root in roots)

    found = {"segment": holds(MASK_FOLDERS), "change": holds(PAIR_FOLDERS), "detect": is_dota(folder)}
    told = tuple(task for task, is_there in found.items() if is_there)
    if told:
        return told
    if holds_annotations(folder):
        return ("detect",)
    return ("classify",) if _holds_scenes(folder) else ()


def _holds_scenes(folder: Path) -> bool:
    """Whether there are images in two folders at least whose names other layouts do not have."""
    return len(scene_folders(folder) - NO_CLASSES) >= 2
