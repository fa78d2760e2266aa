# SPDX-License-Identifier: GPL-2.0-or-later
"""Pin what the runner and the tests need, with hashes: ``make lock``.

PyTorch comes in builds that share a version, so it has locks of its own:

* ``resources/torch_cpu.lock``: the small build; on Linux from PyTorch's own index of CPU builds, whose hashes are kept
  here by hand, elsewhere from the Python Package Index;
* ``resources/torch_cuda.lock``: the build for NVIDIA GPUs on Linux with the libraries it brings (several GB);
* ``resources/torch_cuda_windows.lock``: that for Windows from PyTorch's own index of CUDA builds, hashes by hand too;
* ``resources/runner_requirements.lock``: all the rest, for every system;
* ``tests/requirements.lock``: the tools of the tests.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[1]
TORCH_CPU_LINUX = {
    "cp311 x86_64": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
    "cp312 x86_64": "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
    "cp313 x86_64": "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6",
    "cp314 x86_64": "d20fa53ee744502fa4c69818a720b05ca0d37abd055d4f6e66cae155114bc691",
    "cp311 aarch64": "84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7",
    "cp312 aarch64": "6f307c2c32d764ffc6ff6893b801fad6d4752f3e67966cb8abf1843427c02604",
    "cp313 aarch64": "0b8f7d0423027ae8b90c7977c627f3379f325363a08224dffad9b4b2d684a83d",
    "cp314 aarch64": "ca021f9eb2f8345c83fa03e3a04587308afb8df71bd472670b3ece00df58621c",
}
TORCH_CUDA_WINDOWS = {  # none is known for cp311
    "cp312": "2efab1e83604ca628c6d85b9e188c153690980498d1297081a9dad704919303c",
    "cp313": "cf23236e9deed7d3510d14d9b9592d75d272ef7b35bbfee31a02bea339c73971",
    "cp314": "590b2a2b53ef295dcfcd703df17929bd579705bb0e42d9e43c462fe0f0b1e088",
}
CUDA_PACKAGES = ("nvidia-", "cuda-", "triton")


def compile_lock(*arguments: str) -> dict[str, str]:
    """The lock of some requirements: package name -> its lines."""
    command = ["uv", "pip", "compile", "--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    text = subprocess.run(
        [*command, "--python-version", "3.11", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    entries: dict[str, str] = {}
    for entry in re.split(r"\n(?=[a-z])", text.strip()):
        name = re.match(r"[a-z0-9-]+", entry).group()
        entries[name] = f"{entries[name]}\n{entry}" if name in entries else entry
    return entries


def torch_for_desktops(version: str) -> list[str]:
    """The hashes of the builds for Windows and macOS on the Python Package Index."""
    answer = requests.get("https://pypi.org/simple/torch/", headers={"Accept": "text/html"}, timeout=60)
    answer.raise_for_status()
    wheel = rf"torch-{re.escape(version)}-[^/#]*(?:win_amd64|macosx_[^/#]*)\.whl#sha256=([0-9a-f]{{64}})"
    return sorted(set(re.findall(wheel, answer.text)))


def entry_of(requirement: str, hashes: Iterable[str]) -> str:
    """A requirement with the hashes of its files, a line each."""
    return " \\\n    ".join([requirement, *(f"--hash=sha256:{each}" for each in hashes)])


def write_lock(path: Path, purpose: str, entries: list[str]) -> None:
    """Write a lock file with a line on how it came to be."""
    path.write_text(f"# {purpose} Written by 'make lock'.\n" + "\n".join(entries) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(entries)} packages")


def main() -> None:
    """Write the five locks."""
    runner = compile_lock("pyproject.toml")
    torch_version = re.search(r"torch==([0-9.]+)", runner["torch"]).group(1)
    torch_cpu = entry_of(f"torch=={torch_version}", [*TORCH_CPU_LINUX.values(), *torch_for_desktops(torch_version)])
    torch_cuda_windows = entry_of(f"torch=={torch_version}+cu130", TORCH_CUDA_WINDOWS.values())
    cuda = {name: entry for name, entry in runner.items() if name.startswith(CUDA_PACKAGES)}
    rest = [entry for name, entry in runner.items() if name not in cuda and name != "torch"]
    tests = compile_lock("--group", "test")
    resources = ROOT / "resources"
    write_lock(resources / "runner_requirements.lock", "What the runner needs, apart from PyTorch.", rest)
    write_lock(resources / "torch_cpu.lock", "PyTorch for the CPU (on macOS with its GPU).", [torch_cpu])
    write_lock(resources / "torch_cuda.lock", "PyTorch for NVIDIA GPUs on Linux.", [runner["torch"], *cuda.values()])
    write_lock(resources / "torch_cuda_windows.lock", "PyTorch for NVIDIA GPUs on Windows.", [torch_cuda_windows])
    write_lock(ROOT / "tests" / "requirements.lock", "What the tests need.", list(tests.values()))


if __name__ == "__main__":
    main()
