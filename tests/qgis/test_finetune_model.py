# SPDX-License-Identifier: GPL-2.0-or-later
import json
from pathlib import Path

import pytest


class Listener:
    """Makes a feedback that remembers what it is told, and cancels as soon as there is progress, if it shall."""

    def __new__(cls, cancels=False):
        from qgis.core import QgsProcessingFeedback

        class Feedback(QgsProcessingFeedback):
            def __init__(self):
                super().__init__()
                self.texts = []

            def setProgressText(self, text):
                self.texts.append(text)
                if cancels:
                    self.cancel()

            def pushInfo(self, text):
                self.texts.append(text)

        return Feedback()


def choices(algorithm, parameter):
    from qgis.core import QgsApplication

    made = QgsApplication.processingRegistry().createAlgorithmById(f"lwganet:{algorithm}")
    return made.parameterDefinition(parameter).metadata()["widget_wrapper"]["value_hints"]


def test_a_dataset_is_enough(training, fake_runner, dataset, tmp_path):
    results = training()
    request = fake_runner.requests[0]
    expected = {
        "task": "detect", "data": dataset, "output": str(tmp_path / "training"), "init": "detect-ucm-l0",
        "model_id": "ships-2024-detect", "epochs": None, "batch_size": None, "learning_rate": None, "patience": None,
        "sample_size": None, "scale": None, "resolution": None, "bands": [], "network": None, "network_options": [],
        "backbone": None, "mosaic": 0, "mixing": 0, "frozen_stages": 0, "balance": False, "skip_unreadable": False,
        "workers": 2, "seed": 0, "check": False, "resume": False, "device": "auto", "precision": "auto",
        "tensorboard": False,
    }  # fmt: skip
    assert {name: request[name] for name in expected} == expected
    assert (results["MODEL"], results["METRIC"], results["MAP50"]) == ("ships-2024-detect", 0.62, 0.62)
    assert (results["EPOCH"], results["OUTPUT"]) == (4, str(tmp_path / "training"))
    assert Path(results["REPORT"]) == tmp_path / "training" / "report.html"


def test_a_new_model_is_offered_at_once_and_the_next_has_another_name(training, tmp_path):
    from lwganet_qgis.model_runner.contract.model_card import find_cards

    assert "ships-2024-detect" not in choices("detectobjects", "MODEL")
    training()
    assert "ships-2024-detect" in choices("detectobjects", "MODEL")
    assert choices("finetunemodel", "INIT") == ["auto", *(card.id for card in find_cards()), "none"]
    assert training(OUTPUT="TEMPORARY_OUTPUT")["MODEL"] == "ships-2024-detect-2"


def test_letters_that_no_name_may_hold_become_their_nearest(training, tmp_path):
    dataset = tmp_path / "Größe & Ümläute"
    dataset.mkdir()
    assert training(DATA=str(dataset))["MODEL"] == "grosse-umlaute-detect"


