# SPDX-License-Identifier: GPL-2.0-or-later
"""How each of the four tasks is asked for in these tests."""

from dataclasses import dataclass

THRESHOLD = 0.05  # low, so that much is found
CELL = 128  # pixels
CHANGE_MODEL = "random-change"


@dataclass(frozen=True)
class Task:
    """An algorithm with the parameters that it always has here.

    Attributes:
        algorithm: its id.
        model: the embedded one that is its default, or one that these tests make.
        images: the parameters that take an image, or an earlier and a later one.
        rasters: the results that are rasters.
        polygons: the result that is polygons.
        settings: other parameters.
    """

    algorithm: str
    model: str
    images: tuple[str, ...]
    rasters: tuple[str, ...]
    polygons: str
    settings: dict

    def parameters(self, *images) -> dict:
        """The parameters for one image, or for an earlier and a later one; what is too many is left out."""
        return {**self.settings, **{name: str(path) for name, path in zip(self.images, images, strict=False)}}

    def files(self, folder) -> dict:
        """A file in a folder for each result."""
        rasters = {name: str(folder / f"{name.lower()}.tif") for name in self.rasters}
        return {**rasters, self.polygons: str(folder / f"{self.polygons.lower()}.gpkg")}

    def temporary(self) -> dict:
        """A temporary raster or a layer in memory for each result."""
        return {**dict.fromkeys(self.rasters, "TEMPORARY_OUTPUT"), self.polygons: "memory:"}


TASKS = {
    "detect": Task("lwganet:detectobjects", "detect-ucm-l0", ("INPUT",), (), "OUTPUT", {"THRESHOLD": THRESHOLD}),
    "segment": Task("lwganet:segmentimage", "segment-demo-l0", ("INPUT",), ("OUTPUT", "CONFIDENCE"), "POLYGONS", {}),
    "change": Task(
        "lwganet:detectchanges",
        CHANGE_MODEL,
        ("BEFORE", "AFTER"),
        ("OUTPUT", "PROBABILITY"),
        "POLYGONS",
        {"MODEL": CHANGE_MODEL, "THRESHOLD": 0},  # with this threshold all has changed, whatever the weights
    ),
    "classify": Task("lwganet:classifyscenes", "scene-ucm-l0", ("INPUT",), (), "OUTPUT", {"CELL_PIXELS": CELL}),
}
