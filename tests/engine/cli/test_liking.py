"""``--like`` and ``--like-box`` at the command line."""

from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from fastsam_plugins.cli.main import main
from fastsam_plugins.paths import SAMPLES

COINS = str(SAMPLES / "coins.png")
COIN, BOX = "40,120", "78,105,122,146"


@pytest.fixture
def run():
    def run(*words):
        return CliRunner().invoke(main, [str(w) for w in words])

    return run


def test_all_coins_are_like_a_coin(run, tmp_path):
    done = run("segment", COINS, "-o", tmp_path / "a.csv", "--conf", 0.05, "--like", COIN)
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) > 20
    assert max(float(row["area"]) for row in rows) < 5000, "not the whole picture"
    like = [float(row["similarity"]) for row in rows]
    assert like == sorted(like, reverse=True)
    assert like[0] == 1
    assert like[-1] >= 0.68


def test_how_many_and_how_like_can_be_said(run, tmp_path):
    base = ["segment", COINS, "-o", tmp_path / "a.json", "--conf", 0.05, "--like-box", BOX]
    assert run(*base, "--top-k", 3).exit_code == 0
    found = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert len(found) == 3
    assert all(a["similarity"] > 0.9 for a in found)
    run(*base, "--threshold", 0.95)
    stricter = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert 1 < len(stricter) < 20
    assert all(a["similarity"] >= 0.95 for a in stricter)


def test_the_example_of_the_first_image_is_looked_for_in_the_others(run, tmp_path):
    for name, turn in (("a", 0), ("b", 180)):
        Image.open(COINS).rotate(turn).save(tmp_path / f"{name}.png")
    done = run("segment", tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "all.csv",
               "--conf", 0.05, "--like", COIN, "--json")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    first, second = (i["instances"] for i in json.loads(done.stdout)["images"])
    assert first > 20
    assert second > 20


def test_an_example_that_cannot_be_read_is_one_line(run, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    done = run("segment", tmp_path / "bad.png", COINS, "-o", tmp_path / "a.csv", "--like", COIN)
    assert done.exit_code == 1
    assert "Error: the example is in" in done.stderr
    assert "could not be used" in done.stderr
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--point", "4,4"], "go alone"),
        (["--text", "a coin"], "go alone"),
        (["--predict"], "go alone"),
        (["--tiled"], "leave --tiled out"),
        (["--like", "900,4"], "there is no instance at (900, 4)"),
        (["--like", "4,4,0"], "--like is a point in an example"),
        (["--top-k", "-1"], "top_k must be at least 0"),
        (["--threshold", "2"], "threshold must be between -1 and 1"),
    ],
)
def test_what_does_not_go_together_is_one_line(run, tmp_path, words, told):
    done = run("segment", COINS, "-o", tmp_path / "a.png", "--like", COIN, *words)
    assert done.exit_code == 1
    assert told in done.stderr
    assert "Traceback" not in done.output
    assert not (tmp_path / "a.png").exists()
