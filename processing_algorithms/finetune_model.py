# SPDX-License-Identifier: GPL-2.0-or-later
"""From a dataset to a model of one's own."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

from qgis.core import (
    QgsProcessingOutputHtml,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from ..lwganet_qgis.results_viewer import add_page
from ..model_runner.contract.errors import InputError, ModelError
from ..model_runner.contract.finetune_request import CHECK_FILE, REPORT_FILE, FinetuneRequest
from ..model_runner.contract.model_card import DEFAULT_MODELS, NOT_IN_IDS, TASKS, find_cards, id_of_name, read_card
from .parameters import (
    FLOAT,
    INTEGER,
    advanced,
    bands_by_number,
    device_choice,
    explained,
    optional_number,
    precision_choice,
    resolution_choice,
    share,
    switch,
    text_with_choices,
)
from .runner_algorithm import RunnerAlgorithm

DEFAULT_INIT, SCRATCH = "auto", "none"
LONGEST_NAME = 60


class FinetuneModel(RunnerAlgorithm):
    """``lwganet:finetunemodel``."""

    NAME = "finetunemodel"
    DISPLAY_NAME = "Train model (on your own data)"
    SUMMARY = "Trains a model on a dataset of labelled images; the new model is in the toolbox at once."
    TAGS = ("deep learning", "training", "fine-tuning", "finetune", "transfer learning", "custom model", "lwganet")
    GROUP = ("training", "Training")
    TASK = "finetune"
    CANCEL_SECONDS = 120.0  # the best model so far is written, and its report
    FOLDERS_TO_GO_ON_IN = ("OUTPUT",)

    def initAlgorithm(self, configuration=None):
        models = [card.id for card in find_cards()]
        for parameter in (
            explained(
                QgsProcessingParameterEnum("TASK", "Task", list(TASKS), defaultValue="detect", usesStaticStrings=True),
                "What the model shall do: that for which the dataset was made.",
            ),
            explained(
                QgsProcessingParameterFile("DATA", "Dataset", QgsProcessingParameterFile.Behavior.Folder),
                "A folder with labelled images in train and val, such as 'Export training data' makes. It is checked "
                "before anything is trained.",
            ),
            explained(
                text_with_choices(
                    "INIT",
                    "Start from (auto: the plugin's model for the task)",
                    [DEFAULT_INIT, *models, SCRATCH],
                    DEFAULT_INIT,
                ),
                "A model for the same task, whatever its classes: what it has learnt helps where images are few. none "
                "starts from scratch. 'Manage models' brings the official checkpoints.",
            ),
            explained(
                QgsProcessingParameterString(
                    "MODEL_ID", "Name of the new model (empty: after the dataset)", optional=True
                ),
                "Small letters, digits, '.', '_' and '-'. By this name the other algorithms offer the model.",
            ),
            advanced(
                explained(
                    optional_number("EPOCHS", "Epochs (not set: by the number of images)", INTEGER, 1, 100_000),
                    "How often all training images are shown, at most: training ends when it no longer helps.",
                )
            ),
            advanced(
                explained(
                    optional_number(
                        "PATIENCE", "Epochs without progress to end after (not set: automatic)", INTEGER, 0, 100_000
                    ),
                    "Automatic: a third of the epochs, 10 at least. 0 never ends early.",
                )
            ),
            advanced(
                explained(
                    optional_number("BATCH_SIZE", "Images a step (not set: 8)", INTEGER, 1, 1024),
                    "If the memory does not hold as many at once, they are computed one part after the other.",
                )
            ),
            advanced(
                explained(
                    optional_number("LEARNING_RATE", "Learning rate (not set: by the network)", FLOAT, 1e-9, 1),
                    "The highest one of the schedule. Smaller ones change a first model less.",
                )
            ),
            advanced(
                explained(
                    optional_number(
                        "SAMPLE_SIZE", "Size of a sample in pixels (not set: the model's tile)", INTEGER, 96, 8192
                    ),
                    "The side of what the network sees of an image at once, a multiple of 32.",
                )
            ),
            advanced(
                resolution_choice(
                    "Resolution of the images in metres (not set: theirs)",
                    "For images without georeference: the size of a pixel on the ground. The model will work at it.",
                )
            ),
            bands_by_number("The bands that the model shall see, in its order; other numbers than three are possible."),
            advanced(
                explained(
                    QgsProcessingParameterString(
                        "SCALE", "Scale images by, such as 0.5,2 (empty: by the task)", optional=True
                    ),
                    "The smallest and the largest factor by which training images are made smaller or larger at "
                    "random. 1,1 leaves them as they are.",
                )
            ),
            share(
                "MOSAIC", "Share of samples joined of four images, 0 to 1 (detect)", 0.0, "Shows more objects at once."
            ),
            share(
                "MIXING",
                "Share of samples mixed of two scenes, 0 to 1 (classify)",
                0.0,
                "Keeps a model from being too sure where images are few.",
            ),
            switch(
                "BALANCE",
                "Show rare classes more often",
                "Images with classes that few images show come more often, so that these are learnt as well.",
            ),
            advanced(
                explained(
                    QgsProcessingParameterNumber(
                        "FROZEN_STAGES",
                        "Stages of the backbone that stay as they are",
                        INTEGER,
                        defaultValue=0,
                        minValue=0,
                        maxValue=4,
                    ),
                    "0: all is trained; 4: only what follows the backbone is. Faster, and less is forgotten where "
                    "images are very few.",
                )
            ),
            advanced(
                explained(
                    QgsProcessingParameterString("NETWORK", "Network (from scratch)", optional=True),
                    "Such as oriented_rcnn_l2 or unetformer_l1. Empty: the smallest one for the task.",
                )
            ),
            advanced(
                explained(
                    QgsProcessingParameterString(
                        "NETWORK_OPTIONS", "Options of the network, as name=value", optional=True
                    ),
                    "What differs from the official network, with commas between. With oversampling=2 networks of maps "
                    "look at images twice as finely as they are, for what is a pixel or two wide, and take four times "
                    "as long.",
                )
            ),
            advanced(
                explained(
                    QgsProcessingParameterString("BACKBONE", "Backbone (from scratch)", optional=True),
                    "Weights for the backbone: the name of a model for any task, a safetensors file or an official "
                    "checkpoint (.pth).",
                )
            ),
            switch(
                "SKIP_UNREADABLE",
                "Leave out images that cannot be read",
                "Otherwise the first such image ends the training.",
            ),
            switch(
                "TENSORBOARD",
                "Write curves for TensorBoard too",
                "Into the folder log of the training, step by step. TensorBoard itself is a program of its own.",
            ),
            advanced(
                explained(
                    QgsProcessingParameterNumber(
                        "WORKERS", "Processes that load images", INTEGER, defaultValue=2, minValue=0, maxValue=64
                    ),
                    "More are faster if the computer has the cores. 0 loads them in the training's own process.",
                )
            ),
            advanced(
                explained(
                    QgsProcessingParameterNumber("SEED", "Seed", INTEGER, defaultValue=0, minValue=0),
                    "The same number gives the same training again.",
                )
            ),
            advanced(device_choice()),
            precision_choice(),
            switch("CHECK", "Only check the dataset", "Tells what is wrong with the dataset, and trains nothing."),
            switch(
                "RESUME",
                "Go on with the training in the folder below",
                "For a training that was cancelled or interrupted: choose its folder and the same values again.",
            ),
            explained(
                QgsProcessingParameterFolderDestination("OUTPUT", "Training"),
                "A folder that is new or empty. It gets the model, the report, the log and what is needed to go on.",
            ),
        ):
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))
        self.addOutput(QgsProcessingOutputString("MODEL", "Name of the new model"))
        self.add_numbers(
            METRIC="The figure by which the weights were chosen",
            MAP50="detect: mean average precision at an overlap of 0.5",
            MIOU="segment: mean IoU of the classes",
            F1="detect (at the best threshold) and change (of the changed pixels): F1",
            BEST_THRESHOLD="detect: score from which F1 is highest, which is the new model's threshold",
            TOP_1="classify: share of the scenes whose likeliest class is right",
            EPOCH="The epoch after which the model had its weights",
            SECONDS="Seconds",
        )

    def prepare(self, values):
        task, init, folder = values.choice("TASK"), values.text("INIT"), Path(values.text("OUTPUT"))
        if init == DEFAULT_INIT:
            init = DEFAULT_MODELS[task]
        if init != SCRATCH:
            _refuse_missing_model(init, task)
        resume, check = values.flag("RESUME"), values.flag("CHECK")
        if not resume:
            _refuse_other_content(folder)
        self._wanted = FinetuneRequest(
            task=task,
            data=values.text("DATA"),
            output=str(folder),
            check=check,
            init=init,
            network=values.text("NETWORK") or None,
            network_options=values.names("NETWORK_OPTIONS"),
            backbone=values.file_or_name("BACKBONE") or None,
            model_id=_model_id(values.text("MODEL_ID"), task, Path(values.text("DATA")), folder, resume),
            resolution=values.number("RESOLUTION"),
            bands=values.bands(),
            sample_size=values.integer("SAMPLE_SIZE"),
            scale=values.numbers("SCALE") or None,
            mosaic=values.number_or_default("MOSAIC"),
            mixing=values.number_or_default("MIXING"),
            epochs=values.integer("EPOCHS"),
            batch_size=values.integer("BATCH_SIZE"),
            learning_rate=values.number("LEARNING_RATE"),
            patience=values.integer("PATIENCE"),
            frozen_stages=round(values.number_or_default("FROZEN_STAGES")),
            balance=values.flag("BALANCE"),
            skip_unreadable=values.flag("SKIP_UNREADABLE"),
            tensorboard=values.flag("TENSORBOARD"),
            workers=round(values.number_or_default("WORKERS")),
            seed=round(values.number_or_default("SEED")),
            resume=resume,
            device=values.text("DEVICE") or "auto",
            precision=values.choice("PRECISION"),
        )

    def request(self, values, results, folder, feedback):
        return replace(self._wanted, output=results.folder("OUTPUT"))

    def what_is_left(self, request):
        folder = Path(request.output)
        if request.check or not folder.is_dir():
            return ""
        go_on = f"To go on, run this again with the folder {folder} and 'Go on with the training'."
        page = folder / REPORT_FILE
        if page.is_file():
            add_page(self.icon(), "Report of a cancelled training", page)
            go_on = f"The report so far is {page}. {go_on}"
        try:
            model = read_card(folder).id
        except ModelError:
            return f"There is no model yet. {go_on}"
        return f"The best model so far is '{model}', which is in the toolbox. {go_on}"

    def deliver(self, finished, results):
        if "model" not in finished.outputs:
            return {"OUTPUT": str(Path(finished.outputs["check"]).parent)}
        card = read_card(Path(finished.outputs["model"]))
        delivered = {
            "OUTPUT": finished.outputs["folder"],
            "MODEL": card.id,
            "METRIC": next(iter(card.metrics.values())),
        }
        if "report" in finished.outputs:
            delivered["REPORT"] = finished.outputs["report"]
        return delivered


def _refuse_missing_model(wanted: str, task: str) -> None:
    """Refuse to start from a model that is not installed for the task.

    Raises:
        ModelError: it is not.
    """
    names = [card.id for card in find_cards(task)]
    if wanted not in names:
        raise ModelError(
            f"There is no model '{wanted}' for the task {task} to start from; installed are "
            f"{', '.join(names) or 'none'}. 'Manage models' (lwganet:managemodels) can bring more, and '{SCRATCH}' "
            "starts from scratch."
        )


def _refuse_other_content(folder: Path) -> None:
    """Refuse a folder for a new training that holds more than what a check has left.

    Raises:
        InputError: it does.
    """
    if folder.is_dir() and any(each.name != CHECK_FILE for each in folder.iterdir()):
        raise InputError(
            f"The folder {folder}, chosen for the training, is not empty; choose one that is new or empty, or 'Go on "
            "with the training' to resume the one in it."
        )


def _model_id(chosen: str, task: str, data: Path, folder: Path, resume: bool) -> str:
    """The id of the new model: what the user chose, that of the training to go on with, or one after the dataset.

    Raises:
        InputError: the chosen id is none, or there is a model of that id.
    """
    if NOT_IN_IDS.search(chosen):
        raise InputError(f"The name '{chosen}' may hold only small letters, digits, '.', '_' and '-'.")
    taken = {card.id for card in find_cards()}
    if resume:
        try:
            own = read_card(folder).id
        except ModelError:
            own = ""
        if own and chosen in ("", own):
            return own
    if chosen in taken:
        raise InputError(f"There is a model '{chosen}' already; choose another name, or remove it first.")
    stem = id_of_name(data.name, LONGEST_NAME)
    names = (f"{stem}-{task}{f'-{number}' if number > 1 else ''}" for number in count(1))
    return chosen or next(name for name in names if name not in taken)
