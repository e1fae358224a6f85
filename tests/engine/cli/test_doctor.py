"""What the doctor finds and how it says to mend it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fastsam_plugins import __version__
from fastsam_plugins.cli import doctor
from fastsam_plugins.messages import install
from fastsam_plugins.network import weights
from tests.command import command, done, run


def test_the_doctor_finds_the_engine_well():
    found = {f["name"]: f for f in json.loads(done("doctor", "--json").stdout)}
    assert found["fastsam-plugins"]["detail"] == __version__
    assert all(f["ok"] for f in found.values() if f["needed"])
    assert found["FastSAM-n"]["ok"]
    text = done("doctor").stdout
    assert all(name in text for name in found)
    assert "MISSING" not in text


def test_the_doctor_mends_what_is_missing():
    missing = doctor._package("no-such-package", "", install("napari"))
    assert not missing.ok
    for f in doctor.examine():
        assert f.ok or f.mend
        assert "\n" not in f.detail


def test_the_doctor_only_names_extras_that_there_are():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    named = {f.mend.split("[")[1].split("]")[0] for f in doctor.examine() if "[" in f.mend}
    assert named <= set(project["optional-dependencies"])


def test_the_doctor_works_where_opencv_does_not(tmp_path):
    """The commonest fault of a bare machine: a system library that OpenCV needs."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object')")
    result = command("doctor", "--json", environment={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 1, result.stderr
    found = {f["name"]: f for f in json.loads(result.stdout)}
    assert "libGL.so.1" in found["opencv"]["detail"]
    assert "opencv" in found["opencv"]["mend"]
    assert found["torch"]["ok"]


def test_packages_that_cannot_be_imported_are_not_ok(tmp_path):
    """Installed is not enough: a library of the system may be missing, or a file shadow it."""
    broken = {"skimage": "scikit-image", "matplotlib": "matplotlib", "rasterio": "rasterio"}
    for module in broken:
        (tmp_path / f"{module}.py").write_text("raise ImportError('libgomp.so.1: cannot open')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    result = command("doctor", "--json", environment={"PYTHONPATH": path})
    assert result.returncode == 1, result.stderr
    found = {f["name"]: f for f in json.loads(result.stdout)}
    for package in broken.values():
        assert not found[package]["ok"]
        assert found[package]["detail"].endswith("cannot be imported: libgomp.so.1: cannot open")
        again = f"pip install --force-reinstall --no-deps {package}=="
        assert found[package]["mend"].startswith(again)
    assert found["torch"]["ok"]


def test_what_is_not_tried_is_said():
    found = {f.name: f for f in doctor.examine()}
    assert found["torchvision"].detail.endswith(", not tried")
    assert not found["scikit-image"].detail.endswith(", not tried")


def test_damaged_bundled_weights_are_found_and_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BUNDLED", tmp_path / "FastSAM-n.safetensors")
    weights.BUNDLED.write_bytes(b"cut")
    result = run("doctor")
    assert result.exit_code == 1
    (line,) = [x for x in result.stdout.splitlines() if "FastSAM-n" in x]
    assert line.startswith("MISSING")
    assert "checkout -- fastsam_plugins/assets/FastSAM-n.safetensors" in line
