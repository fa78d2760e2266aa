# SPDX-License-Identifier: GPL-2.0-or-later
"""The design's rules: who may import whom, and what QGIS 3.22's Python must be able to read."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STANDARD = set(sys.stdlib_module_names)
ARRAYS = {"numpy", "torch"}
RASTER = {"numpy", "rasterio", "pyproj", "shapely", "affine", "geopandas", "pandas", "pyogrio"}

# folder or file -> (packages from outside, parts of this project) that it may import
ALLOWED = {
    "model_runner/contract": (set(), {"model_runner.contract"}),
    "model_runner/rotated_boxes": ({"torch"}, {"model_runner.rotated_boxes"}),
    "model_runner/networks": (
        {"torch"},
        {"model_runner.networks", "model_runner.rotated_boxes", "model_runner.errors"},
    ),
    "model_runner/raster": (
        RASTER,
        {
            "model_runner.raster",
            "model_runner.contract.file_names",
            "model_runner.contract.renaming",
            "model_runner.errors",
        },
    ),
    "model_runner/features.py": (
        RASTER,
        {"model_runner.raster.working_grid", "model_runner.raster.polygon_files", "model_runner.errors"},
    ),
    "model_runner/inference": (
        ARRAYS,
        {
            "model_runner.inference",
            "model_runner.raster",
            "model_runner.rotated_boxes",
            "model_runner.contract",
            "model_runner.device",
            "model_runner.errors",
            "model_runner.report",
        },
    ),
    "model_runner/metrics": (ARRAYS, {"model_runner.metrics", "model_runner.rotated_boxes", "model_runner.errors"}),
    "model_runner/reports": ({"numpy", "PIL"}, {"model_runner.reports"}),
    "model_runner/evaluation": (
        ARRAYS | RASTER,
        {
            "model_runner.evaluation",
            "model_runner.reports",
            "model_runner.training.datasets",
            "model_runner.training.pixel_statistics",
            "model_runner.metrics",
            "model_runner.inference",
            "model_runner.features",
            "model_runner.raster",
            "model_runner.rotated_boxes",
            "model_runner.contract",
            "model_runner.errors",
            "model_runner.report",
        },
    ),
    "model_runner/model_store": (
        {"torch", "numpy", "safetensors", "requests", "urllib3"},
        {
            "model_runner.model_store",
            "model_runner.networks",
            "model_runner.contract",
            "model_runner.errors",
            "model_runner.report",
        },
    ),
    "model_runner/training": (
        {"torch", "numpy", "lightning", "PIL", "rasterio", "shapely"},
        {
            "model_runner.training",
            "model_runner.networks",
            "model_runner.rotated_boxes",
            "model_runner.metrics",
            "model_runner.raster",
            "model_runner.contract",
            "model_runner.device",
            "model_runner.errors",
            "model_runner.report",
        },
    ),
    "model_runner/training_data": (
        RASTER | {"PIL"},
        {
            "model_runner.training_data",
            "model_runner.reports",
            "model_runner.raster",
            "model_runner.contract",
            "model_runner.errors",
        },
    ),
    "lwganet_qgis": (
        {"qgis", "processing", "osgeo"},
        {"lwganet_qgis", "processing_algorithms", "model_runner.contract"},
    ),
    "processing_algorithms": (
        {"qgis", "processing"},
        {"lwganet_qgis", "processing_algorithms", "model_runner.contract"},
    ),
}


def modules(part: str) -> list[Path]:
    path = ROOT / part
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def imported(module: Path) -> set[str]:
    """The full names of what a module imports, relative imports resolved against the repository's root."""
    names = set()
    package = module.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names.update({f"{stem}.{each.name}" for each in node.names} if not node.module else {stem})
    return names


def within(name: str, allowed: set[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_it_may(part):
    outside, inside = ALLOWED[part]
    assert modules(part), f"{part} is empty"
    strangers = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules(part)
        for name in imported(module)
        if name.partition(".")[0] not in STANDARD | outside and not within(name, inside)
    ]
    assert strangers == []


def test_nothing_in_the_runner_imports_qgis():
    assert [m for m in modules("model_runner") for name in imported(m) if name.partition(".")[0] == "qgis"] == []


@pytest.mark.parametrize("part", ["__init__.py", "lwganet_qgis", "processing_algorithms", "model_runner/contract"])
def test_what_qgis_reads_is_written_for_python_3_9(part):
    for module in modules(part):
        ast.parse(module.read_text(encoding="utf-8"), filename=str(module), feature_version=(3, 9))


@pytest.mark.parametrize("part", ["lwganet_qgis", "processing_algorithms", "model_runner/contract"])
def test_the_plugin_imports_itself_relatively(part):
    own = {"lwganet_qgis", "processing_algorithms", "model_runner"}
    for module in modules(part):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.partition(".")[0] not in own, f"{module.relative_to(ROOT)}: {node.module}"


def test_no_module_is_longer_than_400_lines():
    sources = [m for part in ("model_runner", "lwganet_qgis", "processing_algorithms") for m in modules(part)]
    long = {str(m.relative_to(ROOT)): n for m in sources if (n := len(m.read_text("utf-8").splitlines())) > 400}
    assert long == {}
