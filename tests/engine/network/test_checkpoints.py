"""checkpoints.py: real ones, hostile ones, and files that are none."""

from __future__ import annotations

import contextlib
import copy
import os
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics.nn.tasks import DetectionModel, SegmentationModel

from fastsam_plugins.network import checkpoints, weights
from fastsam_plugins.network.checkpoints import WeightsError
from tests.tiny_network import answer, build, content, describe, error_of

pytestmark = pytest.mark.usefixtures("one_thread")


# --- what comes back ----------------------------------------------------------------------------


def test_a_loaded_network_answers_as_the_one_that_was_saved(net, checkpoint):
    network = weights.load(checkpoint)
    expected = answer(net)
    assert expected.std() > 0.1
    torch.testing.assert_close(answer(network.module), expected, rtol=1e-3, atol=1e-3)
    assert (network.imgsz, network.reg_max, network.stride) == (320, 16, 32)
    assert network.sha256 == weights.sha256_of(checkpoint)
    assert network.name == "tiny"
    assert not network.module.training
    assert {p.dtype for p in network.module.parameters()} == {torch.float32}


def test_safetensors_hold_the_same_network(checkpoint, tmp_path):
    path = tmp_path / "tiny.safetensors"
    checkpoints.save(checkpoints.read(checkpoint), path)
    original, copied = weights.load(checkpoint), weights.load(path)
    assert copied.imgsz == 320
    assert torch.equal(answer(original.module), answer(copied.module))


def test_notes_of_a_checkpoint_are_kept(checkpoint, tmp_path):
    read = checkpoints.read(checkpoint)
    read.notes["trained_on"] = "coins"
    checkpoints.save(read, tmp_path / "noted.safetensors")
    assert checkpoints.read(tmp_path / "noted.safetensors").notes == {"trained_on": "coins"}


def test_the_mean_of_networks_lies_between_them(net, checkpoint, tmp_path):
    other = build()
    torch.save(content(other), tmp_path / "other.pt")
    mean = checkpoints.average([checkpoint, checkpoint, tmp_path / "other.pt"])
    for name, value in net.float().state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        expected = (2 * value + other.float().state_dict()[name]) / 3
        torch.testing.assert_close(mean.state[name], expected, rtol=1e-3, atol=1e-4)
    checkpoints.save(mean, tmp_path / "mean.safetensors")
    assert weights.load(tmp_path / "mean.safetensors").imgsz == 320


def test_both_kinds_of_files_have_a_mean(checkpoint, tmp_path):
    checkpoints.save(checkpoints.read(checkpoint), tmp_path / "same.safetensors")
    mean = checkpoints.average([checkpoint, tmp_path / "same.safetensors"])
    checkpoints.save(mean, tmp_path / "mean.safetensors")
    found = answer(weights.load(tmp_path / "mean.safetensors").module)
    assert torch.equal(found, answer(weights.load(checkpoint).module))


def test_networks_of_two_kinds_have_no_mean(checkpoint, tmp_path):
    torch.save(content(build(reg_max=26)), tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=r"other\.pt holds another network than .*tiny"):
        checkpoints.average([checkpoint, tmp_path / "other.pt"])


def test_networks_with_and_without_shape_terms_have_no_mean(checkpoint, tmp_path):
    """Their parameters have the same shapes and the last coefficients another meaning."""
    checkpoints.save(checkpoints.read(checkpoint), tmp_path / "plain.safetensors")
    shaped = checkpoints.read(checkpoint)
    shaped.architecture = {**shaped.architecture, checkpoints.SHAPE_TERMS: 6}
    checkpoints.save(shaped, tmp_path / "shaped.safetensors")
    with pytest.raises(WeightsError, match="holds another network than"):
        checkpoints.average([tmp_path / "plain.safetensors", tmp_path / "shaped.safetensors"])


