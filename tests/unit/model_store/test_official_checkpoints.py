# SPDX-License-Identifier: GPL-2.0-or-later
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from model_runner.contract.model_card import Resolution
from model_runner.errors import ModelError
from model_runner.model_store.official_checkpoints import convert_checkpoint, read_checkpoint
from model_runner.networks import build_network
from tests.unit.model_store.checkpoint_files import detector_checkpoint, detector_weights


@pytest.fixture
def saved(tmp_path):
    """Saves a checkpoint and returns its path."""

    def save(checkpoint, name="ORCNN_LWGANet_L0 dota10.pth", **options):
        torch.save(checkpoint, tmp_path / name, **options)
        return tmp_path / name

    return save


def refusal(path, read=convert_checkpoint):
    """The text of the refusal, which must be one line and name the file."""
    with pytest.raises(ModelError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_an_official_detector_becomes_a_model(saved):
    card, weights = convert_checkpoint(saved(detector_checkpoint()))
    assert card.id == "orcnn_lwganet_l0-dota10"
    assert (card.task, card.network) == ("detect", "oriented_rcnn_l0")
    assert card.class_names[0] == "plane"
    assert card.class_names[14] == "helicopter"
    assert len(card.classes) == len({each.colour for each in card.classes}) == 15
    assert card.resolution == Resolution(0.1, 0.3, 1.0)
    assert (card.tile_size, card.overlap, card.threshold, card.merge_iou) == (1024, 200, 0.3, 0.1)
    assert card.mean == (123.675, 116.28, 103.53)
    assert card.licence.name == "CC BY-NC 4.0"
    assert not card.licence.commercial_use
    assert weights.keys() == detector_weights().keys()
    for name, tensor in detector_weights().items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=0)


def test_the_model_id_can_be_chosen(saved):
    assert convert_checkpoint(saved(detector_checkpoint()), "mine")[0].id == "mine"
    with pytest.raises(ModelError, match="Not An Id"):
        convert_checkpoint(saved(detector_checkpoint()), "Not An Id")


def test_files_in_the_format_before_zip_are_read(saved):
    path = saved(detector_checkpoint(), _use_new_zipfile_serialization=False)
    assert convert_checkpoint(path)[0].network == "oriented_rcnn_l0"


def test_numbers_of_numpy_1_are_read(saved, tmp_path):
    numbers = [np.float64(0.5), np.float32(0.25), np.int64(7), np.uint8(3), np.bool_(True)]
    modern = saved({"numbers": numbers})
    old = tmp_path / "numpy1.pth"
    with zipfile.ZipFile(modern) as source, zipfile.ZipFile(old, "w") as copy:
        for entry in source.namelist():
            copy.writestr(entry, source.read(entry).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert old.read_bytes() != modern.read_bytes()
    for path in (modern, old):
        read = read_checkpoint(path)["numbers"]
        assert read == numbers
        assert [type(each) for each in read] == [type(each) for each in numbers]


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model."])
def test_prefixes_of_wrappers_are_taken_off(saved, prefix):
    wrapped = {prefix + name: tensor for name, tensor in detector_weights().items()}
    assert convert_checkpoint(saved(detector_checkpoint(wrapped)))[1].keys() == detector_weights().keys()


def test_names_with_and_without_a_prefix_are_not_mixed_up(saved):
    both = {**detector_weights(), **{"module." + name: tensor for name, tensor in detector_weights().items()}}
    assert "unknown (module." in refusal(saved(detector_checkpoint(both)))


def test_without_names_the_number_of_classes_tells_dota(saved):
    card, _ = convert_checkpoint(saved(detector_checkpoint(detector_weights(16), ())))
    assert card.class_names[15] == "container-crane"
    assert card.training_data == "DOTA-1.5"


def test_classes_of_ones_own_say_nothing_of_resolution_and_licence(saved):
    card, _ = convert_checkpoint(saved(detector_checkpoint(detector_weights(2), ("crane", "ship"))))
    assert card.class_names == ("crane", "ship")
    assert card.resolution is None
    assert card.licence.name == "unknown"


def test_a_part_of_the_dota_classes_is_not_dota(saved):
    card, _ = convert_checkpoint(saved(detector_checkpoint(detector_weights(2), ("plane", "baseball-diamond"))))
    assert card.training_data == ""


@pytest.mark.parametrize(
    ("num_classes", "classes", "words"), [(2, (), "2 classes"), (15, ("a", "b"), "15 classes"), (2, "ab", "2 classes")]
)
def test_names_that_do_not_fit_are_refused(saved, num_classes, classes, words):
    assert words in refusal(saved(detector_checkpoint(detector_weights(num_classes), classes)))


def changed(**changes):
    weights = dict(detector_weights())
    for name, tensor in changes.items():
        if tensor is None:
            del weights[name]
        else:
            weights[name] = tensor
    return weights


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (changed(**{"neck.fpn_convs.0.conv.bias": None}), "1 missing (neck.fpn_convs.0.conv.bias)"),
        (changed(**{"neck.surprise": torch.zeros(1)}), "1 unknown (neck.surprise)"),
        (changed(**{"rpn_head.rpn_cls.bias": torch.zeros(4)}), "rpn_head.rpn_cls.bias (4,) instead of (3,)"),
        (changed(**{"backbone.Stem.proj.weight": torch.zeros(48, 3, 4, 4)}), "L0, L1 or L2"),
        (changed(**{"backbone.Stem.proj.weight": torch.tensor(1.0)}), "L0, L1 or L2"),
        (changed(**{"roi_head.bbox_head.fc_cls.weight": torch.tensor(1.0)}), "-1 classes"),
    ],
)
def test_weights_that_do_not_fit_are_refused(saved, weights, words):
    assert words in refusal(saved(detector_checkpoint(weights)))


