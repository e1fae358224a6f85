"""Programs that make data for tests and for ``fastsam paper``: what is wrong is one line."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from support import lvis
from support.tiny_clip import as_coco
from tests.conftest import BUNDLED


@pytest.mark.parametrize("program", [lvis, as_coco])
def test_help_is_no_folder(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(program.main, ["--help"])
    assert shown.exit_code == 0
    assert "Usage: " in shown.stdout
    assert not list(tmp_path.iterdir())


def test_what_is_missing_or_there_already_is_said(tmp_path):
    (tmp_path / "mine").mkdir()
    coco = BUNDLED / "dev" / "coco"
    for program, words, message in (
        (lvis, [], "Missing argument 'SOURCE'"),
        (lvis, [tmp_path, tmp_path / "new"], "needs instances.json and images/"),
        (lvis, [coco, tmp_path / "mine"], "mine is there already: name a new folder"),
        (as_coco, [tmp_path / "mine"], "mine is there already: name a new folder"),
    ):
        ended = CliRunner().invoke(program.main, [str(w) for w in words])
        assert ended.exit_code == 2
        assert message in ended.stderr.splitlines()[-1]
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_coco_becomes_a_folder_of_lvis_form(tmp_path):
    coco = BUNDLED / "dev" / "coco"
    made = CliRunner().invoke(lvis.main, [str(coco), str(tmp_path / "lvis")])
    assert made.exit_code == 0, made.output
    truth = json.loads((tmp_path / "lvis" / "lvis.json").read_text())
    assert all(category["frequency"] in "fcr" for category in truth["categories"])
    assert {p.name for p in (tmp_path / "lvis" / "images").iterdir()} == {
        p.name for p in (coco / "images").iterdir()
    }
