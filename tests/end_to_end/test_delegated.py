"""A delegated operation, carried out by FiftyOne's own service in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("fiftyone", reason="FiftyOne is not installed")

SCHEDULE = """
import fiftyone as fo, fiftyone.operators as foo
from fastsam_plugins.paths import SAMPLES
made = fo.Dataset("later", persistent=True)
made.add_samples([fo.Sample(filepath=str(SAMPLES / n)) for n in ("coins.png", "coffee.jpg")])
segment = foo.get_operator("@fastsam-plugins/fastsam/segment_everything")
assert segment(made, delegate=True, field="found", imgsz=320, conf=0.2, batch=1).delegated
"""

WATCH = """
import fiftyone as fo, time
from fiftyone.operators.delegated import DelegatedOperationService
deadline = time.monotonic() + 200
state = ""
while state not in ("completed", "failed") and time.monotonic() < deadline:
    time.sleep(0.5)
    (run,) = DelegatedOperationService().list_operations()
    state = run.run_state
print(state, run.result.error if run.result else None)
made = fo.load_dataset("later")
print(made.count("found.detections") if made.has_field("found") else 0)
"""


def test_fiftyones_service_carries_out_what_was_scheduled(tmp_path):
    folders = {name: str(tmp_path / name) for name in ("database", "plugins", "files")}
    (tmp_path / "database").mkdir()
    environment = {
        **os.environ,
        **{f"FIFTYONE_{k}_DIR": folders[v] for k, v in
           (("DATABASE", "database"), ("PLUGINS", "plugins"), ("DEFAULT_DATASET", "files"))},
    }  # fmt: skip

    def python(*words):
        done = subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=250
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.split("\n")

    python("-m", "fastsam_plugins", "fiftyone", "install")
    python("-c", SCHEDULE)
    program = Path(sys.executable).with_name("fiftyone")
    with open(tmp_path / "log", "w") as log:
        service = subprocess.Popen(
            [str(program), "delegated", "launch"], env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 100
        while "running" not in (tmp_path / "log").read_text():  # then its database is up, too
            assert service.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.5)
        *_, outcome, count, _ = python("-c", WATCH)
    finally:
        os.killpg(service.pid, signal.SIGKILL)
        service.wait(30)
    assert outcome == "completed None", (tmp_path / "log").read_text()
    assert int(count) > 10
