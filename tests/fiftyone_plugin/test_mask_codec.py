"""Packed masks are FiftyOne's own, both ways."""

from __future__ import annotations

import zlib

import fiftyone.core.utils as fou
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fiftyone_plugin.mask_codec import LENGTH, packed, unpacked


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40)))
def test_fiftyone_reads_what_was_packed(mask):
    content = packed(mask)
    theirs = fou.deserialize_numpy_array(content)
    assert theirs.dtype == mask.dtype
    assert np.array_equal(theirs, mask)
    # To the last byte what FiftyOne packs, but for how hard it is pressed.
    assert zlib.decompress(content) == zlib.decompress(fou.serialize_numpy_array(mask))


KINDS = st.sampled_from([np.bool_, np.uint8, np.int64, np.float32])


@given(KINDS.flatmap(lambda k: arrays(k, array_shapes(max_dims=3, max_side=9))), st.booleans())
def test_what_fiftyone_packed_is_read(array, fortran):
    if fortran:
        array = np.asfortranarray(array)
    read = unpacked(fou.serialize_numpy_array(array))
    assert read.dtype == array.dtype
    assert np.array_equal(read, array, equal_nan=array.dtype.kind == "f")


@pytest.mark.parametrize("content", [b"", b"nothing", zlib.compress(b"nothing")])
def test_what_is_no_mask_is_refused(content):
    with pytest.raises(ValueError, match=r"mask|pickle|No data"):
        unpacked(content)


def test_a_mask_that_is_cut_short_is_refused():
    whole = zlib.decompress(packed(np.ones((9, 9), np.bool_)))
    with pytest.raises(ValueError, match=r"reshape|size"):
        unpacked(zlib.compress(whole[: LENGTH + 40]))
