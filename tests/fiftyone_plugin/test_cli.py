"""``fastsam fiftyone``, in a plugins folder of its own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import fiftyone as fo
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import fastsam_plugins
from fastsam_plugins.messages import install
from fiftyone_plugin import cli
from tests.conftest import ROOT


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


def test_the_package_and_its_plugin_ask_for_the_same_fiftyone_which_is_what_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = map(Requirement, project["optional-dependencies"]["fiftyone"])
    (asked,) = (r.specifier for r in extra if r.name == "fiftyone")
    plugin = yaml.safe_load((Path(cli.__file__).parent / "fiftyone.yml").read_text())
    assert SpecifierSet(plugin["fiftyone"]["version"]) == asked
    assert plugin["version"] == fastsam_plugins.__version__
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    (pinned,) = (p.removeprefix("fiftyone==") for p in pins if p.startswith("fiftyone=="))
    assert pinned in asked
    assert importlib.metadata.version("fiftyone") in asked
    assert "1.15" not in asked, "it has no levels of risk, which operators have to name"
