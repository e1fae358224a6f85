"""The scripts of ``examples/`` run as they stand, each in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import tiny_clip
from tests.conftest import BUNDLED, ROOT

EXAMPLES = ROOT / "examples"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def run(tmp_path):
    """Run one; what it printed, and how it ended."""

    def run(name, *words, **environment):
        places = {"OMP_NUM_THREADS": "1", **environment}
        kept = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        done = subprocess.run(
            [sys.executable, EXAMPLES / f"{name}.py", *words],
            cwd=tmp_path, env={**kept, **places}, capture_output=True, text=True, timeout=500,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def test_one_image_is_segmented_and_prompted(run, tmp_path):
    done = run("segment_and_prompt")
    assert done.returncode == 0, done.stderr
    assert "Segmentation(" in done.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"all.png", "picked.png"}


def test_a_folder_becomes_coco(run, tmp_path):
    folder = BUNDLED / "dev" / "nuclei" / "images"
    done = run("folder_to_coco", folder)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "instances.json").read_text())
    assert [i["file_name"] for i in content["images"]] == sorted(p.name for p in folder.iterdir())
    assert len(content["annotations"]) > 20


def test_a_map_becomes_a_geopackage(run, tmp_path):
    pyogrio = pytest.importorskip("pyogrio")
    done = run("geotiff_to_geopackage")
    assert done.returncode == 0, done.stderr
    assert pyogrio.read_info(tmp_path / "roofs.gpkg")["crs"] == "EPSG:32616"
    assert pyogrio.read_info(tmp_path / "roofs.gpkg")["features"] > 5


def test_words_pick_objects(run):
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    done = run("text_prompts", tiny_clip.FOLDER)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "a cup", "a spoon", "a wooden table"
    ]  # fmt: skip


def test_words_without_a_clip_are_told_how_to_get_one(run, tmp_path):
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    done = run("text_prompts", HF_HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "fastsam models --download ViT-B-32/openai" in done.stderr.splitlines()[-1]


def test_recall_is_measured_in_fiftyone(run):
    fo = pytest.importorskip("fiftyone", reason="FiftyOne is not installed")
    fo.list_datasets()  # connects: the script uses this process's database, and nobody else's
    done = run("fiftyone_recall")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 images" in done.stdout
    assert 0 < float(done.stdout.split("mask AR@1000: ")[1]) < 1


def test_napari_opens_a_sample(run, tmp_path):
    pytest.importorskip("napari", reason="napari is not installed")
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb: see CONTRIBUTING.md")
    # Looked at for some seconds, then closed as a user closes it: napari's own run() waits for
    # threads that still work; without it they find Qt's objects deleted.
    (tmp_path / "sitecustomize.py").write_text(
        "import napari\nfrom qtpy.QtCore import QTimer\nrun = napari.run\n"
        "close = lambda: napari.current_viewer().close()\n"
        "napari.run = lambda: (QTimer.singleShot(4000, close), run())\n"
    )
    read, write = os.pipe()
    words = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1200x900x24", "-nolisten", "tcp"]
    with subprocess.Popen(words, pass_fds=[write], stderr=subprocess.DEVNULL) as screen:
        os.close(write)
        with os.fdopen(read) as told:
            number = told.readline().strip()
        places = {"PYTHONPATH": str(tmp_path), "NAPARI_CONFIG": str(tmp_path / "napari.yaml"),
                  "XDG_DATA_HOME": str(tmp_path)}  # fmt: skip
        try:
            done = run("napari_sample", DISPLAY=f":{number}", **places)
        finally:
            screen.terminate()
    assert done.returncode == 0, done.stderr
    assert "Opened coins" in done.stdout


def test_napari_without_a_screen_is_a_line(run):
    pytest.importorskip("napari", reason="napari is not installed")
    done = run("napari_sample")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "There is no screen for napari's window"


def test_a_network_is_trained(run, tmp_path):
    done = run("train_on_label_images")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "training" / "run" / "weights" / "best.safetensors").is_file()
    assert "Segmentation(" in done.stdout.splitlines()[-1]


def test_every_example_is_short_and_tried():
    tried = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'run("{path.stem}"' in tried, path.name
        assert len(path.read_text().splitlines()) < 40, path.name
        assert path.name in (EXAMPLES / "README.md").read_text()
