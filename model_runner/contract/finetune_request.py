# SPDX-License-Identifier: GPL-2.0-or-later
"""What a training can be asked to do; see ``task_requests``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .model_card import TASKS
from .request_parts import PRECISIONS, option, refuse_band_numbers, refuse_share, refuse_unknown_task, refuse_unless

SCRATCH = "none"  # instead of a model to start from
CHECK_FILE = "check.json"  # in the output folder: what is wrong with the dataset
REPORT_FILE = "report.html"  # there too: how the training went


@dataclass(frozen=True)
class FinetuneRequest:
    """Train a model on a labelled dataset."""

    task: str = option("what the model shall do", choices=TASKS)
    data: str = option("dataset folder with train/ and val/", metavar="DIR")
    output: str = option("folder for the model, its card and the log; needed unless only the data are checked", "")
    check: bool = option("only tell what is wrong with the dataset; nothing is trained", False)
    init: str = option("id of the model to start from; 'none' starts from scratch", "")
    network: Optional[str] = option("network to train when starting from scratch (default: the task's smallest)", None)
    network_options: tuple[str, ...] = option(
        "what differs from the official network, as name=value; oversampling=2 for maps of what is a pixel or two wide",
        (),
    )
    backbone: Optional[str] = option(
        "weights of the backbone to start from: a model's id, a safetensors file or an official checkpoint (.pth)", None
    )
    model_id: str = option("id of the new model (default: the output folder's name)", "")
    resolution: Optional[float] = option(
        "ground resolution of the images in metres (default: by their georeference)", None
    )
    bands: tuple[int, ...] = option(
        "numbers of the images' bands to train on, first is 1 (default: the first ones, as many as the first model "
        "wants, else three)",
        (),
    )
    sample_size: Optional[int] = option(
        "side of the training samples in pixels (default: the model's tile size, or less where all images are smaller)",
        None,
        metavar="PX",
    )
    scale: Optional[tuple[float, ...]] = option(
        "smallest,largest factor by which training images are scaled; of scenes, over that at which the image fills "
        "the sample (default: by the task)",
        None,
    )
    mosaic: float = option("detect: share of the training samples that are joined of four images", 0.0)
    mixing: float = option("classify: share of the training samples that are mixed of two scenes", 0.0)
    epochs: Optional[int] = option(
        "number of passes over the training images (default: by their number, more if there are few)", None
    )
    batch_size: Optional[int] = option(
        "images a step; as many of them at once as the memory holds (default: 8, or all if there are fewer)",
        None,
        metavar="N",
    )
    learning_rate: Optional[float] = option(
        "highest learning rate (default: by the network, and by whether it starts from a model)", None
    )
    patience: Optional[int] = option(
        "epochs without a better figure after which training ends; 0 never (default: a third of the epochs, 10 at "
        "least)",
        None,
        metavar="EPOCHS",
    )
    frozen_stages: int = option(
        "stages of the backbone that keep the weights they start from: 0 none, 1 the first (with the stem) … 4 all", 0
    )
    balance: bool = option("show images with rare classes more often", False)
    skip_unreadable: bool = option("leave out images that cannot be read, instead of ending with an error", False)
    tensorboard: bool = option("write curves for TensorBoard too, into the log folder of the output", False)
    workers: int = option("processes that load images", 2)
    seed: int = option("seed of everything random", 0)
    resume: bool = option("go on from the last checkpoint in the output folder", False)
    device: str = option("auto, cpu, cuda or mps", "auto")
    precision: str = option("auto, fp32, bf16 or fp16", "auto", choices=PRECISIONS)

    def __post_init__(self) -> None:
        """Bring lists from JSON back to tuples and check the values."""
        object.__setattr__(self, "network_options", tuple(self.network_options))
        object.__setattr__(self, "bands", tuple(self.bands))
        refuse_unknown_task("Fine-tuning", self.task)
        refuse_unless(self.check or bool(self.output), "Name a folder for the new model with --output.")
        refuse_unless(
            self.init == SCRATCH or not (self.network or self.backbone),
            f"A network or a backbone is chosen where training starts from scratch: say so with --init {SCRATCH}, or "
            "leave --network and --backbone away.",
        )
        refuse_band_numbers(self.bands)
        if self.scale is not None:
            object.__setattr__(self, "scale", tuple(self.scale))
            refuse_unless(
                len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1],
                f"The scale is written smallest,largest, such as 0.5,2; "
                f"{','.join(f'{value:g}' for value in self.scale)} was given.",
            )
        refuse_share("share of mosaics", self.mosaic)
        refuse_share("share of mixed scenes", self.mixing)
        for name in ("epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            refuse_unless(
                value is None or value > 0, f"The {name.replace('_', ' ')} must be above 0; {value} was given."
            )
        refuse_unless(self.workers >= 0, f"The workers must be 0 or more processes; {self.workers} was given.")
        refuse_unless(self.seed >= 0, f"The seed must be 0 or more; {self.seed} was given.")
        refuse_unless(
            self.patience is None or self.patience >= 0,
            f"The patience must be 0 or more epochs; {self.patience} was given.",
        )
        refuse_unless(
            0 <= self.frozen_stages <= 4, f"There are 4 stages to freeze, 0 to 4; {self.frozen_stages} was given."
        )
        refuse_unless(
            self.sample_size is None or (self.sample_size >= 96 and self.sample_size % 32 == 0),
            f"The sample size must be a multiple of 32 from 96 pixels on; {self.sample_size} was given.",
        )
        refuse_unless(
            all("=" in pair for pair in self.network_options),
            f"Network options are written name=value; {' '.join(self.network_options)!r} was given.",
        )
