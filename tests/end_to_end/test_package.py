"""What people install: the wheel and the source archive, built and tried where nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from fastsam_plugins import __version__
from fastsam_plugins.paths import SAMPLES
from tests.conftest import ROOT

pytest.importorskip("build", reason="build is not installed")

PACKAGES = ("fastsam_plugins", "fiftyone_plugin", "napari_plugin")
# Of an earlier build or a run, and no part of the source: setuptools would pack them again.
LEFT_OVER = shutil.ignore_patterns("__pycache__", "*.egg-info", ".venv*", ".git", "build", "dist",
                                   ".*_cache", ".hypothesis", "fastsam-*")  # fmt: skip

pytestmark = pytest.mark.timeout(900)


def done(*words, **how):
    """Run a program to its end; what it printed."""
    run = subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, timeout=600, **how
    )
    assert run.returncode == 0, f"{words}\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}"
    return run.stdout


def build(source: Path, output: Path, kind: str) -> Path:
    """Build a wheel or an sdist with what is installed here: nothing is downloaded."""
    done(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "-o", output, source)
    (made,) = output.iterdir()
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The project's files without what building and testing left among them."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("source") / "project",
                                ignore=LEFT_OVER))  # fmt: skip


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build(source, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def sdist(source, tmp_path_factory):
    """The source archive, unpacked."""
    archive = build(source, tmp_path_factory.mktemp("sdist"), "sdist")
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / f"fastsam_plugins-{__version__}"


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(source, wheel):
    with zipfile.ZipFile(wheel) as file:
        names = {n for n in file.namelist() if ".dist-info/" not in n}
    assert names == {f"{p}/{n}" for p in PACKAGES for n in files(source / p)}
    for package in PACKAGES:
        assert f"{package}/py.typed" in names


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as file:
        info = f"fastsam_plugins-{__version__}.dist-info"
        told = message_from_bytes(file.read(f"{info}/METADATA"))
        assert file.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert (told["Version"], told["License-Expression"]) == (__version__, "AGPL-3.0-or-later")
    assert told.get_payload(decode=True) == (ROOT / "README.md").read_bytes()


def test_the_source_archive_holds_all_that_tests_and_changes_need(source, sdist):
    for folder in ("benchmarks", "docs", "examples", "scripts", "support", "tests", *PACKAGES):
        assert files(source / folder), f"{folder} is empty"
        assert files(sdist / folder) == files(source / folder)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "constraints.txt",
                 "pyproject.toml"):  # fmt: skip
        assert (sdist / name).read_bytes() == (source / name).read_bytes()


def test_the_source_archive_builds_the_same_wheel(sdist, wheel, tmp_path):
    again = build(sdist, tmp_path / "again", "wheel")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as two:
        assert {i.filename: i.CRC for i in one.infolist()} == {
            i.filename: i.CRC for i in two.infolist()
        }


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A new environment with the wheel; what it requires is that of the one that runs this."""
    place = tmp_path_factory.mktemp("installed")
    done(sys.executable, "-m", "venv", "--without-pip", place / "venv")
    python = place / "venv" / "bin" / "python"
    # The tests' own environment may have no pip, but the Python that it was made with has.
    pip = [getattr(sys, "_base_executable", sys.executable), "-m", "pip"]
    done(*pip, "--python", python, "install", "--no-index", "--no-deps", wheel)
    # All but the project itself, which is installed there for editing.
    (place / "required").mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "fastsam" not in path.name and path.suffix != ".pth":
            (place / "required" / path.name).symlink_to(path)
    (site,) = (place / "venv" / "lib").glob("python*/site-packages")
    (site / "required.pth").write_text(f"{place / 'required'}\n")
    return place


@pytest.fixture(scope="module")
def run(installed, tmp_path_factory):
    """Run a program of the new environment, in an empty folder of a person who set nothing."""
    home = tmp_path_factory.mktemp("home")
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment = {**kept, "HOME": str(home), "OMP_NUM_THREADS": "1"}

    def run(program, *words, **more):
        words = installed / "venv" / "bin" / program, *words
        return done(*words, cwd=home, env={**environment, **more})

    return run


def python(run, code):
    """What a piece of Python prints there, as JSON."""
    return json.loads(run("python", "-c", f"import json\n{code}"))


def test_it_is_the_wheel_that_is_tried(run, installed):
    places = python(run, f"print(json.dumps([__import__(p).__file__ for p in {PACKAGES}]))")
    assert all(Path(p).is_relative_to(installed) for p in places)


def test_the_doctor_finds_all_that_is_needed(run):
    findings = {f["name"]: f for f in json.loads(run("fastsam", "doctor", "--json"))}
    assert findings["fastsam-plugins"]["detail"] == __version__
    assert findings["FastSAM-n"]["ok"]
    assert [f for f in findings.values() if f["needed"] and not f["ok"]] == []


def test_a_sample_is_segmented(run, tmp_path):
    output = tmp_path / "coins.json"
    run("fastsam", "segment", SAMPLES / "coins.png", "-o", output, "--conf", "0.25",
        "--imgsz", "320", "--device", "cpu")  # fmt: skip
    assert len(json.loads(output.read_text())["annotations"]) > 10


def test_entry_points_lead_to_what_they_name(run):
    pytest.importorskip("fiftyone", reason="FiftyOne is not installed")
    code = """
from importlib.metadata import distribution
points = distribution("fastsam-plugins").entry_points
loaded = [p for p in points if p.group != "napari.manifest" and callable(p.load())]
print(json.dumps([[p.group, p.name] for p in loaded]))
"""
    assert sorted(map(tuple, python(run, code))) == [
        ("console_scripts", "fastsam"),
        ("fastsam_plugins.commands", "fiftyone"),
        ("fastsam_plugins.demos", "fiftyone"),
        ("fastsam_plugins.images", "fiftyone"),
        ("fastsam_plugins.labels", "fiftyone"),
        ("fastsam_plugins.labels", "napari"),
    ]


def test_napari_finds_the_plugin_and_all_that_it_names(run):
    pytest.importorskip("napari", reason="napari is not installed")
    code = """
from importlib import import_module
from npe2 import PluginManifest
manifests = [r.manifest for r in PluginManifest.discover() if r.manifest]
(found,) = [m for m in manifests if m.name == "fastsam-plugins"]
names = [c.python_name for c in found.contributions.commands]
loaded = [getattr(import_module(m), f) for m, f in (name.split(":") for name in names)]
print(json.dumps([found.package_version, len(found.contributions.sample_data), len(loaded)]))
"""
    version, samples, commands = python(run, code)
    assert version == __version__
    assert samples == 3
    assert commands > samples


def test_fiftyone_gets_its_plugin_from_it(run, tmp_path):
    pytest.importorskip("fiftyone", reason="FiftyOne is not installed")
    told = run("fastsam", "fiftyone", "install", FIFTYONE_PLUGINS_DIR=str(tmp_path))
    place = tmp_path / "fastsam-plugins" / "fastsam"
    assert str(place) in told
    for name in ("fiftyone.yml", "__init__.py"):
        assert (place / name).read_bytes() == (ROOT / "fiftyone_plugin" / name).read_bytes()
