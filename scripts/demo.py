# SPDX-License-Identifier: GPL-2.0-or-later
"""Do all four tasks on the bundled rasters through ``qgis_process``, as a user's script would, and picture the results.

    /usr/bin/python3 scripts/demo.py [TASK...]

The results are in ``build/demo``; without a name all tasks are shown.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RASTERS, RESULTS = ROOT / "resources" / "demo", ROOT / "build" / "demo"
QGIS = ROOT / "scripts" / "with_qgis.sh"


@dataclass(frozen=True)
class Demo:
    """A task on a bundled raster.

    Attributes:
        algorithm: its name.
        result: file in ``build/demo``.
        rasters: parameters that are bundled rasters.
        panels: of the picture: what it says and which files lie on each other, see ``render_map.py``.
        summary: of the numbers that the algorithm returns.
        model: id of the model; empty takes the default.
    """

    algorithm: str
    result: str
    rasters: dict[str, str]
    panels: tuple[tuple[str, tuple[str, ...]], ...]
    summary: Callable[[dict], str]
    model: str = ""


def counted(noun: str) -> Callable[[dict], str]:
    """A summary of how many things there are."""
    return lambda numbers: f"{numbers['COUNT']} {noun}"


def share_of_water(numbers: dict) -> str:
    """A summary of the areas of land and water."""
    land, water = numbers["AREA_M2_LAND"], numbers["AREA_M2_WATER"]
    return f"{water / (land + water):.0%} of the ground is water"


DEMOS = {
    "detect": Demo(
        "detectobjects",
        "airfield_objects.gpkg",
        {"INPUT": "airfield.tif"},
        (("", ("airfield.tif", "airfield_objects.gpkg")),),
        counted("objects found"),
    ),
    "segment": Demo(
        "segmentimage",
        "lakes_2014_classes.tif",
        {"INPUT": "lakes_2014.tif"},
        (("2014", ("lakes_2014.tif",)), ("Land and water", ("lakes_2014_classes.tif",))),
        share_of_water,
        model="water-naip-l0",
    ),
    "change": Demo(
        "detectchanges",
        "lakes_change.tif",
        {"BEFORE": "lakes_2009.tif", "AFTER": "lakes_2014.tif"},
        (
            ("2009", ("lakes_2009.tif",)),
            ("2014", ("lakes_2014.tif",)),
            ("Changed water", ("lakes_2014.tif", "lakes_change.tif")),
        ),
        lambda numbers: f"{numbers['SHARE_CHANGED']:.0%} of the ground has changed",
        model="water-change-naip-l0",
    ),
    "classify": Demo(
        "classifyscenes",
        "town_scenes.gpkg",
        {"INPUT": "town.tif"},
        (("", ("town.tif", "town_scenes.gpkg")),),
        counted("scenes named"),
    ),
}


def main(tasks: list[str]) -> None:
    """Show tasks one after the other, a line each."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    os.environ["GDAL_PAM_ENABLED"] = "NO"  # else QGIS leaves statistics beside the rasters
    for task in tasks:
        demo = DEMOS[task]
        result = RESULTS / demo.result
        for old in RESULTS.glob(f"{result.stem}.*"):
            old.unlink()
        parameters = {name: RASTERS / raster for name, raster in demo.rasters.items()} | {"OUTPUT": result}
        if demo.model:
            parameters["MODEL"] = demo.model
        values = [f"{name}={value}" for name, value in parameters.items()]
        print(f"{task}: {', '.join(demo.rasters.values())} ...", flush=True)
        told = run_in_qgis("qgis_process", "run", f"lwganet:{demo.algorithm}", "--json", "--", *values)
        numbers = json.loads(told)["results"]
        summary, picture = demo.summary(numbers), result.with_suffix(".jpg")
        panels = [f"{text}={'+'.join(str(place(name)) for name in layers)}" for text, layers in demo.panels]
        run_in_qgis("/usr/bin/python3", ROOT / "scripts" / "render_map.py", picture, summary, *panels)
        files = ", ".join(str(path.relative_to(ROOT)) for path in (result, picture))
        print(f"  {summary}, in {numbers['SECONDS']:.1f} s: {files}", flush=True)


def place(name: str) -> Path:
    """Where a bundled raster or a result is."""
    return RASTERS / name if (RASTERS / name).exists() else RESULTS / name


def run_in_qgis(*command: object) -> str:
    """Run a program in QGIS's surroundings and return what it prints; if it fails, end with what it complains of."""
    done = subprocess.run([str(part) for part in (QGIS, *command)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:] or list(DEMOS))
