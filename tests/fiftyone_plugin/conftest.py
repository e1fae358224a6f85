"""FiftyOne on a real MongoDB, in the folder that tests/conftest.py gives it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fiftyone", reason="FiftyOne is not installed")

from fiftyone.core import service

# FiftyOne would join any database that another process of this person's runs, whatever its folder.
service.MultiClientService.start = service.Service.start


@pytest.fixture
def dataset(tmp_path):
    """A dataset of one black image of 50 x 40 pixels, deleted afterwards."""
    import fiftyone as fo

    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "black.png")
    made = fo.Dataset()
    made.add_sample(fo.Sample(filepath=str(tmp_path / "black.png")))
    yield made
    made.delete()


@pytest.fixture
def samples(tmp_path):
    """Two sample images of different size and one file that is no image."""
    import fiftyone as fo

    from fastsam_plugins.paths import SAMPLES

    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    made = fo.Dataset()
    files = [SAMPLES / "coins.png", bad, SAMPLES / "ihc.jpg"]
    made.add_samples([fo.Sample(filepath=str(f)) for f in files])
    yield made
    made.delete()


def paused(program: str) -> subprocess.Popen:
    """A process that runs a program until it prints ``two`` and waits."""
    running = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout
    assert "two\n" in iter(running.stdout.readline, "")
    return running
