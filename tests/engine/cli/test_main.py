"""What the commands do: images in, files out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fastsam_plugins.network import checkpoints, weights
from fastsam_plugins.options import DataOptions, WeightsOptions
from fastsam_plugins.paths import SAMPLES
from fastsam_plugins.training.options import PRESETS, TrainOptions
from tests.command import done, one_error, run

ROOT = Path(__file__).parents[3]
COINS = SAMPLES / "coins.png"
QUICK = ("--imgsz", "160", "--device", "cpu", "--conf", "0.2")

pytestmark = pytest.mark.usefixtures("one_thread")


# --- edges ----------------------------------------------------------------------------------------


def test_edges_of_images_that_can_be_read_are_written(tmp_path):
    (tmp_path / "words.png").write_text("no image")
    bad = tmp_path / "words.png", tmp_path / "missing.png"
    result = run("edges", bad[0], COINS, bad[1], "-o", tmp_path / "edges", *QUICK)
    assert result.exit_code == 1
    assert "2 of 3 images could not be used" in result.stderr
    assert [p.name for p in (tmp_path / "edges").iterdir()] == ["coins.png"]


@pytest.mark.parametrize("how", ["stem", "link", "hard link", "spelling", "itself"])
@pytest.mark.parametrize("subcommand", ["segment", "edges"])
def test_no_output_replaces_an_input(tmp_path, how, subcommand):
    first, second = tmp_path / "a.png", tmp_path / "a_b.png"
    for path in (first, second):
        path.write_bytes(COINS.read_bytes())
    (tmp_path / "out").mkdir()
    if how == "link":
        (tmp_path / "out" / "a.png").symlink_to(first)
    elif how == "hard link":
        os.link(second, tmp_path / "out" / "a.png")
    outputs = {"stem": "{stem}_b.png", "spelling": "out/../{stem}.png", "itself": "{stem}.png"}
    output = tmp_path / outputs.get(how, "out/{stem}.png")
    if subcommand == "edges":
        if how == "stem":
            pytest.skip("its outputs have the names of the images")
        output = output.parent
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (first, second)}
    result = run(subcommand, first, second, "-o", output, *QUICK)
    assert "would overwrite the input" in one_error(result)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (first, second)} == before


# --- train ----------------------------------------------------------------------------------------


def test_training_on_what_is_not_coco_is_one_line(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    line = one_error(run("train", tmp_path / "a.json", "-o", tmp_path / "out", "--epochs", "1"))
    assert "not a COCO ground truth" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to train on: name DATA, or --resume"),
        (["--resume"], "holds no training to resume"),
        (["--resume", "--epochs", "3"], "--resume keeps the data and options"),
        (["--resume", "--preset", "nano"], "--resume keeps the data and options"),
        (["--resume", __file__], "--resume keeps the data and options"),
        ([__file__, "--synthetic", "2"], "synthetic must be between 0 and 1, got 2.0"),
        ([__file__, "--weights", "nowhere.pt"], "nowhere.pt"),
    ],
)
def test_training_that_cannot_start_is_one_line(words, message, tmp_path):
    assert message in one_error(run("train", *words, "-o", tmp_path / "out"))
    assert list(tmp_path.iterdir()) == [], "nothing was written"


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_recipes_that_help_shows_and_flags_change(preset, monkeypatch, tmp_path):
    from fastsam_plugins.training import train as rooms

    started = []
    monkeypatch.setattr(rooms, "train", lambda *given: started.append(given) or Path("w"))
    done("train", __file__, "-o", tmp_path, "--preset", preset, "--epochs", "7")
    (data, output, options, device, trusted, reading, partial) = started[0]
    assert reading == DataOptions()
    assert partial == ()
    assert (data, output, device) == ((__file__,), tmp_path, "auto")
    assert trusted == WeightsOptions()
    assert options == TrainOptions(**{**PRESETS[preset], "epochs": 7})
    assert f"{preset} {PRESETS[preset]['epochs']}" in " ".join(done("train", "-h").stdout.split())


# --- models, average ------------------------------------------------------------------------------


def test_models_lists_names_and_places():
    rows = json.loads(done("models", "--json").stdout)
    assert [r["name"] for r in rows] == ["FastSAM-n", "FastSAM-s", "FastSAM-x"]
    assert rows[0]["here"]
    text = done("models").stdout
    assert all(r["name"] in text and r["path"] in text for r in rows)


def test_an_unknown_model_cannot_be_downloaded():
    assert "FastSAM-n, FastSAM-s, FastSAM-x" in one_error(run("models", "--download", "FastSAM-q"))


def test_the_mean_of_trainings_is_one_command(tmp_path):
    output = tmp_path / "mean.safetensors"
    assert str(output) in done("average", "FastSAM-n", weights.BUNDLED, "-o", output).stdout
    assert checkpoints.read(output).imgsz == checkpoints.read(weights.BUNDLED).imgsz


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "WEIGHTS"),
        ([weights.BUNDLED], "--output"),
        ([weights.BUNDLED, "-o", "mean.pt"], "must end in .safetensors"),
        (["nowhere.pt", "-o", "mean.safetensors"], "no weights at nowhere.pt"),
    ],
)
def test_a_mean_of_nothing_is_one_line(words, message):
    assert message in one_error(run("average", *words))


def test_a_mean_of_weights_does_not_replace_one_of_them(tmp_path):
    weights_file = tmp_path / "a.safetensors"
    weights_file.write_bytes(weights.BUNDLED.read_bytes())
    result = run("average", weights_file, weights.BUNDLED, "-o", weights_file)
    assert "would overwrite the input" in one_error(result)
    assert weights_file.read_bytes() == weights.BUNDLED.read_bytes()


def test_data_labelled_in_part_are_named_apart(tmp_path, monkeypatch):
    from fastsam_plugins.training import train as rooms

    started = []
    monkeypatch.setattr(rooms, "train", lambda *given: started.append(given) or Path("w"))
    done("train", "a", "-o", tmp_path, "--partial", "b", "--partial", "c")
    done("train", "-o", tmp_path, "--partial", "b")
    assert [(given[0], given[-1]) for given in started] == [(("a",), ("b", "c")), ((), ("b",))]
    line = one_error(run("train", "--resume", "-o", tmp_path, "--partial", "b"))
    assert "--resume keeps the data" in line


def test_several_devices_are_refused(tmp_path):
    line = one_error(run("train", __file__, "-o", tmp_path / "out", "--device", "0,1"))
    assert "a training runs on one device, got 0,1" in line
    assert not (tmp_path / "out").exists()