def test_paths_hold_where_the_runner_works_too(training, fake_runner, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backbone.pth").touch()
    results = training(DATA="Ships 2024", INIT="none", BACKBONE="backbone.pth", OUTPUT="trained")
    request = fake_runner.requests[0]
    assert (request["data"], request["backbone"]) == (dataset, str(tmp_path / "backbone.pth"))
    assert request["output"] == results["OUTPUT"] == str(tmp_path / "trained")


def test_every_value_reaches_the_runner(training, fake_runner):
    training(
        TASK="classify", INIT="none", MODEL_ID="my-ships", EPOCHS=7, PATIENCE=0, BATCH_SIZE=4, LEARNING_RATE=0.001,
        SAMPLE_SIZE=128, RESOLUTION=0.3, BANDS="4,3,2,1", SCALE="0.5, 2", MOSAIC=0.1, MIXING=0.2, BALANCE=True,
        FROZEN_STAGES=2, NETWORK="classifier_l1", NETWORK_OPTIONS="a=1, b=2", BACKBONE="detect-ucm-l0",
        SKIP_UNREADABLE=True, TENSORBOARD=True, WORKERS=0, SEED=5, DEVICE="cuda:1", PRECISION="fp32",
    )  # fmt: skip
    request = fake_runner.requests[0]
    expected = {
        "task": "classify", "init": "none", "model_id": "my-ships", "epochs": 7, "patience": 0, "batch_size": 4,
        "learning_rate": 0.001, "sample_size": 128, "resolution": 0.3, "bands": [4, 3, 2, 1], "scale": [0.5, 2],
        "mosaic": 0.1, "mixing": 0.2, "balance": True, "frozen_stages": 2, "network": "classifier_l1",
        "network_options": ["a=1", "b=2"], "backbone": "detect-ucm-l0", "skip_unreadable": True, "workers": 0,
        "seed": 5, "device": "cuda:1", "precision": "fp32", "tensorboard": True,
    }  # fmt: skip
    assert {name: request[name] for name in expected} == expected


def test_several_values_may_be_a_list(training, fake_runner):
    training(INIT="none", SCALE=[0.5, 2], NETWORK_OPTIONS=["a=1", "b=2"], BANDS=[4, 3, 2])
    request = fake_runner.requests[0]
    assert request["scale"] == [0.5, 2]
    assert request["network_options"] == ["a=1", "b=2"]
    assert request["bands"] == [4, 3, 2]
    assert "'big,2' are not numbers" in training.refusal(SCALE=["big", 2], OUTPUT="TEMPORARY_OUTPUT")


def test_the_help_says_that_other_algorithms_wait(training):
    from qgis.core import QgsApplication

    algorithm = QgsApplication.processingRegistry().createAlgorithmById(training.name)
    assert "started in this QGIS wait for it" in algorithm.shortHelpString()


def test_the_course_is_told(training):
    feedback = Listener()
    training(feedback)
    assert "training 3/90, epoch 2 of 30, loss 0.412, 10 min left" in feedback.texts


def test_a_cancelled_training_may_take_its_time_and_tells_where_the_model_is(training, fake_runner, tmp_path):
    from lwganet_qgis.lwganet_qgis import follow
    from processing.core.ProcessingResults import resultsList
    from qgis.core import QgsProcessingException

    fake_runner.have("slow", "tidy")
    with pytest.raises(QgsProcessingException) as caught:
        training(Listener(cancels=True))
    text = str(caught.value)
    assert text.startswith("Cancelled. The best model so far is 'ships-2024-detect', which is in the toolbox.")
    assert f"The report so far is {tmp_path / 'training' / 'report.html'}. To go on" in text
    assert resultsList.getResults()[-1].filename == str(tmp_path / "training" / "report.html")
    assert "ships-2024-detect" in choices("detectobjects", "MODEL")
    assert "or 'Go on with the training' to resume the one in it" in training.refusal()
    follow.end_runner()  # with its faults
    fake_runner.have()
    training(RESUME=True)
    assert fake_runner.requests[1]["resume"]
    assert fake_runner.requests[1]["model_id"] == "ships-2024-detect"


def test_a_training_that_is_cancelled_early_says_that_there_is_no_model(training, fake_runner, tmp_path):
    from qgis.core import QgsProcessingException

    (tmp_path / "training").mkdir()
    fake_runner.have("slow")
    with pytest.raises(QgsProcessingException, match=r"Cancelled\. There is no model yet\. To go on, run this again"):
        training(Listener(cancels=True))


def test_a_dataset_can_be_checked_alone_and_trained_on_in_the_same_folder(training, fake_runner, tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "check.json").write_text(json.dumps({}), encoding="utf-8")
    results = training(CHECK=True)
    assert fake_runner.requests[0]["check"]
    assert results["OUTPUT"] == str(tmp_path / "training")
    assert training()["MODEL"] == "ships-2024-detect"


def test_what_the_runner_says_of_its_switches_names_the_parameters_of_the_form(training, fake_runner):
    from qgis.core import QgsProcessingException

    fake_runner.have("unreadable")
    feedback = Listener()
    with pytest.raises(QgsProcessingException) as caught:
        training(feedback)
    assert str(caught.value) == "a.tif is no image. Leave such images out by 'Leave out images that cannot be read'."
    assert "Go on with 'Go on with the training in the folder below'." in feedback.texts


def test_wrong_input_is_refused_early(training, tmp_path):
    assert "no model 'scene-ucm-l0' for the task detect to start from" in training.refusal(INIT="scene-ucm-l0")
    assert "There is a model 'detect-ucm-l0' already" in training.refusal(MODEL_ID="detect-ucm-l0")
    assert "may hold only small letters" in training.refusal(MODEL_ID="My Ships")
    assert "multiple of 32 from 96 pixels on; 100 was given" in training.refusal(SAMPLE_SIZE=100)
    assert "'big' are not numbers; write them like this: 0.5,2" in training.refusal(SCALE="big")
    assert "written smallest,largest" in training.refusal(SCALE="2,0.5")
    refusal = training.refusal(NETWORK="oriented_rcnn_l2")
    assert "say so with 'Start from' none, or leave 'Network' and 'Backbone' away" in refusal
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "thesis.txt").touch()
    assert "is not empty; choose one that is new or empty, or 'Go on" in training.refusal()
