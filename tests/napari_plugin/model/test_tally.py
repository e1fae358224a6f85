"""Counting labels against ``np.unique``."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_plugin.model import tally as module
from napari_plugin.model.tally import looked_up, tally

blocks = st.tuples(st.integers(0, 8), st.integers(0, 8)).flatmap(
    lambda s: arrays(
        np.int64, s, elements=st.integers(-2, 9) | st.sampled_from([module.SMALL + 1, 2**40])
    )
)


@given(blocks)
def test_every_number_is_counted(block):
    numbers, counts = np.unique(block, return_counts=True)
    assert tally(block) == dict(zip(numbers.tolist(), counts.tolist(), strict=True))


@given(blocks, st.dictionaries(st.integers(-2, 9) | st.just(2**40), st.integers(-5, 5)))
def test_every_pixel_is_looked_up(block, values):
    expected = [values.get(n, 77) for n in block.ravel().tolist()]
    assert looked_up(block, values, 77).ravel().tolist() == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_labels_of_any_type_are_counted(dtype):
    block = np.array([[0, 3], [3, 200]], dtype)
    assert tally(block) == {0: 1, 3: 2, 200: 1}
    assert looked_up(block, {3: -1}, 0).tolist() == [[0, -1], [-1, 0]]
