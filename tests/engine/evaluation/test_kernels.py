"""Machine code against the arrays it stands in for."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pycocotools import mask as coco

from fastsam_plugins.evaluation import kernels
from fastsam_plugins.evaluation.proposals import (
    MISSED,
    THRESHOLDS,
    FlatMasks,
    Regions,
    match,
    overlaps,
)
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R

SHAPE = (13, 17)


def bitmaps(seed, count=6):
    """Dust, and masks with one run in each of their columns but perhaps for one or two."""
    rng = np.random.default_rng(seed)
    masks = rng.random((count, *SHAPE)) < rng.uniform(0, 1, (count, 1, 1)) ** 2
    rows = np.arange(SHAPE[0])[:, None]
    for k in range(0, count, 2):
        top, bottom = np.sort(rng.integers(0, SHAPE[0], (2, SHAPE[1])), axis=0)
        left, right = np.sort(rng.integers(0, SHAPE[1] + 1, 2))
        masks[k] = (rows >= top) & (rows <= bottom)
        masks[k, :, :left] = masks[k, :, right:] = False
        for _ in range(rng.integers(0, 3)):
            masks[k, :, rng.integers(SHAPE[1])] = rng.random(SHAPE[0]) < 0.5 * rng.integers(0, 3)
    return masks


def decode(texts, pixels):
    lengths = np.array([len(t.encode()) for t in texts], np.int64)
    stops = np.cumsum(lengths)
    buffer = np.frombuffer("".join(texts).encode(), np.uint8)
    return kernels.decode(buffer, stops - lengths, stops, pixels, False)


@given(st.integers(0, 10**6))
def test_strings_are_read_as_they_are_elsewhere(seed):
    masks = [R.from_bitmap(b) for b in bitmaps(seed)] + [R.EMPTY]
    texts = [m["counts"] for m in rle.encode(masks, SHAPE)]
    runs, starts, stops, bad = decode(texts, SHAPE[0] * SHAPE[1])
    assert bad == -1
    for i, mask in enumerate(masks):
        assert np.array_equal(runs[starts[i] : stops[i]], mask)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_zero_counts_join_runs(counts):
    pixels = sum(counts)
    text = coco.frPyObjects({"size": [pixels, 1], "counts": counts}, pixels, 1)["counts"].decode()
    runs, _, _, bad = decode([text], sum(counts))
    assert bad == -1
    assert np.array_equal(runs, R.from_counts(np.array(counts)))


@pytest.mark.parametrize("text", ["0", "a b", "~", "PPPPPPPPPPPPPPPP0", "o", "é"])
def test_what_is_no_mask_is_refused_like_elsewhere(text):
    good = rle.encode([R.from_bitmap(bitmaps(1)[0])], SHAPE)[0]["counts"]
    pixels = SHAPE[0] * SHAPE[1]
    assert decode([good, text], pixels)[3] == 1
    with pytest.raises(ValueError, match=r"COCO string|add up"):
        rle.decode({"size": list(SHAPE), "counts": text.encode().decode("latin-1")})


@given(st.integers(0, 10**6))
def test_boxes_and_overlaps_are_the_same_to_the_last_bit(seed):
    truth, found = ([R.from_bitmap(b) for b in bitmaps(seed + k, 5 + k)] for k in (0, 1))
    truth.append(found[0])  # equal ones, too
    slow = overlaps(Regions.of_masks(truth, SHAPE[0]), Regions.of_masks(found, SHAPE[0]))
    assert slow.max() == 1 or not len(found[0])
    flat = [Regions.of_flat(FlatMasks.of(m), SHAPE[0]) for m in (truth, found)]
    assert np.array_equal(flat[0].boxes, Regions.of_masks(truth, SHAPE[0]).boxes)
    assert np.array_equal(flat[0].areas, [R.area(m) for m in truth])
    for mask, simple in zip(truth, flat[0].simple, strict=True):
        x = R.columns(mask, SHAPE[0])[0]
        one_each = np.array_equal(x, np.arange(len(x)) + (x[0] if len(x) else 0))
        assert simple == (one_each and len(x) == len(mask))  # else a run crosses columns
    # Below the lowest threshold one way may measure what the other knows to be too little.
    slow[slow < THRESHOLDS[0]] = 0
    order = np.random.default_rng(seed).permutation(len(found))
    for fast, expected in (
        (overlaps(*flat), slow),
        (overlaps(flat[0], flat[1].take(order)), slow[:, order]),
    ):
        assert np.array_equal(np.where(fast < THRESHOLDS[0], 0, fast), expected)


@given(st.integers(0, 10**6))
def test_masks_of_one_run_in_each_column_may_begin_anywhere(seed):
    rng = np.random.default_rng(seed)
    height, width = 20, 30
    rows = np.arange(height)[:, None]
    whole = (rows >= rng.integers(0, 4, width)) & (rows < rng.integers(15, 20, width))
    cuts = [(0, 30), (3, 30), (0, 26), (2, 27), (7, 28)]
    masks = []
    for left, right in cuts:
        cut = whole.copy()
        cut[:, :left] = cut[:, right:] = False
        masks.append(R.from_bitmap(cut))
    flat = Regions.of_flat(FlatMasks.of(masks), height)
    assert flat.simple.all()
    slow = overlaps(Regions.of_masks(masks, height), Regions.of_masks(masks, height))
    assert (slow > THRESHOLDS[0]).all()
    assert np.array_equal(overlaps(flat, flat), slow)


@given(st.integers(0, 10**6))
def test_matching_is_the_same_with_ties(seed):
    rng = np.random.default_rng(seed)
    iou = rng.choice([0, 0.4, 0.5, 0.55, 0.7, 0.95, 1.0], (rng.integers(0, 7), rng.integers(0, 9)))
    assert np.array_equal(match(iou, compiled=True), match(iou))
    assert match(iou, compiled=True).dtype == match(iou).dtype


def test_nothing_matches_nothing():
    assert match(np.zeros((0, 3)), compiled=True).shape == (0, len(THRESHOLDS))
    assert (match(np.zeros((2, 0)), compiled=True) == MISSED).all()
    empty = Regions.of_flat(FlatMasks.of([]), 10)
    assert overlaps(empty, empty).shape == (0, 0)
