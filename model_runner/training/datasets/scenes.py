# SPDX-License-Identifier: GPL-2.0-or-later
"""Images that are scenes of a kind, in one folder a class."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from model_runner.errors import InputError, UnreadableRaster
from model_runner.raster.scenes import SEEN_SHARE
from model_runner.training.datasets.findings import Finding, Tell, refuse
from model_runner.training.datasets.images import COLOURS, IMAGE_SUFFIXES, Pixels, find_images, image_size, read_image
from model_runner.training.datasets.splits import SPLITS, part_folder


class LabelledScene(NamedTuple):
    """An image and what it shows.

    Attributes:
        image: uint8 (bands, H, W), of most datasets red, green, blue.
        shares: float32 (classes,), how much of the scene is of each class; they add up to 1.
        name: of the image, with its class.
    """

    image: Tensor
    shares: Tensor
    name: str


class SceneDataset(Dataset[LabelledScene]):
    """A dataset of scenes: ``CLASS/NAME.{tif,tiff,png,jpg,jpeg}``.

    All files are looked at once, before hours of training are spent; images are read when they are asked for, and
    what cannot be read is told then.

    Args:
        folder: holds the classes' folders, or folders named train, val and test that do. In the first case every split
            is the whole dataset.
        split: such as "train" or "val".
        class_names: a class's place here is its number.
        pixels: which bands of the images are seen, and how.

    Attributes:
        paths: of the images, by class.
        labels: their class numbers.

    Raises:
        InputError: a folder is missing or empty, a class is unknown, or an image is not of 8 bits.
    """

    def __init__(self, folder: Path, split: str, class_names: tuple[str, ...], pixels: Pixels = COLOURS) -> None:
        scenes = find_scenes(folder, split, refuse)
        for path, name in scenes:
            if name not in class_names:
                raise InputError(f"{path.parent}: the class {name} is unknown; known are {', '.join(class_names)}.")
        self.paths = [path for path, _ in scenes]
        self.labels = [class_names.index(name) for _, name in scenes]
        self._class_count = len(class_names)
        self._pixels = pixels
        for path in self.paths:
            with suppress(UnreadableRaster):
                image_size(path, pixels)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> LabelledScene:
        path = self.paths[index]
        shares = F.one_hot(torch.tensor(self.labels[index]), self._class_count).float()
        return LabelledScene(read_image(path, self._pixels), shares, f"{path.parent.name}/{path.name}")

    def classes_of(self, index: int) -> list[int]:
        """The number of the class that an image shows, which stays unread."""
        return [self.labels[index]]


class MiddlesOfScenes(Dataset[LabelledScene]):
    """Scenes as a model sees them.

    Args:
        samples: the labelled images.
        side: what the model sees of each, in pixels.
    """

    def __init__(self, samples: SceneDataset, side: int) -> None:
        self._samples = samples
        self._side = side

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> LabelledScene:
        scene = self._samples[index]
        return scene._replace(image=middle_of_scene(scene.image, self._side))


def find_scenes(folder: Path, split: str, tell: Tell) -> list[tuple[Path, str]]:
    """The images of a split and their classes, by class; ``tell`` is told of classes without images.

    Raises:
        InputError: there is no such split, or no class in it.
    """
    scenes = []
    for name, each in _class_folders(part_folder(folder, split) if scene_splits(folder) else folder).items():
        try:
            scenes += [(path, name) for path in find_images(each)]
        except InputError as error:
            tell(Finding("layout", str(each), str(error)))
    return scenes


def find_scene_classes(folder: Path) -> tuple[str, ...]:
    """The classes of a dataset, of all its splits: the names of the folders, sorted.

    Raises:
        InputError: there are less than two.
    """
    roots = [part_folder(folder, split) for split in scene_splits(folder)] or [folder]
    names = tuple(sorted({name for root in roots for name in _class_folders(root)}))
    if len(names) < 2:
        raise InputError(f"{folder} has {len(names)} class; scenes need two classes at least, each in its folder.")
    return names


def middle_of_scene(image: Tensor, side: int) -> Tensor:
    """What a model sees of a scene: the square in its middle, without a margin.

    Args:
        image: uint8 (c, h, w); its shorter side is brought to 8/7 of ``side``, averaged where it is larger.
        side: of the result, uint8 (c, side, side), in pixels.
    """
    whole = resize_shorter_side(image, round(side / SEEN_SHARE))
    top, left = ((length - side) // 2 for length in whole.shape[1:])
    return whole[:, top : top + side, left : left + side]


def resize_shorter_side(image: Tensor, side: int) -> Tensor:
    """An image uint8 (c, h, w) with its shorter side brought to ``side`` pixels, averaged where it is larger."""
    shorter = min(image.shape[1:])
    if shorter == side:
        return image
    size = [round(length * side / shorter) for length in image.shape[1:]]
    resized = F.interpolate(image[None].float(), size, mode="bilinear", antialias=True, align_corners=False)[0]
    return resized.round_().clamp_(0, 255).byte()


def scene_splits(folder: Path) -> tuple[str, ...]:
    """The splits that a dataset has; none where the classes' folders lie in ``folder`` itself."""
    return tuple(split for split in SPLITS if part_folder(folder, split).is_dir())


def scene_folders(folder: Path) -> set[str]:
    """The names of the folders with images in them, of all splits."""
    roots = [part_folder(folder, split) for split in scene_splits(folder)] or [folder]
    return {
        name
        for root in roots
        for name, each in _folders_in(root).items()
        if any(path.suffix.lower() in IMAGE_SUFFIXES for path in each.iterdir())
    }


def _class_folders(folder: Path) -> dict[str, Path]:
    """The classes' folders by name, sorted."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; a dataset of scenes has a folder for each class in it.")
    folders = _folders_in(folder)
    if not folders:
        raise InputError(f"There are no folders in {folder}; a dataset of scenes has one for each class.")
    return folders


def _folders_in(folder: Path) -> dict[str, Path]:
    """Folders by name, sorted, without hidden ones."""
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != "."}
