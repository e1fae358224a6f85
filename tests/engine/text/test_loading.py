from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from fastsam_plugins import WeightsError
from fastsam_plugins.messages import install
from fastsam_plugins.text import loading
from fastsam_plugins.text.loading import load
from support.tiny_clip import FOLDER

WEIGHTS = FOLDER / "open_clip_model.safetensors"


@pytest.fixture
def known(tmp_path, monkeypatch):
    """The tiny network under a name of open_clip, with a tag whose weights are on no server."""
    config = json.loads((FOLDER / loading.CONFIG).read_text())["model_cfg"]
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "Tiny.json").write_text(json.dumps(config))
    before = dict(open_clip.factory._MODEL_CONFIGS), list(open_clip.factory._MODEL_CONFIG_PATHS)
    open_clip.add_model_config(tmp_path / "configs")
    tag = {"hf_hub": "nobody/tiny/", "quick_gelu": True, "mean": (0.1, 0.2, 0.3)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Tiny", {"mine": tag})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    yield "Tiny"
    open_clip.factory._MODEL_CONFIGS = before[0]
    open_clip.factory._MODEL_CONFIG_PATHS[:] = before[1]
    loading._load.cache_clear()  # a name's meaning ends with the test


def same(a, b) -> bool:
    """Features are kept: those of an earlier test may be of another number of threads."""
    ours, others = (clip.text_features(["a red star"]) for clip in (a, b))
    return np.allclose(ours, others, atol=1e-6)


def test_it_is_small_and_loaded_once() -> None:
    assert WEIGHTS.stat().st_size <= 4_000_000
    tiny = load(FOLDER, "cpu")
    assert load(FOLDER, "cpu") is tiny
    assert repr(tiny) == f"Clip({FOLDER}, cpu)"


def test_trained_anew_it_is_loaded_anew(tmp_path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "clip", ignore=lambda *_: ["__pycache__"])
    first = load(folder, "cpu")
    state = load_file(folder / WEIGHTS.name)
    save_file({k: v + 1 for k, v in state.items()}, folder / WEIGHTS.name)
    os.utime(folder / WEIGHTS.name, (1, 1))
    assert not same(load(folder, "cpu"), first)


def test_a_file_beside_its_configuration(tiny) -> None:
    assert same(load(WEIGHTS, "cpu"), tiny)


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_a_file_for_a_network_that_open_clip_knows(known, tiny, tmp_path, ending) -> None:
    file = tmp_path / f"mine{ending}"
    if ending == ".pt":
        torch.save({"state_dict": load_file(WEIGHTS)}, file)
    else:
        shutil.copy(WEIGHTS, file)
    assert same(load(f"{known}/{file}", "cpu"), tiny)


def test_a_tag_is_found_in_the_cache_without_network(known, tmp_path) -> None:
    snapshot = tmp_path / "hub" / "models--nobody--tiny" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    shutil.copy(WEIGHTS, snapshot / WEIGHTS.name)
    clip = load(f"{known}/mine", "cpu")
    assert clip.pixels.mean == (0.1, 0.2, 0.3)
    # The tag says which activation it was trained with: open_clip only warns.
    kinds = {type(m).__name__ for m in clip.model.modules()}
    assert "QuickGELU" in kinds
    assert "GELU" not in kinds


def test_without_network_a_line_says_what_to_do(known, tmp_path) -> None:
    with pytest.raises(WeightsError) as error:
        load(f"{known}/mine", "cpu")
    said = str(error.value)
    assert "\n" not in said
    assert "Tiny/mine" in said
    assert str(tmp_path / "hub" / "models--nobody--tiny") in said
    assert "Tiny/FILE" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ViT-B-23/openai", "knows no 'ViT-B-23': did you mean ViT-B-32"),
        ("/nowhere/clip.pt", "neither a file or folder nor a network"),
        ("ViT-B-32", "names no weights: write NAME/TAG or NAME/FILE; its tags are openai, "),
        ("ViT-B-32/opnai", "'opnai' is neither a tag of ViT-B-32 nor a file"),
        ("", "knows no ''"),
    ],
)
def test_names_that_stand_for_nothing(name, said) -> None:
    with pytest.raises(WeightsError) as error:
        load(name, "cpu")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_folders_that_hold_nothing(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"no open_clip_config\.json in"):
        load(tmp_path)
    shutil.copy(FOLDER / loading.CONFIG, tmp_path)
    with pytest.raises(WeightsError, match="no weights in"):
        load(tmp_path)
    (tmp_path / "clip.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="cannot be used as weights"):
        load(tmp_path)
    (tmp_path / loading.CONFIG).write_text("{")
    with pytest.raises(WeightsError, match="cannot be built"):
        load(tmp_path)


def test_weights_of_another_network_are_refused(known, tmp_path) -> None:
    state = load_file(WEIGHTS)
    del state["ln_final.weight"]
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"Missing key.*ln_final\.weight"):
        load(f"{known}/{tmp_path / 'other.safetensors'}", "cpu")


@pytest.mark.parametrize("name", ["picture.png", "text.pt", "cut.pt", "cut.safetensors"])
def test_files_that_hold_no_weights_are_told_in_a_line(known, tmp_path, name) -> None:
    torch.save({"state_dict": load_file(WEIGHTS)}, tmp_path / "whole.pt")
    content = {
        "picture.png": b"\x89PNG\r\n\x1a\n",
        "text.pt": b"no weights",
        "cut.pt": (tmp_path / "whole.pt").read_bytes()[:1000],
        "cut.safetensors": WEIGHTS.read_bytes()[:1000],
    }
    (tmp_path / name).write_bytes(content[name])
    with pytest.raises(WeightsError, match="cannot be used as weights of Tiny") as error:
        load(f"{known}/{tmp_path / name}", "cpu")
    assert "\n" not in str(error.value)
    assert "weights_only" not in str(error.value)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path(os.environ["BOMB"]),)


def test_code_in_a_file_is_not_run(known, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    torch.save({"state_dict": {**load_file(WEIGHTS), "bomb": Bomb()}}, tmp_path / "bomb.pt")
    with pytest.raises(WeightsError, match=r"parameters alone, best as \.safetensors") as error:
        load(f"{known}/{tmp_path / 'bomb.pt'}", "cpu")
    # PyTorch's own words advise to run it.
    assert "weights_only" not in str(error.value)
    assert "it is damaged or holds code" in str(error.value)
    assert not (tmp_path / "exploded").exists()
    torch.load(tmp_path / "bomb.pt", weights_only=False)
    assert (tmp_path / "exploded").exists()  # it would have


def test_without_open_clip_a_line_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(WeightsError, match=re.escape(install("text"))):
        load("ViT-B-32/openai")


def test_devices_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="device must be"):
        load(FOLDER, "toaster")


def test_logging_of_the_program_stays_as_it_was(monkeypatch, capfd, tmp_path) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    folder = shutil.copytree(FOLDER, tmp_path / "clip", ignore=lambda *_: ["__pycache__"])
    load(folder, "cpu")
    assert logging.root.handlers == []
    assert logging.root.filters == []
    assert capfd.readouterr() == ("", "")
