"""A large image, for tests of what must not be an array."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from tests.napari_plugin.conftest import put
from tests.napari_plugin.view.large import SIDE, disks_of


@pytest.fixture
def huge(window):
    """A large lazy image with 400 disks, looked at as levels."""
    image = da.zeros((SIDE, SIDE), chunks=1000, dtype=np.uint8)
    window.seg = disks_of(SIDE)
    window.image = window.viewer.add_image([image, image[::4, ::4], image[::16, ::16]], name="huge")
    window.open()
    window.workspace = put(window, window.seg)
    return window
