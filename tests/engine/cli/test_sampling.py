"""``fastsam sample-sa1b`` at the command line; what it takes is in datasets/test_sa1b.py."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fastsam_plugins.cli.main import main
from tests.engine.datasets.test_sa1b import pair, write


@pytest.fixture
def parts(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    write(folder / "sa_000000.tar", pair(1) | pair(2))
    return folder


def run(*words):
    return CliRunner().invoke(main, ["sample-sa1b", *map(str, words)])


def test_it_says_how_much_it_took(parts, tmp_path):
    done = run(parts, "-o", tmp_path / "out", "--share", "1", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"images": 2, "parts": 1}
    assert "sa_000000.tar: 2 images (1 of 1 parts)" in done.stderr


def test_a_folder_without_parts_is_one_line(tmp_path):
    done = run(tmp_path, "-o", tmp_path / "out")
    assert done.exit_code != 0
    assert f"{tmp_path} holds no .tar part of SA-1B" in done.stderr
    assert not (tmp_path / "out").exists()
