"""Importing the package is instant and touches nothing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

import fastsam_plugins

PROBE = """
import json, sys, time
start = time.perf_counter()
import fastsam_plugins
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""
HEAVY = {
    "torch",
    "numba",
    "torchvision",
    "ultralytics",
    "cv2",
    "skimage",
    "scipy",
    "PIL",
    "matplotlib",
}


def probe(home):
    home.mkdir(exist_ok=True)
    places = {"HOME": str(home), "YOLO_CONFIG_DIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_importing_is_instant_and_touches_nothing(tmp_path):
    home = tmp_path / "home"
    runs = [probe(home) for _ in range(5)]
    assert not HEAVY & set(runs[0]["modules"])
    assert list(home.iterdir()) == []
    assert median(run["seconds"] for run in runs) < 0.3


def test_every_public_name_resolves():
    for name in fastsam_plugins.__all__:
        assert getattr(fastsam_plugins, name).__name__ == name
        assert name in dir(fastsam_plugins)
    assert not hasattr(fastsam_plugins, "no_such_name")


def test_every_public_name_is_listed():
    assert set(fastsam_plugins._HOMES) == set(fastsam_plugins.__all__)


@pytest.mark.parametrize(
    ("folder", "barred"),
    [("tests", {"benchmarks"}), ("benchmarks", {"tests"}), ("support", {"tests", "benchmarks"})],
)
def test_tests_and_benchmarks_stand_by_themselves(folder, barred):
    files = list((Path(__file__).parents[2] / folder).rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not {name.partition(".")[0] for name in names} & barred, (file, names)
