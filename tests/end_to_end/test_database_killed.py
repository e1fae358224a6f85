"""The database, or a run and its database, killed in mid-run; the same call goes on afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from fastsam_plugins.paths import SAMPLES

pytest.importorskip("fiftyone", reason="FiftyOne is not installed")

IMAGES, LEAST = 24, 6
PROGRAM = """
import json, sys
from pathlib import Path
import fiftyone as fo
from fastsam_plugins import FastSAM, SegmentOptions
from fiftyone_plugin import segment_job
from fiftyone_plugin.storage import StoreOptions
what, images = sys.argv[1:]
if not fo.dataset_exists("killed"):
    made = fo.Dataset("killed", persistent=True)
    made.add_samples([fo.Sample(filepath=images) for _ in range({images})])
made = fo.load_dataset("killed")
def found():
    labels = made.values("p.detections")
    ids = [d.id for found in labels if found for d in found]
    paths = [Path(p) for p in made.values("p.detections.mask_path", unwind=True) if p]
    kept = [d["p"]["fastsam"]["kept"] for d in made._sample_collection.find({{}}) if d.get("p")]
    return {{
        "labelled": [None if f is None else len(f) for f in labels],
        "doubled": len(ids) - len(set(ids)),
        "missing": sum(not Path(p).is_file() for p in [*paths, *kept]),
    }}
before = found() if made.has_field("p") else None
run = segment_job.everything(
    made, "p", FastSAM("FastSAM-n", device="cpu"), SegmentOptions(conf=0.1, max_det=8, imgsz=160),
    storing=StoreOptions(storage="files"), existing="skip", batch=1,
)
for report in run:
    print("done", report.done, flush=True)
told = {{"done": report.done, "skipped": report.skipped, "failed": len(report.failed)}}
print(json.dumps({{"before": before, "after": found(), **told}}), flush=True)
"""


@pytest.fixture
def start(tmp_path):
    """Start the run, in a process and on a database of its own."""
    (tmp_path / "database").mkdir()
    environment = {
        **os.environ, "FIFTYONE_DATABASE_DIR": str(tmp_path / "database"),
        "FIFTYONE_DEFAULT_DATASET_DIR": str(tmp_path / "files"),
        "FIFTYONE_DATABASE_VALIDATION": "false",
    }  # fmt: skip
    environment.pop("FIFTYONE_PRIVATE_DATABASE_PORT", None)
    source = (
        "from fiftyone.core import service\n"
        "service.MultiClientService.start = service.Service.start\n"
        + textwrap.dedent(PROGRAM.format(images=IMAGES))
    )
    command = [sys.executable, "-c", source, "run", str(SAMPLES / "coins.png")]
    started = []

    def run():
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    for database in databases(tmp_path):
        database.kill()
        database.wait()


def databases(folder):
    """The database's own process, by its folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or [""]
        if "mongod" in command[0] and str(folder / "database") in command:
            found.append(process)
    return found


def until(process, done):
    for line in process.stdout:
        if line.split()[:1] == ["done"] and int(line.split()[1]) >= done:
            return
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("who", ["database", "both"])
def test_the_same_call_goes_on_to_the_end(start, tmp_path, who):
    """Nothing is lost, doubled or broken. A run alone is killed in ``test_killed.py``."""
    running = start()
    until(running, LEAST)
    (mongod,) = databases(tmp_path)
    if who == "both":
        running.kill()
    mongod.kill()
    _, said = running.communicate(timeout=120)
    assert running.returncode != 0
    mongod.wait(60)
    if who == "database":
        assert "pymongo.errors" in said
    last = start()
    out, said = last.communicate(timeout=200)
    assert last.returncode == 0, said
    told = json.loads(out.splitlines()[-1])
    before, after = told["before"], told["after"]
    there = [n for n in before["labelled"] if n is not None]
    assert len(there) >= LEAST  # what the run called done is in the database
    assert told["skipped"] == len(there)
    assert told["done"] == IMAGES - len(there)
    assert told["failed"] == 0
    assert after["labelled"] == [there[0]] * IMAGES  # of one image
    assert after["doubled"] == before["missing"] == after["missing"] == 0
    assert not list(Path(tmp_path / "files").rglob("*.part.npz"))
