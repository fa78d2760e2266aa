# SPDX-License-Identifier: GPL-2.0-or-later
import json
from dataclasses import replace

import pytest

from model_runner.contract.errors import ModelError
from model_runner.contract.model_card import (
    Licence,
    ModelCard,
    ModelClass,
    Resolution,
    card_from_json,
    find_cards,
    id_of_name,
    read_card,
)

CARD = ModelCard(
    id="ships-l0",
    title="Ships",
    task="detect",
    network="oriented_rcnn_l0",
    classes=(ModelClass("ship", "#1f78b4"), ModelClass("harbor")),
    resolution=Resolution(0.2, 0.3, 0.6),
    network_options={"neck_channels": 64},
    licence=Licence("CC0-1.0"),
    metrics={"map50": 0.9},
)


def test_a_card_survives_json():
    assert card_from_json(CARD.to_json()) == CARD


@pytest.mark.parametrize(
    "change",
    [
        {"id": "Ships L0"},
        {"id": "../escape"},
        {"task": "guess"},
        {"classes": ()},
        {"bands": ("grey",)},
    ],
)
def test_a_card_that_contradicts_itself_is_refused(change):
    with pytest.raises(ModelError):
        replace(CARD, **change)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"card_version": 2}', '{"card_version": 1, "id": 3}'])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(ModelError, match="no model card"):
        card_from_json(text)


def test_an_unknown_field_is_refused():
    body = json.loads(CARD.to_json())
    body["colour"] = "red"
    with pytest.raises(ModelError, match="colour"):
        card_from_json(json.dumps(body))


def test_the_card_says_why_bands_or_classes_do_not_fit():
    assert CARD.refuse_bands(3) is None
    assert CARD.refuse_bands(1) == "Model ships-l0 needs 3 bands (red, green, blue); you chose 1."
    assert CARD.refuse_classes(("ship",)) is None
    assert CARD.refuse_classes(("car",)) == "Model ships-l0 knows no class car; it knows ship, harbor."


def test_models_of_the_user_are_found_and_broken_ones_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("LWGANET_HOME", str(tmp_path))
    latin = CARD.to_json().encode().replace(b"ships-l0", "Geb\u00e4ude".encode("latin-1"))
    for name, text in (("ships-l0", CARD.to_json().encode()), ("broken", b"{}"), ("latin", latin)):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "card.json").write_bytes(text)
        (folder / "model.safetensors").touch()
    without_weights = tmp_path / "models" / "half"
    without_weights.mkdir()
    (without_weights / "card.json").write_text(CARD.to_json())
    assert CARD in find_cards("detect")
    assert {card.id for card in find_cards()} & {"broken", "half", "latin"} == set()
    assert CARD not in find_cards("segment")
    with pytest.raises(ModelError, match="broken"):
        read_card(tmp_path / "models" / "broken")
    with pytest.raises(ModelError, match=r"latin.* cannot be used: 'utf-8'"):
        read_card(tmp_path / "models" / "latin")


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("A b", "a-b"),
        ("..x", "x"),
        ("detect-ümlaut", "detect-umlaut"),
        ("Größe & Maß", "grosse-mass"),
        ("日本", "model"),
        ("x" * 79 + ".y", "x" * 79),
    ],
)
def test_an_id_is_made_of_a_name(name, model_id):
    assert id_of_name(name) == model_id
    assert replace(CARD, id=model_id).id == model_id
