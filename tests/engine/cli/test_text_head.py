"""``fastsam train-text-head``, and --features head."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.text.head import ENDING
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import scene
from tests.command import done, run

QUICK = ("--device", "cpu", "--clip", FOLDER)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for k in range(10):
        Image.fromarray(scene(11, k).image).save(folder / f"{k}.png")
    output = tmp_path_factory.mktemp("head") / f"a{ENDING}"
    said = done("train-text-head", folder, "-o", output, *QUICK, "--steps", 60, "--json")
    return folder, output, json.loads(said.stdout)


def test_a_head_is_trained_and_answers_a_text(trained, tmp_path) -> None:
    folder, output, report = trained
    assert report["head"] == str(output)
    ways = {a["way"]: a["cosine"] for a in report["agreement"]}
    assert ways["the head"] > ways["the mean of all"]
    found = tmp_path / "found.json"
    done("segment", folder / "0.png", "-o", found, *QUICK, "--text", "a red star",
         "--features", "head", "--head", output)  # fmt: skip
    (annotation,) = json.loads(found.read_text())["annotations"]
    assert np.isfinite(annotation["similarity"])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (("--features", "head"), "train-text-head"),
        (("--features", "head", "--head", "HEAD", "--tiled"), "--tiled"),
        (("--head", "HEAD"), "--features head"),
        (("--features", "head", "--head", "none"), "there is no head"),
    ],
)
def test_what_does_not_go_together_is_told(trained, tmp_path, how, words) -> None:
    folder, output, _ = trained
    how = [output if word == "HEAD" else word for word in how]
    said = run("segment", folder / "0.png", "-o", tmp_path / "a.json", *QUICK, "--text", "a", *how)
    assert said.exit_code == 1
    assert words in said.stderr.splitlines()[-1]
    assert not (tmp_path / "a.json").exists()


def test_the_output_is_checked_before_anything_is_looked_at(trained, tmp_path) -> None:
    folder, _, _ = trained
    said = run("train-text-head", folder, "-o", tmp_path / "a.pt", *QUICK)
    assert said.exit_code == 1
    assert ENDING in said.stderr.splitlines()[-1]
    said = run("train-text-head", tmp_path / "none", "-o", tmp_path / f"a{ENDING}", *QUICK)
    assert said.exit_code == 1
    assert "none" in said.stderr.splitlines()[-1]
