# SPDX-License-Identifier: GPL-2.0-or-later
import io

from model_runner import doctor
from model_runner.contract.model_card import DEFAULT_MODELS, TASKS
from model_runner.errors import ModelError


def test_the_default_model_of_every_task_works():
    told = io.StringIO()
    assert doctor.diagnose(told)
    assert told.getvalue().splitlines()[-4:] == [f"{task} with {DEFAULT_MODELS[task]}: works" for task in TASKS]


def test_a_model_that_cannot_be_loaded_is_told_with_its_fault(monkeypatch):
    def fail(model, task, device):
        raise ModelError(f"The weights of model {model} are damaged.")

    monkeypatch.setattr(doctor, "loaded_model", fail)
    told = io.StringIO()
    assert not doctor.diagnose(told)
    model = DEFAULT_MODELS["detect"]
    assert f"detect with {model}: The weights of model {model} are damaged." in told.getvalue()


def test_a_default_model_that_is_not_at_hand_is_no_fault(monkeypatch):
    monkeypatch.setattr(doctor, "find_cards", lambda: [])
    told = io.StringIO()
    assert doctor.diagnose(told)
    assert f"change with {DEFAULT_MODELS['change']}: not at hand" in told.getvalue()
