"""FiftyOne on a real MongoDB, in the folder that tests/conftest.py gives it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fiftyone", reason="FiftyOne is not installed")


@pytest.fixture
def dataset(tmp_path):
    """A dataset of one black image of 50 x 40 pixels, deleted afterwards."""
    import fiftyone as fo

    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "black.png")
    made = fo.Dataset()
    made.add_sample(fo.Sample(filepath=str(tmp_path / "black.png")))
    yield made
    made.delete()
