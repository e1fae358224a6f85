"""A run over many images that is killed from outside, wherever it is, and gone on with."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

fo = pytest.importorskip("fiftyone", reason="FiftyOne is not installed")

IMAGES = 160


@pytest.fixture
def images(data, tmp_path):
    """The COCO images as a dataset."""
    made = fo.Dataset(persistent=True)
    files = sorted((data / "dev" / "coco" / "images").iterdir())
    files = [shutil.copy(f, tmp_path / f"{k}{f.suffix}")
             for k, f in zip(range(IMAGES), itertools.cycle(files))]  # fmt: skip
    made.add_samples([fo.Sample(filepath=str(f)) for f in files])
    yield made
    made.delete()


def program(name: str, existing: str) -> subprocess.Popen:
    """Segment a dataset in another process; masks are files."""
    source = textwrap.dedent(
        f"""
        import fiftyone as fo
        from fastsam_plugins import FastSAM, SegmentOptions
        from fiftyone_plugin import segment_job
        from fiftyone_plugin.storage import StoreOptions
        run = segment_job.everything(
            fo.load_dataset({name!r}), "found", FastSAM("FastSAM-n", device="cpu"),
            SegmentOptions(conf=0.1, max_det=20, imgsz=256),
            storing=StoreOptions(storage="files"), existing={existing!r}, batch=4,
        )
        for report in run:
            pass
        print(report.total, report.done, report.skipped, len(report.failed))
        """
    )
    return subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, env=os.environ, text=True
    )


def test_every_sample_is_done_once_and_nothing_is_lost(images):
    running = program(images.name, "refuse")
    try:
        begin = time.monotonic()
        while (done := len(images.exists("found")) if images.has_field("found") else 0) < 12:
            assert running.poll() is None
            assert time.monotonic() - begin < 120
            time.sleep(0.02)
            images.reload()
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    images.reload()
    before = dict(zip(*images.exists("found").values(["id", "found.detections.id"]), strict=True))
    assert done <= len(before) < IMAGES

    again = program(images.name, "skip")
    out, _ = again.communicate(timeout=200)
    left = IMAGES - len(before)
    assert out.split()[-4:] == [str(left), str(left), str(len(before)), "0"]
    images.reload()
    assert len(images.exists("found")) == IMAGES
    after = dict(zip(*images.values(["id", "found.detections.id"]), strict=True))
    assert {k: after[k] for k in before} == before
    # Each mask has its file, and no file is without a mask once the killed run's are tidied away.
    masks = [Path(p) for paths in images.values("found.detections.mask_path") for p in paths]
    assert len(masks) == len(set(masks)) > IMAGES
    assert all(mask.is_file() for mask in masks)
    from fiftyone_plugin import tidy
    from fiftyone_plugin.parameters import TidyOptions

    folder = masks[0].parents[2]
    tidy.find(TidyOptions(min_age=0)).delete()
    assert {p for p in folder.rglob("*") if p.suffix == ".png"} == set(masks)
    assert len(list(folder.rglob("*.npz"))) == IMAGES
