# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known about a model without opening its weights: ``card.json`` beside ``model.safetensors``."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Iterator, Optional
from unicodedata import normalize

from .errors import ModelError
from .folders import embedded_models_folder, user_models_folder

TASKS = ("detect", "segment", "change", "classify")
DEFAULT_MODELS = {
    "detect": "detect-ucm-l0",
    "segment": "segment-demo-l0",
    "change": "change-demo-l0",
    "classify": "scene-ucm-l0",
}
BACKGROUND = "background"  # the class of what is nothing of interest, where it has no other name
CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
NOT_IN_IDS = re.compile(r"[^a-z0-9._-]+")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


@dataclass(frozen=True)
class ModelClass:
    """One class that a model knows; its number is its place in the card's list."""

    name: str
    colour: str = "#e31a1c"


@dataclass(frozen=True)
class Resolution:
    """Ground resolutions in metres per pixel: where the model works, and where it works best."""

    finest: float
    best: float
    coarsest: float


@dataclass(frozen=True)
class Licence:
    """Under which terms the weights may be used."""

    name: str
    address: str = ""
    commercial_use: bool = True


@dataclass(frozen=True)
class ModelCard:
    """A model as the user meets it.

    ``mean`` and ``std`` are those of the training pixels on the scale 0 to 255, a value for each band.
    ``stretch_percentiles`` tells how rasters that are not 8 bit are brought to that scale;
    where ``stretch_limits`` has, for each band, the values that become 0 and 255, these are taken instead.
    ``data_fingerprint`` is a SHA-256 over the images and labels that it learnt from last, ``made_with`` the program
    and its version.
    """

    id: str
    title: str
    task: str
    network: str
    classes: tuple[ModelClass, ...]
    bands: tuple[str, ...] = ("red", "green", "blue")
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    stretch_percentiles: tuple[float, float] = (2.0, 98.0)
    stretch_limits: tuple[tuple[float, float], ...] = ()
    resolution: Optional[Resolution] = None
    network_options: dict = field(default_factory=dict)
    tile_size: int = 1024
    overlap: int = 200
    threshold: float = 0.3
    merge_iou: float = 0.1
    licence: Licence = field(default_factory=lambda: Licence("unknown", commercial_use=False))
    description: str = ""
    training_data: str = ""
    limits: str = ""
    metrics: dict = field(default_factory=dict)
    weights_sha256: str = ""
    data_fingerprint: str = ""
    made_with: str = ""

    def __post_init__(self) -> None:
        """Refuse what no model can be.

        Raises:
            ModelError: the card contradicts itself.
        """
        if not _ID.fullmatch(self.id):
            raise ModelError(f"The model id {self.id!r} may hold only small letters, digits, '.', '_' and '-'.")
        if self.task not in TASKS:
            raise ModelError(f"Model {self.id} is for the task {self.task!r}; known are {', '.join(TASKS)}.")
        if not self.classes:
            raise ModelError(f"Model {self.id} names no classes.")
        if not len(self.bands) == len(self.mean) == len(self.std):
            raise ModelError(
                f"Model {self.id} names {len(self.bands)} bands, {len(self.mean)} means and {len(self.std)} "
                "standard deviations; there must be one of each for every band."
            )

        if self.stretch_limits and len(self.stretch_limits) != len(self.bands):
            raise ModelError(f"Model {self.id} names {len(self.bands)} bands and {len(self.stretch_limits)} stretches.")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes by number."""
        return tuple(each.name for each in self.classes)

    @property
    def background(self) -> Optional[int]:
        """The number of the class of what is nothing of interest; None if every class is of interest."""
        if self.task == "change":
            return 0
        return self.class_names.index(BACKGROUND) if BACKGROUND in self.class_names else None

    def refuse_bands(self, count: int, whose: str = "you chose") -> Optional[str]:
        """Why this number of bands cannot work, or None; ``whose`` says where the number comes from."""
        if count == len(self.bands):
            return None
        return f"Model {self.id} needs {len(self.bands)} bands ({', '.join(self.bands)}); {whose} {count}."

    def refuse_classes(self, wanted: tuple[str, ...]) -> Optional[str]:
        """Why these classes cannot be asked for, or None."""
        unknown = [name for name in wanted if name not in self.class_names]
        if not unknown:
            return None
        return f"Model {self.id} knows no class {', '.join(unknown)}; it knows {', '.join(self.class_names)}."

    def to_json(self) -> str:
        """The text of ``card.json``."""
        return json.dumps({"card_version": 1, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


def id_of_name(name: str, longest: int = 80) -> str:
    """The id of a model that is called by some name, such as that of a folder; "model" if no letter of it can stay."""
    plain = normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()  # u for ü, ss for ß
    return NOT_IN_IDS.sub("-", plain).strip("-._")[:longest].rstrip("-._") or "model"


def card_from_json(text: str) -> ModelCard:
    """The card in the text of a ``card.json``.

    Raises:
        ModelError: the text is no model card.
    """
    try:
        body = json.loads(text)
        if body.pop("card_version") != 1:
            raise ValueError("it is of another version")
        body["classes"] = tuple(ModelClass(**each) for each in body["classes"])
        body["licence"] = Licence(**body["licence"])
        body["resolution"] = Resolution(**body["resolution"]) if body.get("resolution") else None
        for name in ("bands", "mean", "std", "stretch_percentiles"):
            if name in body:
                body[name] = tuple(body[name])
        body["stretch_limits"] = tuple((low, high) for low, high in body.get("stretch_limits", ()))
        return ModelCard(**body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"This is no model card: {error}.") from error


def read_card(folder: Path) -> ModelCard:
    """The card of the model in a folder.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    try:
        return card_from_json((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ModelError) as error:
        raise ModelError(f"The model card {folder / CARD_FILE} cannot be used: {error}") from error


def model_folders() -> Iterator[Path]:
    """The folders that hold a model, embedded ones first, each by name."""
    for parent in (embedded_models_folder(), user_models_folder()):
        if parent.is_dir():
            for folder in sorted(parent.iterdir()):
                if (folder / CARD_FILE).is_file() and (folder / WEIGHTS_FILE).is_file():
                    yield folder


def find_cards(task: Optional[str] = None) -> list[ModelCard]:
    """The cards of the usable models, those for one task if it is given; broken ones are left out."""
    cards = []
    for folder in model_folders():
        try:
            card = read_card(folder)
        except ModelError:
            continue
        if task in (None, card.task):
            cards.append(card)
    return cards
