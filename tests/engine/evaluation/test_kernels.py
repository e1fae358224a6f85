"""The compiled loops against pycocotools, and against the same written plainly."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pycocotools import mask as coco

from fastsam_plugins.evaluation import kernels
from fastsam_plugins.evaluation.proposals import MISSED, THRESHOLDS, match
from fastsam_plugins.evaluation.regions import Regions, overlaps
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
    return kernels.decode(buffer, stops - lengths, stops, pixels)


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


def by_pycocotools(truth, proposals, height, width):
    """IoU (G, D), 0 below the lowest threshold, where masks need not be compared."""
    texts = [
        [
            {"size": m["size"], "counts": m["counts"].encode()}
            for m in rle.encode(of, (height, width))
        ]
        for of in (truth, proposals)
    ]
    iou = coco.iou(texts[1], texts[0], [0] * len(texts[0])).T
    return np.where(iou < THRESHOLDS[0], 0, iou)


def ours(truth, proposals):
    iou = overlaps(truth, proposals, THRESHOLDS[0])
    return np.where(iou < THRESHOLDS[0], 0, iou)


@given(st.integers(0, 10**6))
def test_boxes_areas_and_overlaps_are_those_of_pycocotools_to_the_last_bit(seed):
    truth, proposals = ([R.from_bitmap(b) for b in bitmaps(seed + k, 5 + k)] for k in (0, 1))
    truth.append(proposals[0])  # equal ones, too
    measured = [Regions.of_masks(m, SHAPE[0]) for m in (truth, proposals)]
    texts = [{**m, "counts": m["counts"].encode()} for m in rle.encode(truth, SHAPE)]
    assert np.array_equal(measured[0].masks.areas, coco.area(texts))
    for mask, box, simple in zip(truth, measured[0].boxes, measured[0].masks.simple, strict=True):
        x0, y0, x1, y1 = R.bounds(mask, SHAPE[0])
        assert box.tolist() == [x0, y0, x1 - x0, y1 - y0]
        x = R.columns(mask, SHAPE[0])[0]
        one_each = np.array_equal(x, np.arange(len(x)) + (x[0] if len(x) else 0))
        assert simple == (one_each and len(x) == len(mask))  # else a run crosses columns
    expected = by_pycocotools(truth, proposals, *SHAPE)
    assert expected.max() == 1 or not len(proposals[0])
    assert np.array_equal(ours(*measured), expected)
    order = np.random.default_rng(seed).permutation(len(proposals))
    assert np.array_equal(ours(measured[0], measured[1].take(order)), expected[:, order])


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
    measured = Regions.of_masks(masks, height)
    assert measured.masks.simple.all()
    expected = by_pycocotools(masks, masks, height, width)
    assert (expected > THRESHOLDS[0]).all()
    assert np.array_equal(ours(measured, measured), expected)


@given(st.integers(0, 10**6))
def test_boxes_overlap_as_those_of_pycocotools_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    truth, proposals = (np.round(rng.uniform(0, 40, (k, 4)), rng.integers(0, 9)) for k in (5, 7))
    truth[0] = proposals[0]
    truth[1, 2:] = 0
    expected = coco.iou(proposals, truth, [0] * len(truth)).T
    iou = overlaps(Regions(truth), Regions(proposals), THRESHOLDS[0])
    assert np.array_equal(iou, np.nan_to_num(expected))


def matched_plainly(iou):
    """As COCOeval.evaluateImg does, for one image without crowd regions."""
    ranks = np.full((len(iou), len(THRESHOLDS)), MISSED, np.int32)
    for t, threshold in enumerate(THRESHOLDS):
        for d in range(iou.shape[1]):
            best, taken = min(threshold, 1 - 1e-10), -1
            for g in range(len(iou)):
                if ranks[g, t] == MISSED and iou[g, d] >= best:
                    best, taken = iou[g, d], g
            if taken >= 0:
                ranks[taken, t] = d
    return ranks


@given(st.integers(0, 10**6))
def test_matching_is_that_of_cocoeval_with_ties(seed):
    rng = np.random.default_rng(seed)
    iou = rng.choice([0, 0.4, 0.5, 0.55, 0.7, 0.95, 1.0], (rng.integers(0, 7), rng.integers(0, 9)))
    assert np.array_equal(match(iou), matched_plainly(iou))
    assert match(iou).dtype == np.int32


def test_nothing_matches_nothing():
    assert match(np.zeros((0, 3))).shape == (0, len(THRESHOLDS))
    assert (match(np.zeros((2, 0))) == MISSED).all()
    for empty in (Regions.of_masks([], 10), Regions(np.empty((0, 4)))):
        assert overlaps(empty, empty, 0.5).shape == (0, 0)