def test_averaged_weights_are_preferred(net, tmp_path):
    averaged = build()
    torch.save(content(net, ema=averaged), tmp_path / "both.pt")
    found = answer(weights.load(tmp_path / "both.pt").module)
    torch.testing.assert_close(found, answer(averaged), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(found, answer(net), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("reg_max", [16, 26])
def test_bins_of_the_box_head_are_read_from_the_parameters(reg_max, tmp_path):
    wide = build(reg_max=reg_max)
    torch.save(content(wide), tmp_path / "wide.pt")
    network = weights.load(tmp_path / "wide.pt")
    assert network.reg_max == network.module.model[-1].reg_max == reg_max
    torch.testing.assert_close(answer(network.module), answer(wide), rtol=1e-3, atol=1e-3)


def test_what_a_trainer_notes_beside_the_network_does_not_hinder(net, tmp_path):
    notes = {
        "best_fitness": np.float64(0.5),
        "train_metrics": {"fitness": np.float32(0.5), "epochs": np.int64(3)},
        "train_args": {"imgsz": 320, "data": Path("data.yaml")},
        "date": "2024-01-01T00:00:00",
        "optimizer": None,
    }
    torch.save(content(net, **notes), tmp_path / "noted.pt")
    assert weights.load(tmp_path / "noted.pt").imgsz == 320


def test_names_of_old_ultralytics_are_understood(net, tmp_path, monkeypatch):
    """Old releases had other modules: make classes of those names, and save with them."""
    homes = {
        "ultralytics.nn.modules.conv": "ultralytics.nn.modules",
        "ultralytics.nn.modules.block": "ultralytics.nn.modules",
        "ultralytics.nn.modules.head": "ultralytics.nn.modules",
        "ultralytics.nn.tasks": "ultralytics.yolo.nn.tasks",
        "ultralytics.yolo.utils": "ultralytics.yolo.utils",
    }
    old_net = copy.deepcopy(net)
    fakes = {name: types.ModuleType(name) for name in homes.values()}

    def old(cls, home):
        made = type(cls.__name__, (cls,), {"__module__": home, "__qualname__": cls.__name__})
        return fakes[home].__dict__.setdefault(cls.__name__, made)

    for layer in old_net.modules():
        if home := homes.get(type(layer).__module__):
            layer.__class__ = old(type(layer), home)
    arguments = old(types.SimpleNamespace, "ultralytics.yolo.utils")
    fakes["ultralytics.yolo.utils"].IterableSimpleNamespace = arguments
    arguments.__name__ = arguments.__qualname__ = "IterableSimpleNamespace"
    saved = {"model": old_net, "train_args": arguments(imgsz=320)}
    with monkeypatch.context() as patch:
        for name, module in fakes.items():
            patch.setitem(sys.modules, name, module)
        torch.save(saved, tmp_path / "old.pt")
    named = set(torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "old.pt"))
    assert {
        "ultralytics.nn.modules.Conv",
        "ultralytics.nn.modules.Segment",
        "ultralytics.yolo.nn.tasks.SegmentationModel",
        "ultralytics.yolo.utils.IterableSimpleNamespace",
    } <= named
    network = weights.load(tmp_path / "old.pt")
    assert network.imgsz == 320
    torch.testing.assert_close(answer(network.module), answer(net), rtol=1e-3, atol=1e-3)


def test_paths_of_newer_pythons_are_understood(net, tmp_path, monkeypatch):
    """Python 3.13 pickles them under another name."""
    module = types.ModuleType("pathlib._local")
    module.PosixPath = type("PosixPath", (), {"__module__": "pathlib._local"})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pathlib._local", module)
        torch.save(
            content(net, train_args={"imgsz": 96, "data": module.PosixPath()}), tmp_path / "a.pt"
        )
    assert weights.load(tmp_path / "a.pt").imgsz == 96


# --- hostile files ------------------------------------------------------------------------------


class Bomb:
    """Runs a function when a careless reader unpickles it."""

    def __init__(self, function, *given):
        self.given = function, given

    def __reduce__(self):
        return self.given


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda marker: Bomb(os.system, f"touch {marker}"), "system"),
        (lambda marker: Bomb(exec, f"open({str(marker)!r}, 'w')"), "exec"),
        (lambda marker: Bomb(open, str(marker), "w"), "open"),
        (lambda marker: Bomb(partial(open), str(marker), "w"), "partial"),
    ],
    ids=["system", "exec", "open", "partial"],
)
def test_a_pickle_that_runs_code_is_refused_by_name(function, name, net, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "bomb.pt"
    torch.save(content(net, date=function(marker)), path)
    assert name in error_of(path)
    assert not marker.exists()
    with contextlib.suppress(Exception):  # the bomb is a real one
        torch.load(path, weights_only=False)
    assert marker.exists()


def hostile(marker):
    return f"__import__('pathlib').Path({str(marker)!r}).touch() or torch.nn.SiLU()"


def test_code_in_the_architecture_of_a_pickle_is_ignored(net, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "bomb.pt"
    bomb = copy.deepcopy(net)
    bomb.yaml["activation"] = hostile(marker)
    torch.save(content(bomb), path)
    network = weights.load(path)
    assert not marker.exists()
    torch.testing.assert_close(answer(network.module), answer(net), rtol=1e-3, atol=1e-3)


def test_code_in_the_architecture_of_safetensors_is_ignored(net, checkpoint, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "bomb.safetensors"
    read = checkpoints.read(checkpoint)
    read.architecture["activation"] = hostile(marker)
    checkpoints.save(read, path)
    weights.load(path)
    assert not marker.exists()


@pytest.mark.parametrize("place", ["kind", "argument"])
def test_code_in_a_layer_is_refused(place, checkpoint, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "bomb.safetensors"
    read = checkpoints.read(checkpoint)
    layer = read.architecture["backbone"][0]
    layer[2 if place == "kind" else 3] = hostile(marker) if place == "kind" else [hostile(marker)]
    checkpoints.save(read, path)
    error_of(path)
    assert not marker.exists()


def test_names_that_others_allowed_are_recorded_all_the_same(checkpoint):
    """Ultralytics allows its networks for the life of the process when it loads one."""
    with torch.serialization.safe_globals([SegmentationModel]):
        assert weights.load(checkpoint).imgsz == 320
        assert SegmentationModel in torch.serialization.get_safe_globals()


def test_loading_leaves_no_trace_in_torch(checkpoint):
    allowed, state = torch.serialization.get_safe_globals(), torch.random.get_rng_state()
    weights.load(checkpoint)
    assert set(torch.serialization.get_safe_globals()) == set(allowed)
    assert torch.equal(torch.random.get_rng_state(), state)


# --- files that are not weights -----------------------------------------------------------------


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
@pytest.mark.parametrize("damage", ["empty", "random", "truncated"])
def test_a_damaged_file_is_one_line(ending, damage, checkpoint, tmp_path):
    path = tmp_path / f"bad.{ending}"
    checkpoints.save(checkpoints.read(checkpoint), tmp_path / "good.safetensors")
    good = (checkpoint if ending == "pt" else tmp_path / "good.safetensors").read_bytes()
    noise = np.random.default_rng(0).bytes(5000)
    path.write_bytes({"empty": b"", "random": noise, "truncated": good[:-5000]}[damage])
    message = error_of(path)
    assert str(path) in message
    assert "get the file again" in message or "damaged" in message


def test_flipped_bytes_never_show_a_traceback(checkpoint, tmp_path):
    """Whatever a damaged pickle says, it is a network or an error in one line."""
    import zipfile

    source = zipfile.ZipFile(checkpoint)
    parts = {name: source.read(name) for name in source.namelist()}
    pickled = next(name for name in parts if name.endswith("data.pkl"))
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(60):
        damaged = bytearray(parts[pickled])
        for place in rng.integers(len(damaged), size=3):
            damaged[place] = rng.integers(256)
        with zipfile.ZipFile(tmp_path / "bad.pt", "w") as archive:
            for name, data in parts.items():
                archive.writestr(name, bytes(damaged) if name == pickled else data)
        try:
            checkpoints.read(tmp_path / "bad.pt")
        except WeightsError as error:
            messages.append(str(error))
    assert len(messages) > 30
    assert not any("\n" in m for m in messages)


@pytest.mark.parametrize(
    "description",
    [
        pytest.param([], id="list"),
        pytest.param(None, id="null"),
        pytest.param({}, id="empty"),
        pytest.param({"backbone": 5, "head": []}, id="number"),
        pytest.param({"backbone": [5], "head": [[-1, 1, "Segment", [1]]]}, id="short layer"),
        pytest.param(describe(scales={"n": "x"}), id="scale of text"),
        pytest.param(describe(scale="z"), id="unknown scale"),
        pytest.param(describe(head=[[[1, 2, 3], 1, "Segment", ["nc"]]]), id="short head"),
        pytest.param(describe(head=[[-1, 1, "Detect", ["nc"]]]), id="other head"),
        pytest.param(describe(scales={"n": [0.33, 0.125, 256]}), id="other width"),
    ],
)
def test_a_nonsense_architecture_is_one_line(description, checkpoint, tmp_path):
    read = checkpoints.read(checkpoint)
    read.architecture = description
    checkpoints.save(read, tmp_path / "bad.safetensors")
    error_of(tmp_path / "bad.safetensors")


def test_parameters_alone_are_no_checkpoint(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "state.pt")
    assert "no model in it" in error_of(tmp_path / "state.pt")
    torch.save({"ema": torch.zeros(3)}, tmp_path / "state.pt")
    assert "no model in it" in error_of(tmp_path / "state.pt")


def test_safetensors_of_another_project_are_refused(net, tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    assert "fastsam train" in error_of(tmp_path / "other.safetensors")


def test_a_network_of_80_classes_is_refused(tmp_path):
    torch.save(content(SegmentationModel(describe(), verbose=False)), tmp_path / "coco.pt")
    message = error_of(tmp_path / "coco.pt")
    assert "80 classes" in message
    assert "--agnostic" in message
    assert "fastsam train" in message


def test_a_detector_is_refused(tmp_path):
    boxes_only = DetectionModel(describe("yolov8n.yaml"), verbose=False)
    torch.save(content(boxes_only), tmp_path / "boxes.pt")
    assert "predicts no masks" in error_of(tmp_path / "boxes.pt")
