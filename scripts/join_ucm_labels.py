# SPDX-License-Identifier: GPL-2.0-or-later
"""Join the labels in ``resources/ucm_labels`` with your copy of UC Merced Land Use to a dataset for ``finetune``.

    .venv/bin/python scripts/join_ucm_labels.py UCMERCED DATASET

UCMERCED is a folder with the images in any arrangement, as JPEG, PNG or the original TIFF. DATASET receives
``train`` and ``val`` with ``images`` and ``labelTxt`` each.
"""

import argparse
import csv
import hashlib
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

LABELS = Path(__file__).resolve().parents[1] / "resources" / "ucm_labels"
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
THUMBNAIL = 8  # pixels a side
SAME_LOOK = 4.0  # mean difference of grey values in thumbnails up to which two files show one image


def main() -> None:
    """Join, or say in one line why not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ucmerced", type=Path, metavar="UCMERCED", help="folder with the images")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder to make")
    options = parser.parse_args()
    if not options.ucmerced.is_dir():
        sys.exit(f"error: there is no folder {options.ucmerced}; name the one with the images of UC Merced Land Use.")
    if options.dataset.exists():
        sys.exit(f"error: {options.dataset} is there already; name a new folder.")
    print(join(options.ucmerced, options.dataset))


def join(ucmerced: Path, dataset: Path) -> str:
    """Make the dataset from what is at hand, and say in a line what it has and lacks."""
    by_name = defaultdict(list)
    for path in sorted(ucmerced.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            by_name[path.stem].append(path)
    joined, missing = 0, []
    with (LABELS / "images.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            image = next((path for path in by_name[row["name"]] if shows(path, row["sha256"], row["thumbnail"])), None)
            if image is None:
                missing.append(row["name"])
                continue
            part = dataset / row["split"]
            for folder in ("images", "labelTxt"):
                (part / folder).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image, part / "images" / image.name)
            shutil.copyfile(LABELS / "labelTxt" / f"{row['name']}.txt", part / "labelTxt" / f"{row['name']}.txt")
            joined += 1
    lacking = f"; not found: {', '.join(missing)}" if missing else ""
    return f"{joined} images with their labels in {dataset}{lacking}"


def shows(path: Path, sha256: str, thumbnail: str) -> bool:
    """Whether a file is the image that was labelled: to the byte, or stored in another format."""
    if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
        return True
    wanted = np.frombuffer(bytes.fromhex(thumbnail), dtype=np.uint8)
    return float(np.abs(look(path).astype(float) - wanted).mean()) <= SAME_LOOK


def look(path: Path) -> np.ndarray:
    """The grey values (64,) of an image's thumbnail, uint8."""
    with Image.open(path) as image:
        grey = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        return np.asarray(grey).reshape(-1)


if __name__ == "__main__":
    main()
