"""A slice as it was."""

from __future__ import annotations

import numpy as np

from fastsam_plugins.masks import runs as R
from napari_plugin.model.edits import ArrayCanvas
from tests.napari_plugin.conftest import SHAPE


def test_a_slice_is_saved_as_it_was(seg):
    plane = np.zeros(SHAPE, np.int32)
    canvas = ArrayCanvas(plane)
    for n, i in enumerate((0, 3), 1):
        plane[seg.mask(i)] = n
    before = plane.copy()
    frozen = canvas.frozen(())
    block = np.full((20, 30), 5, np.int32)
    canvas.write((), (10, 10, 40, 30), block, block > 0)
    workspace = canvas.frozen(())
    assert {n: R.area(m) for n, m in frozen().items()} == {
        n: np.count_nonzero(before == n) for n in (1, 2)
    }
    assert R.area(workspace()[5]) == 600
