"""The demo on the bundled samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastsam_plugins.cli import demo, main
from tests.command import done

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_demo_writes_every_format_and_tells_times(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "entry_points", lambda group: [])  # adapters have their own tests
    result = done("demo", "-o", tmp_path / "out", "--device", "cpu", "--json")
    report = json.loads(result.stdout)
    assert [r["image"] for r in report] == [s.file for s in demo.DEMO]
    written = {Path(f) for r in report for f in r["files"]} | {tmp_path / "out" / "coco.json"}
    assert set((tmp_path / "out").iterdir()) == written
    assert len(written) == 4 * len(demo.DEMO) + 1
    for entry in report:
        assert entry["instances"] > 0
        assert entry["point"] == entry["box"] == 1, "the samples' prompts lie on something"
        assert entry["segment_ms"] > entry["point_ms"] > 0
        assert entry["segment_ms"] > entry["box_ms"] > 0
        assert f"{entry['image']}: {entry['instances']} instances in" in result.stderr
