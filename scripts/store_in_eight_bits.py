# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a model as the embedded ones are stored, with eight bits for each number of its matrices.

    PYTHONPATH=. .venv/bin/python scripts/store_in_eight_bits.py MODEL FOLDER

MODEL is a model's folder; FOLDER receives ``model.safetensors``, of about a quarter of the size, and ``card.json``.
Measure it before you trust it: ``python -m model_runner evaluate``.
"""

import argparse
import sys
from pathlib import Path

from model_runner.contract.model_card import WEIGHTS_FILE, read_card
from model_runner.errors import ModelError
from model_runner.model_store.store import open_network, save_model
from model_runner.model_store.weight_files import in_eight_bits


def main() -> None:
    """Write the model, or say in one line why not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of the model")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder to write")
    options = parser.parse_args()
    try:
        card = read_card(options.model)
        network = open_network(card, options.model / WEIGHTS_FILE)
        folder = save_model(card, in_eight_bits(network.state_dict()), options.folder)
    except ModelError as error:
        sys.exit(f"error: {error}")
    print(f"{folder / WEIGHTS_FILE}: {(folder / WEIGHTS_FILE).stat().st_size} bytes")


if __name__ == "__main__":
    main()
