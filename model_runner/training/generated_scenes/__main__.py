# SPDX-License-Identifier: GPL-2.0-or-later
"""The command: python -m model_runner.training.generated_scenes."""

import argparse
import sys
from pathlib import Path

from model_runner.errors import RunnerError
from model_runner.training.generated_scenes.dataset import find_backgrounds, write_dataset
from model_runner.training.generated_scenes.scenes import SceneGenerator


def main(arguments: list[str] | None = None) -> int:
    """Write a dataset of generated scenes; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m model_runner.training.generated_scenes",
        description="Write labelled scenes for oriented detection, drawn on real backgrounds (UC Merced Land Use).",
        epilog="example: python -m model_runner.training.generated_scenes --backgrounds ucmerced/train --output scenes",
    )
    parser.add_argument("--backgrounds", type=Path, required=True, help="folder with one sub-folder of images a class")
    parser.add_argument("--output", type=Path, required=True, help="folder that receives images/ and labelTxt/")
    parser.add_argument("--count", type=int, default=1000, help="number of scenes (default: 1000)")
    parser.add_argument("--size", type=int, default=256, help="side of a scene in pixels (default: 256)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other scenes (default: 0)")
    options = parser.parse_args(arguments)
    try:
        generator = SceneGenerator(find_backgrounds(options.backgrounds), options.size, options.seed)
        write_dataset(options.output, generator, options.count)
    except (RunnerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
