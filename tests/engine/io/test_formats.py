"""What a file is, by what is in it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.io import open_raster, read_image
from tests.engine.io.encoded import values


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff"])
@pytest.mark.parametrize("name", ["a.tif", "a.png", "a"])
def test_a_file_is_what_is_in_it(kind, name, tmp_path):
    gray = values("uint8", 1)[..., 0]
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, kind)
    (tmp_path / name).write_bytes(stream.getvalue())
    shown = np.asarray(Image.open(stream).convert("RGB"))
    assert np.array_equal(read_image(tmp_path / name), shown)
    assert np.array_equal(open_raster(tmp_path / name)[:, :], shown)
