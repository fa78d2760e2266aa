# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for every algorithm, and the two that need no raster."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from lwganet_qgis.model_runner.contract import folders

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "detectobjects",
    "segmentimage",
    "detectchanges",
    "classifyscenes",
    "exporttrainingdata",
    "loadtrainingdata",
    "finetunemodel",
    "evaluatemodel",
    "managemodels",
    "setupenvironment",
]
PLUGIN_FILES = [
    ROOT / "__init__.py",
    *(ROOT / "lwganet_qgis").glob("*.py"),
    *(ROOT / "processing_algorithms").glob("*.py"),
    *(ROOT / "model_runner" / "contract").glob("*.py"),
]
SWITCH = re.compile(r"(?<!\S)--[a-z-]*[a-z]")
NOT_IN_QGIS = ("command_line.py", "__main__.py")  # what these say is read on a terminal alone


def switches_in_messages():
    """The switches of the command line that texts of the runner name, docstrings and style sheets left out."""
    found = set()
    for file in (ROOT / "model_runner").rglob("*.py"):
        if file.name in NOT_IN_QGIS or file.parent.name == "reports":
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        comments = {each.value for each in ast.walk(tree) if isinstance(each, ast.Expr)}
        for each in ast.walk(tree):
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and each not in comments:
                found.update(SWITCH.findall(each.value))
    return found


def algorithm_named(name):
    from qgis.core import QgsApplication

    return QgsApplication.processingRegistry().createAlgorithmById(f"lwganet:{name}")


def wording_of(name):
    from lwganet_qgis.processing_algorithms.wording import Wording

    return Wording(algorithm_named(name))


def run(name, **parameters):
    import processing

    return processing.run(f"lwganet:{name}", parameters)


def failure(name, **parameters):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as caught:
        run(name, **parameters)
    return str(caught.value)


