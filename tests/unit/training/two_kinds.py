# SPDX-License-Identifier: GPL-2.0-or-later
"""A model that tells two kinds of scenes apart, to train."""

from model_runner.contract.model_card import Licence, ModelCard, ModelClass

CARD = ModelCard(
    id="kinds",
    title="kinds",
    task="classify",
    network="classifier_l0",
    classes=(ModelClass("field"), ModelClass("lake")),
    tile_size=110,
    licence=Licence("none"),
)
