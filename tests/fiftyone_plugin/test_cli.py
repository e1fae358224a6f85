"""``fastsam fiftyone``, in a plugins folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import fiftyone as fo
import pytest

from fastsam_plugins.messages import install


@pytest.fixture
def fastsam(tmp_path):
    """Run the command; gives exit status, standard output and standard error."""
    fo.list_datasets()  # connects: children use this process's database, and nobody else's

    def run(*arguments, **environment):
        places = {"FIFTYONE_PLUGINS_DIR": str(tmp_path / "plugins")}
        done = subprocess.run(
            [sys.executable, "-m", "fastsam_plugins", "fiftyone", *arguments],
            env={**os.environ, **places, **environment}, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


def test_install_doctor_uninstall(fastsam, tmp_path):
    status, out, _ = fastsam("doctor", "--json")
    assert status == 1
    found = {f["name"]: f for f in json.loads(out)}
    assert found["database"]["ok"]
    assert not found["plugin"]["ok"]
    assert found["plugin"]["mend"] == "fastsam fiftyone install"

    status, out, _ = fastsam("install")
    assert status == 0
    assert "Installed in" in out
    status, out, _ = fastsam("doctor")
    assert status == 0
    assert "segment_everything" in out

    (tmp_path / "plugins" / "fastsam-plugins" / "fastsam" / "__init__.py").write_text("# older")
    status, out, _ = fastsam("doctor")
    assert status == 1
    assert "of another version  ->  fastsam fiftyone install" in out

    assert fastsam("uninstall")[0] == 0
    assert list((tmp_path / "plugins").iterdir()) == []
    status, _, err = fastsam("uninstall")
    assert status == 1
    assert err.strip().split("\n")[-1].startswith("Error: the plugin is not installed in")


def test_without_fiftyone_one_line_says_what_to_install(fastsam, tmp_path):
    (tmp_path / "fiftyone.py").write_text("raise ImportError('none here')")
    status, _, err = fastsam("install", PYTHONPATH=str(tmp_path))
    assert status == 1
    assert err.strip() == (f"Error: this needs FiftyOne (none here): {install('fiftyone')}")
