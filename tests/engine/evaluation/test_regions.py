"""Overlaps of boxes and masks against pycocotools."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pycocotools import mask as coco
from scipy import ndimage

from fastsam_plugins.evaluation import kernels
from fastsam_plugins.evaluation.regions import Regions, overlaps
from fastsam_plugins.masks import runs as R

SHAPE = (40, 50)


def blobs(seed, count):
    """Bitmaps: rectangles, some with a hole, some of two parts, and an empty one."""
    rng = np.random.default_rng(seed)
    made = np.zeros((count, *SHAPE), bool)
    for k, mask in enumerate(made[1:]):
        for _ in range(1 + k % 2):
            y, x = rng.integers(0, 30, 2)
            mask[y : y + rng.integers(3, 20), x : x + rng.integers(3, 20)] = True
        if k % 3 == 0:
            mask[10:15, 10:15] = False
    return made


def masks_of(bitmaps):
    return Regions.of_masks([R.from_bitmap(m) for m in bitmaps], SHAPE[0])


def test_masks_overlap_as_pycocotools_says_to_the_last_bit():
    truth, found = blobs(0, 9), blobs(1, 14)
    encoded = [
        [coco.encode(np.asfortranarray(m.astype(np.uint8))) for m in stack]
        for stack in (truth, found)
    ]
    expected = coco.iou(encoded[1], encoded[0], [0] * len(truth)).T
    ours = overlaps(masks_of(truth), masks_of(found), 0.0)
    assert ours.max() > 0.3
    assert np.array_equal(ours, expected)
    few = overlaps(masks_of(truth), masks_of(found), 0.5)
    assert np.array_equal(few[few > 0], expected[few > 0])
    assert (few[expected >= 0.5] > 0).all()
    boxes = coco.toBbox(encoded[1])
    assert np.array_equal(masks_of(found).boxes, boxes)


def test_boxes_overlap_as_pycocotools_says_to_the_last_bit():
    rng = np.random.default_rng(2)
    truth, found = (np.c_[rng.uniform(0, 30, (n, 2)), rng.uniform(0, 20, (n, 2))] for n in (7, 11))
    found[3] = truth[2]
    found[4, 2:] = 0
    expected = coco.iou(found, truth, [0] * len(truth)).T
    assert np.array_equal(overlaps(Regions(truth), Regions(found), 0.5), expected)


def test_some_are_taken_in_the_order_asked_for():
    bitmaps = blobs(0, 6)
    regions, index = masks_of(bitmaps), np.array([4, 1])
    taken = regions.take(index)
    assert len(taken) == 2
    assert taken.masks.areas.tolist() == bitmaps[index].sum((1, 2)).tolist()
    with_all = overlaps(regions, regions, 0.0)
    assert np.array_equal(overlaps(taken, taken, 0.0), with_all[np.ix_(index, index)])


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_overlaps_nothing(count):
    none = Regions.of_masks([], SHAPE[0])
    assert overlaps(none, masks_of(blobs(0, count)), 0.5).shape == (0, count)
    assert overlaps(Regions(np.empty((0, 4))), Regions(np.ones((count, 4))), 0.5).shape == (
        0,
        count,
    )


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_boundaries_are_masks_without_their_erosion(seed, distance):
    rng = np.random.default_rng(seed)
    bitmaps = np.concatenate([blobs(seed, 8), rng.random((3, *SHAPE)) < 0.9])
    bitmaps[-1] = True  # the border of the image is one of the mask
    bitmaps[-2] = True
    bitmaps[-2, rng.integers(SHAPE[0], size=4), rng.integers(SHAPE[1], size=4)] = False
    flat = masks_of(bitmaps).take(rng.permutation(len(bitmaps))).masks
    runs, starts, stops = kernels.boundaries(flat.runs, flat.starts, flat.stops, SHAPE[0], distance)
    for i in range(len(bitmaps)):
        mask = R.to_bitmap(flat.runs[flat.starts[i] : flat.stops[i]], SHAPE)
        eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), distance)
        found = runs[starts[i] : stops[i]]
        assert np.array_equal(R.to_bitmap(found, SHAPE), mask & ~eroded)
        assert np.array_equal(found, R.from_bitmap(mask & ~eroded))


def test_the_lower_of_both_overlaps_counts():
    outer = np.zeros((2, 200, 200), bool)
    outer[:, 20:180, 20:180] = True
    outer[1, 40:160, 40:160] = False  # a ring has the same boundary, seen from outside
    whole, ring = (
        Regions.of_masks([R.from_bitmap(m)], 200).with_boundaries((200, 200)) for m in outer
    )
    assert overlaps(whole, ring, 0.3) == overlaps(whole, Regions(ring.boxes, ring.masks), 0.3)
    moved = np.roll(outer[0], 6, axis=1)
    near = Regions.of_masks([R.from_bitmap(moved)], 200)
    assert overlaps(whole, near, 0.3) > 0.9
    assert overlaps(whole, near.with_boundaries((200, 200)), 0.3) < 0.5
    with pytest.raises(ValueError, match="boxes have no boundaries"):
        Regions(whole.boxes).with_boundaries((200, 200))
