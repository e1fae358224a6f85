"""Percentiles without a sorted copy, against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastsam_plugins.images import percentiles

KINDS = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
)
finite = {"allow_nan": False, "allow_infinity": False}


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@given(
    KINDS.flatmap(
        lambda kind: hnp.arrays(
            kind, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=finite
        )
    ),
    st.lists(st.floats(0, 100), min_size=1, max_size=3),
    st.integers(1, 9),
)
def test_they_are_numpys_to_the_bit(values, shares, step):
    def parts():
        return (values[k : k + step] for k in range(0, len(values), step))

    expected = np.percentile(values.astype(np.float64), shares, axis=0)
    found = percentiles.percentiles(parts, shares)
    assert np.array_equal(found, expected, equal_nan=True)  # nothing else tells 0.0 from -0.0


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.int64])
def test_more_values_than_fit_one_piece(dtype):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(300_000, 3)) * 3000).clip(0).astype(dtype)
    found = percentiles.percentiles(lambda: [values[:7], values[7:]], [0, 1, 50, 99.9, 100])
    expected = np.percentile(values.astype(np.float64), [0, 1, 50, 99.9, 100], axis=0)
    assert np.array_equal(found, expected)


def test_nothing_has_no_percentiles():
    assert percentiles.percentiles(lambda: [], [1, 99]).shape == (2, 0)
    assert percentiles.percentiles(lambda: [np.zeros((0, 3))], [1, 99]).shape == (2, 0)
