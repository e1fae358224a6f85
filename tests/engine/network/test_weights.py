"""weights.py: names, what is verified, and the bundled file; downloads are in test_downloads.py."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fastsam_plugins import FastSAM, paths
from fastsam_plugins.network import checkpoints, ultralytics_guard, weights
from fastsam_plugins.options import WeightsOptions
from fastsam_plugins.training import train as training
from fastsam_plugins.training.options import TrainOptions
from tests.tiny_network import error_of

pytestmark = pytest.mark.usefixtures("one_thread")
ALLOW = WeightsOptions(allow_unknown_weights=True)


@pytest.mark.parametrize("name", ["nowhere.pt", "FastSAM-q", "", "."])
def test_a_name_without_weights_lists_the_names_there_are(name):
    message = error_of(name)
    assert "FastSAM-n, FastSAM-s, FastSAM-x" in message


# --- known names --------------------------------------------------------------------------------


@pytest.fixture(params=["FastSAM-s.pt", "fastsam-X.pt", "FastSAM-x.safetensors"])
def false_name(request, checkpoint, tmp_path):
    """A good network of another kind in a file with a known name, in any folder."""
    path = tmp_path / "mine" / request.param
    path.parent.mkdir()
    if path.suffix == ".pt":
        path.write_bytes(checkpoint.read_bytes())
    else:
        checkpoints.save(checkpoints.read(checkpoint), path)
    return path


def test_a_known_name_with_an_unknown_hash_is_refused_and_says_what_to_do(false_name):
    message = error_of(false_name)
    assert str(false_name) in message
    assert f"SHA-256 {weights.sha256_of(false_name)}, not " in message
    for advice in ("remove it if", "give it another name", "--allow-unknown-weights"):
        assert advice in message


def test_it_is_used_where_that_is_allowed(false_name):
    assert weights.load(false_name, ALLOW).name == false_name.stem
    model = FastSAM(false_name, "cpu", allow_unknown_weights=True)
    assert model.network.path == false_name
    renamed = false_name.rename(false_name.with_stem("own"))
    assert weights.load(renamed).name == "own"


def test_training_and_averaging_verify_too(false_name, tmp_path):
    with pytest.raises(weights.WeightsError, match="is not the known FastSAM"):
        training.train([tmp_path], tmp_path / "out", TrainOptions(weights=str(false_name)))
    from click.testing import CliRunner

    from fastsam_plugins.cli import main

    words = ["average", str(false_name), str(false_name), "-o", str(tmp_path / "mean.safetensors")]
    done = CliRunner().invoke(main.main, words)
    assert done.exit_code == 1
    assert "is not the known FastSAM" in done.output
    assert not (tmp_path / "mean.safetensors").exists()
    done = CliRunner().invoke(main.main, [*words, "--allow-unknown-weights"])
    assert done.exit_code == 0, done.output


# --- folders ------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv(weights.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path


@pytest.mark.skipif("sys.platform != 'linux'", reason="the folder has another name elsewhere")
def test_weights_lie_in_the_persons_data_folder(home, monkeypatch):
    assert weights.folder() == home / "data" / "fastsam-plugins" / "weights"
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_DATA_HOME", unset)
        monkeypatch.setenv("HOME", str(home))
        assert paths.data() == home / ".local" / "share" / "fastsam-plugins"
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(home / "own"))
    assert weights.folder() == home / "own"


@pytest.mark.parametrize("settings", [None, "weights", "absolute", "no JSON"])
def test_what_was_downloaded_to_the_earlier_place_is_found(home, settings, monkeypatch):
    official = weights.OFFICIAL["fastsam-s"]
    config = ultralytics_guard.config_folder()
    assert config == home / "config" / "Ultralytics"
    place = home / "elsewhere" if settings == "absolute" else config / "weights"
    place.mkdir(parents=True)
    if settings is not None:
        content = {"weights_dir": str(place) if settings == "absolute" else settings}
        text = "{" if settings == "no JSON" else json.dumps(content)
        (config / "settings.json").parent.mkdir(exist_ok=True, parents=True)
        (config / "settings.json").write_text(text)
    (place / official.file).write_bytes(b"right")
    assert weights.local_path(official) == weights.folder() / official.file, "damaged there"
    right = weights.Official(official.name, weights.sha256_of(place / official.file), 5, "")
    assert weights.local_path(right) == place / official.file


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_weights_that_are_no_finite_numbers_are_refused(value, ending, checkpoint, tmp_path):
    path = tmp_path / f"astray{ending}"
    if ending == ".pt":
        content = torch.load(checkpoint, weights_only=False)
        name, parameter = list(content["model"].named_parameters())[3]
        parameter.data.view(-1)[-1] = value
        torch.save(content, path)
    else:
        checkpoints.save(checkpoints.read(checkpoint), path)
        state = load_file(path)
        with safe_open(path, framework="pt") as stream:
            notes = stream.metadata()
        name = sorted(k for k, v in state.items() if v.is_floating_point())[3]
        state[name].view(-1)[-1] = value
        save_file(state, path, metadata=notes)
    message = error_of(path)
    assert f"{path} holds parameters that are no finite numbers ({name})" in message
    with pytest.raises(weights.WeightsError, match="no finite numbers"):
        training.train([tmp_path], tmp_path / "out", TrainOptions(weights=str(path)))


# --- the bundled file ---------------------------------------------------------------------------


def test_the_bundled_weights_are_small_and_say_what_they_are():
    assert weights.BUNDLED.stat().st_size <= 8e6
    with safe_open(weights.BUNDLED, framework="pt") as stream:
        notes = stream.metadata()
    assert notes["classes"] == "1"
    network = weights.load("fastsam-n")
    assert network.path == weights.BUNDLED
    assert str(network.imgsz) == notes["imgsz"]
    assert network.module.model[-1].nc == 1
    assert weights.resolve("FastSAM-n.pt") == weights.BUNDLED


def test_a_name_too_long_for_any_file_is_told_in_a_short_line():
    with pytest.raises(weights.WeightsError, match="File name too long") as refused:
        weights.known("x" * 5000 + ".pt")
    assert len(str(refused.value)) < 200


def test_a_network_is_built_whatever_the_working_folder_is_by_then(tmp_path, monkeypatch):
    shutil.copy(weights.BUNDLED, tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    weights.load("mine.safetensors")  # what is known about it is kept now
    network = weights.load("mine.safetensors")
    assert "module" not in vars(network)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert sum(p.numel() for p in network.module.parameters()) > 3e6
