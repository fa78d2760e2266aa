# SPDX-License-Identifier: GPL-2.0-or-later
"""Pin what the runner and the tests need, with hashes: ``make lock``.

PyTorch comes in builds that share a version, so it has locks of its own:

* ``resources/torch_cpu.lock``: the small build; on Linux from PyTorch's own index of CPU builds, whose hash of the
  build for CPython 3.11 is kept here by hand, elsewhere from the Python Package Index;
* ``resources/torch_cuda.lock``: the build for NVIDIA GPUs on Linux with the libraries it brings (several GB);
* ``resources/runner_requirements.lock``: all the rest, for every system;
* ``tests/requirements.lock``: the tools of the tests.
"""

import re
import subprocess
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[1]
TORCH_CPU_LINUX = {"cp311": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"}
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


def write_lock(path: Path, purpose: str, entries: list[str]) -> None:
    """Write a lock file with a line on how it came to be."""
    path.write_text(f"# {purpose} Written by 'make lock'.\n" + "\n".join(entries) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(entries)} packages")


def main() -> None:
    """Write the four locks."""
    runner = compile_lock("pyproject.toml")
    torch_version = re.search(r"torch==([0-9.]+)", runner["torch"]).group(1)
    hashes = [*TORCH_CPU_LINUX.values(), *torch_for_desktops(torch_version)]
    torch_cpu = f"torch=={torch_version} \\\n    " + " \\\n    ".join(f"--hash=sha256:{each}" for each in hashes)
    cuda = {name: entry for name, entry in runner.items() if name.startswith(CUDA_PACKAGES)}
    rest = [entry for name, entry in runner.items() if name not in cuda and name != "torch"]
    tests = compile_lock("--group", "test")
    resources = ROOT / "resources"
    write_lock(resources / "runner_requirements.lock", "What the runner needs, apart from PyTorch.", rest)
    write_lock(resources / "torch_cpu.lock", "PyTorch for the CPU (on macOS with its GPU).", [torch_cpu])
    write_lock(resources / "torch_cuda.lock", "PyTorch for NVIDIA GPUs on Linux.", [runner["torch"], *cuda.values()])
    write_lock(ROOT / "tests" / "requirements.lock", "What the tests need.", list(tests.values()))


if __name__ == "__main__":
    main()
