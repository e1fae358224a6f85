"""Picking instances: the same as numpy, or one line that says what is wrong."""

import numpy as np
import pytest

from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks

SHAPE = (20, 80)


@pytest.fixture
def seg():
    return Segmentation.from_masks(disks(SHAPE, [(10, 10, 5), (30, 10, 6), (50, 10, 7)]))


@pytest.mark.parametrize(
    "index",
    [0, -1, np.int8(2), slice(1, None), [], [2, 0], [-1, -3], np.array([True, False, True]),
     np.array([], bool), np.array([1], np.uint8)],
)  # fmt: skip
def test_what_numpy_takes_is_taken(seg, index):
    expected = seg.areas[np.asarray(index, int) if np.size(index) == 0 else index]
    assert seg[index].areas.tolist() == np.atleast_1d(expected).tolist()


@pytest.mark.parametrize("index", [3, -4, 2**70, [0, 3], [-4], [True, False], [True] * 4])
def test_instances_that_there_are_not_are_an_index_error_that_says_how_many_there_are(seg, index):
    with pytest.raises(IndexError, match="there are 3"):
        seg[index]


@pytest.mark.parametrize(
    "index",
    [None, "a", b"x", {}, object(), 1.0, np.nan, np.inf, 1 + 2j, [1.0], ["a"], [[0, 1]],
     np.array(1), [[1, 2]]],
)  # fmt: skip
def test_what_is_no_index_is_said_in_one_line(seg, index):
    with pytest.raises(ValueError, match="picked by") as refused:
        seg[index]
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("ask", ["mask", "runs", "logits"])
def test_one_instance_is_asked_for_by_a_whole_number(seg, ask):
    for index in (None, "a", True, [0], 0.0, np.nan, np.array([1])):
        with pytest.raises(ValueError, match="picked by a whole number"):
            getattr(seg, ask)(index)
    for index in (3, -4, 2**70):
        with pytest.raises(IndexError, match="there are 3"):
            getattr(seg, ask)(index)
    if ask != "logits":
        assert np.array_equal(getattr(seg, ask)(-1), getattr(seg, ask)(2))
