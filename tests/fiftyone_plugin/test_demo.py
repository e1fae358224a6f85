"""`fastsam demo` where FiftyOne is installed: a database of its own, and the App."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

COMMAND = [sys.executable, "-m", "fastsam_plugins", "demo", "--device", "cpu"]


@pytest.fixture
def home(tmp_path):
    """The environment of a person whose FiftyOne is set up otherwise."""
    own = tmp_path / "home"
    own.mkdir()
    config = own / "config.json"
    config.write_text(json.dumps({"database_uri": "mongodb://nobody.invalid:1"}))
    places = {"HOME": str(own), "FIFTYONE_CONFIG_PATH": str(config),
              "FIFTYONE_DATABASE_DIR": str(own / "database"),
              "FIFTYONE_PRIVATE_DATABASE_PORT": "1"}  # fmt: skip
    return {**os.environ, **places}


def test_the_demo_makes_a_dataset_and_shows_it_without_touching_the_users(home, tmp_path, dataset):
    # `dataset`: meanwhile another FiftyOne of this person's runs a database.
    output = tmp_path / "demo"
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(
            [*COMMAND, "-o", str(output), "--app"], env=home, stdout=log, stderr=log,
            start_new_session=True, cwd=tmp_path,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 200
        while not (at := re.search(r"The App is at (http\S+)", (tmp_path / "log").read_text())):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.5)
        with urllib.request.urlopen(at[1], timeout=30) as answer:
            assert b"<title>" in answer.read()
        os.kill(process.pid, signal.SIGINT)
        process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    text = (tmp_path / "log").read_text()
    assert re.search(r"FiftyOne: \d{3} proposals on 6 images; mask AR@100 is 0\.[4-9]", text), text
    assert "Traceback" not in text
    assert (output / "fiftyone" / "plugins" / "fastsam-plugins" / "fastsam").is_dir()
    assert list((output / "fiftyone" / "database").glob("*.wt"))  # MongoDB's files
    assert not (tmp_path / "home" / "database").exists()


def test_the_app_needs_fiftyone(tmp_path):
    """FiftyOne hidden, as where it is not installed."""
    program = (
        "import importlib.util as u, sys; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'fiftyone' else found(name, *a)\n"
        "from fastsam_plugins.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--app", "-o", str(tmp_path / "out")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "Error: --app needs FiftyOne: pip install 'fastsam-plugins[fiftyone]'"
    )
    assert not (tmp_path / "out").exists()