def backbone_weights():
    return build_network("classifier_l0", num_classes=10).state_dict()


@pytest.mark.parametrize(
    ("checkpoint", "words"),
    [
        (lambda: {"model": backbone_weights(), "optimizer": {}, "epoch": 1}, "ImageNet backbone"),
        (lambda: {"state_dict": backbone_weights()}, "ImageNet backbone"),
        (
            lambda: {
                "pytorch-lightning_version": "2.0.0",
                "state_dict": {"net.decoder.segmentation_head.2.0.weight": torch.zeros(7, 64, 1, 1)},
            },
            "UNetFormer",
        ),
        (lambda: {"epoch": 1, "state_dict": {"decoder.cls.bias": torch.zeros(1)}, "F_Tr": np.float64(0.5)}, "A2Net"),
        (lambda: {"network": {"head.final.bias": torch.zeros(2)}, "optimizer": {}}, "CLAFA"),
        (lambda: {"answer": 42}, "no network that is known"),
        (lambda: {"meta": {}, "state_dict": None}, "no network that is known"),
        (lambda: [1, 2], "no network that is known"),
    ],
)
def test_other_kinds_are_refused(saved, checkpoint, words):
    assert words in refusal(saved(checkpoint()))


class Program:
    """Creates a file when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("in_zip", [True, False])
@pytest.mark.parametrize(
    ("function", "name", "argument"),
    [
        (os.system, f"{os.system.__module__}.system", "echo > {}"),
        (eval, "eval", "open('{}', 'w')"),
        (exec, "exec", "open('{}', 'w')"),
    ],
)
def test_a_file_that_brings_a_program_is_refused_and_not_run(saved, tmp_path, function, name, argument, in_zip):
    trace = tmp_path / "trace"
    program = Program(function, argument.format(trace.as_posix()))
    path = saved({**detector_checkpoint({}), "hook": program}, _use_new_zipfile_serialization=in_zip)
    text = refusal(path)
    assert f"asks for {name}," in text
    assert "could run programs" in text
    assert not trace.exists()
    pickle.loads(pickle.dumps(program))  # what a careless reader does
    assert trace.exists(), "the program of this test does nothing anyway"


def test_numpy_arrays_and_other_types_of_numpy_are_no_numbers(saved):
    assert "numpy" in refusal(saved({"array": np.zeros(3)}))
    refusal(saved({"text": np.str_("text")}))
    refusal(saved({"date": np.datetime64("2026-01-01")}))


def test_the_permission_for_numpy_ends_with_the_reading(saved):
    path = saved({"number": np.float64(1)})
    read_checkpoint(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
def test_what_is_no_checkpoint_is_refused(tmp_path, saved):
    whole = saved(detector_checkpoint()).read_bytes()
    old = saved({"number": torch.zeros(1000)}, _use_new_zipfile_serialization=False).read_bytes()
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("readme.txt", "no model")
    contents = {
        "empty.pth": b"",
        "text.pth": b"<html>Please log in</html>",
        "class.pth": b"class Net:\n    pass\n",
        "truncated.pth": whole[: len(whole) // 2],
        "old_truncated.pth": old[: len(old) // 2],
        "zip.pth": (tmp_path / "zip").read_bytes(),
        "pickle.pth": pickle.dumps({"a": 1}),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert "no PyTorch checkpoint" in refusal(tmp_path / name)
    assert "cannot be read" in refusal(tmp_path / "missing.pth")
