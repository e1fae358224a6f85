"""Objects of a stack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.matching import link, overlaps
from fastsam_plugins.options import LinkOptions
from tests.conftest import disks

SHAPE = (60, 80)


def runs(*circles):
    return [R.from_bitmap(d) for d in disks(SHAPE, circles)] if circles else []


def test_a_moving_object_keeps_its_number_whatever_its_place_in_the_list():
    stack = [runs((20, 30, 8), (60, 30, 8)), runs((62, 31, 8), (21, 30, 8)), runs((22, 30, 8))]
    first, second, third = link(stack, SHAPE)
    assert first.tolist() == [0, 1]
    assert second.tolist() == [1, 0]
    assert third.tolist() == [0]


def test_what_is_new_has_a_number_of_its_own_and_what_was_gone_is_new():
    stack = [runs((20, 30, 8)), runs(), runs((20, 30, 8), (60, 30, 5))]
    assert [n.tolist() for n in link(stack, SHAPE)] == [[0], [], [1, 2]]


def test_no_two_instances_of_a_slice_are_one_object():
    stack = [runs((20, 30, 8)), runs((20, 30, 8), (21, 30, 8))]
    assert link(stack, SHAPE)[1].tolist() == [0, 1]


def test_the_least_overlap_decides():
    stack = [runs((20, 30, 8)), runs((27, 30, 8))]
    (iou,) = overlaps(*stack, SHAPE).ravel()
    assert 0.2 < iou < 0.5
    assert link(stack, SHAPE, LinkOptions(min_iou=iou - 0.01))[1].tolist() == [0]
    assert link(stack, SHAPE, LinkOptions(min_iou=iou + 0.01))[1].tolist() == [1]


def test_the_best_matching_as_a_whole_is_taken_not_the_first_that_fits():
    a, b = (20, 30, 8), (24, 30, 8)
    # b' lies between a and b, nearer to b; c' overlaps a alone.
    stack = [runs(a, b), runs((23, 30, 8), (17, 30, 8))]
    assert link(stack, SHAPE)[1].tolist() == [1, 0]


circle = st.tuples(st.integers(0, 79), st.integers(0, 59), st.integers(1, 12))


@given(st.lists(circle, max_size=5), st.lists(circle, max_size=5))
def test_overlaps_are_those_of_the_bitmaps(one, two):
    found = overlaps(runs(*one), runs(*two), SHAPE)
    assert found.shape == (len(one), len(two))
    for i, a in enumerate(disks(SHAPE, one) if one else []):
        for j, b in enumerate(disks(SHAPE, two) if two else []):
            assert found[i, j] == pytest.approx((a & b).sum() / max((a | b).sum(), 1))


@given(st.lists(st.lists(circle, max_size=4), max_size=4))
def test_numbers_are_unique_within_a_slice_and_count_without_gaps(stack):
    numbers = link([runs(*s) for s in stack], SHAPE)
    assert [len(n) for n in numbers] == [len(s) for s in stack]
    for n in numbers:
        assert len(set(n.tolist())) == len(n)
    every = np.unique(np.concatenate([np.empty(0, int), *numbers]))
    assert every.tolist() == list(range(len(every)))