@pytest.mark.parametrize("file", PLUGIN_FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_qgis_3_22_can_read_the_file(file):
    ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_provider_lists_these_algorithms(qgis):
    from qgis.core import QgsApplication

    provider = QgsApplication.processingRegistry().providerById("lwganet")
    assert {algorithm.name() for algorithm in provider.algorithms()} == {*NAMES}
    assert not provider.icon().isNull()
    assert provider.versionInfo() == folders.plugin_version()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("qgis", "models")
def test_every_parameter_is_explained(name):
    algorithm = algorithm_named(name)
    assert [each.name() for each in algorithm.parameterDefinitions() if not each.help()] == []
    assert "<p>" in algorithm.shortHelpString()
    assert algorithm.shortDescription()
    assert algorithm.group()
    assert not algorithm.icon().isNull()


@pytest.mark.usefixtures("qgis", "models")
def test_the_runners_switches_are_called_by_the_labels_of_the_form():
    training, models = wording_of("finetunemodel"), wording_of("managemodels")
    text = training.reword("Choose a smaller --sample-size or network, or --resume in a--b/--c.tif.")
    assert text == (
        "Choose a smaller 'Size of a sample in pixels' or network, or 'Go on with the training in the folder below' "
        "in a--b/--c.tif."
    )
    assert models.reword("repeat with --accept-licence.") == "repeat with 'I accept the licence'."
    assert models.reword("There is no --such-switch.") == "There is no --such-switch."


@pytest.mark.usefixtures("qgis", "models")
def test_every_switch_that_the_runner_names_has_a_label_in_a_form():
    forms = [wording_of(name) for name in ("finetunemodel", "evaluatemodel", "managemodels")]
    switches = switches_in_messages()
    assert switches >= {"--resume", "--sample-size", "--accept-licence"}
    assert {each for each in switches if all(form.reword(each) == each for form in forms)} == set()


@pytest.mark.usefixtures("qgis", "all_models")
@pytest.mark.parametrize(
    ("name", "parameter", "default"),
    [
        ("detectobjects", "DEVICE", "cuda:1"),
        ("evaluatemodel", "MODEL", "detect-ucm-l0"),
        ("finetunemodel", "INIT", "auto"),
    ],
)
def test_a_form_begins_with_the_default_and_falls_back_to_it(name, parameter, default, monkeypatch):
    from lwganet_qgis.lwganet_qgis import settings
    from qgis.core import QgsProcessingContext
    from qgis.gui import QgsGui, QgsProcessingGui

    monkeypatch.setattr(settings, "default_device", lambda: "cuda:1")
    algorithm, registry = algorithm_named(name), QgsGui.processingGuiRegistry()
    definition = algorithm.parameterDefinition(parameter)
    wrapper = registry.createParameterWidgetWrapper(definition, QgsProcessingGui.WidgetType.Standard)
    widget = wrapper.createWrappedWidget(QgsProcessingContext())
    assert wrapper.parameterValue() == default
    assert widget.itemText(0) == default  # what QGIS shows of a text that it does not know


@pytest.mark.usefixtures("qgis", "models")
def test_the_help_names_the_installed_models_and_their_classes():
    text = algorithm_named("detectobjects").shortHelpString()
    assert "<b>detect-ucm-l0</b> knows plane, ship." in text
    assert "\n" not in text  # QGIS would make each line a paragraph


@pytest.mark.usefixtures("qgis")
def test_models_are_listed_without_a_runner(models, monkeypatch):
    monkeypatch.setenv("LWGANET_RUNNER_PYTHON", "/no/such/python")
    assert run("managemodels") == {"MODELS": "detect-ucm-l0", "COUNT": 1}


@pytest.mark.usefixtures("qgis", "models")
@pytest.mark.parametrize(
    ("parameters", "request_"),
    [
        ({"ACTION": "import", "FILE": __file__}, {"file": __file__, "model_id": ""}),
        ({"ACTION": "download", "MODEL": "a", "ACCEPT_LICENCE": True}, {"model": "a", "accept_licence": True}),
        ({"ACTION": "remove", "MODEL": "a"}, {"model": "a"}),
    ],
)
def test_models_are_changed_by_the_runner(parameters, request_, fake_runner):
    run("managemodels", **parameters)
    assert fake_runner.requests[0].items() >= request_.items()


@pytest.mark.usefixtures("qgis", "models")
@pytest.mark.parametrize("file", ["card.json", "model.safetensors"])
def test_a_model_is_imported_with_its_folder(file, fake_runner, tmp_path):
    (tmp_path / "ships").mkdir()
    (tmp_path / "ships" / file).touch()
    run("managemodels", ACTION="import", FILE=str(tmp_path / "ships" / file))
    assert fake_runner.requests[0]["file"] == str(tmp_path / "ships")


@pytest.mark.usefixtures("qgis", "models")
def test_what_can_be_downloaded_is_named():
    import processing
    from qgis.core import QgsProcessingFeedback

    names, feedback = "detect-dota10-l2, detect-dota15-l2", QgsProcessingFeedback()
    processing.run("lwganet:managemodels", {}, feedback=feedback)
    assert f"What can be downloaded: {names}" in feedback.textLog()
    assert f"The action download needs MODEL; what can be downloaded: {names}." in failure(
        "managemodels", ACTION="download"
    )


@pytest.mark.usefixtures("qgis", "models")
def test_changing_models_without_an_environment_names_the_algorithm_that_creates_it(monkeypatch):
    monkeypatch.delenv("LWGANET_RUNNER_PYTHON", raising=False)
    assert "'Set up the environment' (lwganet:setupenvironment)" in failure("managemodels", ACTION="remove", MODEL="a")


@pytest.mark.usefixtures("qgis", "models")
def test_an_action_without_what_it_needs_is_refused():
    assert "The action remove needs MODEL." in failure("managemodels", ACTION="remove")
    assert "The action import needs FILE." in failure("managemodels", ACTION="import")


@pytest.mark.usefixtures("qgis", "models")
def test_the_environment_is_not_replaced_under_a_job(fake_runner, raster, monkeypatch):
    import processing
    from lwganet_qgis.lwganet_qgis.environment_setup import Setup
    from qgis.core import QgsProcessingFeedback

    made, refused = [], []
    monkeypatch.setattr(Setup, "create", lambda self, pytorch, base_python: made.append(pytorch) or fake_runner.program)

    class SetsUpMeanwhile(QgsProcessingFeedback):
        def setProgressText(self, text):
            refused.append(failure("setupenvironment", REPAIR=True))

    parameters = {"INPUT": raster, "OUTPUT": "memory:"}
    results = processing.run("lwganet:detectobjects", parameters, feedback=SetsUpMeanwhile())
    assert results["COUNT"] == 2
    assert "is still running in this QGIS; wait for it or cancel it" in refused[0]
    assert made == []
    assert run("setupenvironment", REPAIR=True) == {"RUNNER_PYTHON": str(fake_runner.program)}
    processing.run("lwganet:detectobjects", parameters)
    assert len({request["pid"] for request in fake_runner.requests}) == 2


@pytest.fixture
def setups(monkeypatch, tmp_path):
    """What the set-up does to environments that exist: Pythons that were diagnosed, and what was created."""
    from lwganet_qgis.lwganet_qgis.environment_setup import Setup
    from lwganet_qgis.lwganet_qgis.runner_environment import EnvironmentProblem, python_in

    done = SimpleNamespace(own=python_in(tmp_path / "home" / "environment"), diagnosed=[], created=[], faulty=False)

    def diagnose(self, python):
        done.diagnosed.append(python)
        if done.faulty:
            raise EnvironmentProblem("it ended with status 103.")

    monkeypatch.setattr(Setup, "diagnose", diagnose)
    monkeypatch.setattr(Setup, "create", lambda self, pytorch, base: done.created.append(pytorch) or done.own)
    monkeypatch.setenv("LWGANET_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LWGANET_RUNNER_PYTHON", raising=False)
    done.own.parent.mkdir(parents=True)
    done.own.touch()
    return done


@pytest.mark.usefixtures("qgis", "models")
def test_the_set_up_checks_an_environment_that_works_and_makes_one_that_does_not_anew(setups):
    assert run("setupenvironment") == {"RUNNER_PYTHON": str(setups.own)}
    assert (setups.diagnosed, setups.created) == ([setups.own], [])
    setups.faulty = True
    run("setupenvironment")
    assert setups.created == ["auto"]
    setups.own.unlink()
    run("setupenvironment", PYTORCH="cpu")
    assert (len(setups.diagnosed), setups.created) == (2, ["auto", "cpu"])


@pytest.mark.usefixtures("qgis", "models")
def test_the_set_up_leaves_a_python_that_the_user_names_alone(setups, monkeypatch, tmp_path):
    (tmp_path / "mine").touch()
    monkeypatch.setenv("LWGANET_RUNNER_PYTHON", str(tmp_path / "mine"))
    assert run("setupenvironment") == {"RUNNER_PYTHON": str(tmp_path / "mine")}
    setups.faulty = True
    told = failure("setupenvironment")
    assert "it ended with status 103. It is the Python that the options, or the variable LWGANET_RUNNER_PYTHON" in told
    monkeypatch.setenv("LWGANET_RUNNER_PYTHON", "/no/such/python")
    assert "/no/such/python, named by the variable LWGANET_RUNNER_PYTHON" in failure("setupenvironment", REPAIR=True)
    assert setups.created == []
