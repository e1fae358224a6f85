"""Panoptic quality against vernier, which is equal to panopticapi; overlaps are solved first."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage
from vernier import panoptic

from fastsam_plugins.evaluation.panoptic import PanopticQuality
from fastsam_plugins.evaluation.regions import Regions
from fastsam_plugins.masks import runs as R

SHAPE = (60, 80)
THING, BACKGROUND, CROWD = 1, 2, 99


def regions(bitmaps):
    return Regions.of_masks([R.from_bitmap(b) for b in bitmaps], SHAPE[0])


def scenes(count=12):
    """Label images of ground truths and of what was found, which is moved, split or missing."""
    rng = np.random.default_rng(4)
    pairs = []
    for _ in range(count):
        truth, found = np.zeros((2, *SHAPE), np.uint32)
        for label in range(1, 9):
            y, x = rng.integers(0, 45, 2)
            h, w = rng.integers(6, 22, 2)
            truth[y : y + h, x : x + w] = label
            if rng.random() < 0.8:
                dy, dx = rng.integers(-2, 3, 2)
                found[max(y + dy, 0) : y + dy + h, max(x + dx, 0) : x + dx + w] = label
        if rng.random() < 0.3:
            found[:8, 30:] = 10
        truth[-12:, -30:] = CROWD
        found[-10:, -25:-15] = 11  # inside the crowd
        pairs.append((truth, found))
    return pairs


def numbers(labels):
    return [n for n in np.unique(labels).tolist() if n]


def vernier_of(pairs):
    """PQ, SQ, RQ and counts of things; the background is a segment of its own, of another kind."""
    maps = [{}, {}]
    infos = [{}, {}]
    for image, pair in enumerate(pairs):
        for side, labels in enumerate(pair):
            whole = np.where(labels == 0, 200, labels).astype(np.uint32)
            maps[side][image] = whole
            infos[side][image] = [
                {"id": n, "category_id": BACKGROUND if n == 200 else THING,
                 "iscrowd": int(n == CROWD), "area": int((whole == n).sum()),
                 "bbox": [0, 0, 1, 1]}
                for n in np.unique(whole).tolist()
            ]  # fmt: skip
    kinds = [{"id": THING, "name": "thing", "isthing": 1},
             {"id": BACKGROUND, "name": "background", "isthing": 0}]  # fmt: skip
    texts = [json.dumps(i).encode() for i in infos]
    truth = panoptic.Dataset.from_arrays(maps[0], texts[0], json.dumps(kinds).encode())
    found = panoptic.Predictions.from_arrays(maps[1], texts[1])
    summary = panoptic.Evaluator(parity_mode="strict").evaluate(truth, found)
    of = summary.per_class()[THING]
    return [of.pq, of.sq, of.rq, of.n_tp, of.n_fp, of.n_fn]


def measured(pairs, boundary=False):
    quality = PanopticQuality(0.0)
    for truth, found in pairs:
        true, made = (regions([x == n for n in numbers(x)]) for x in (truth, found))
        if boundary:
            true, made = true.with_boundaries(SHAPE), made.with_boundaries(SHAPE)
        ignored = np.array(numbers(truth)) == CROWD
        quality.add(true, ignored, made, np.ones(len(made)), SHAPE)
    return quality


def test_quality_is_verniers():
    pairs = scenes()
    quality = measured(pairs)
    summary = quality.summary()
    assert list(summary.values()) == pytest.approx(vernier_of(pairs), abs=1e-12)
    assert min(summary["TP"], summary["FP"], summary["FN"]) > 3
    for name, (low, high) in quality.intervals().items():
        assert low < summary[name] < high


def test_boundaries_must_agree_as_well_where_they_are_compared():
    pairs = scenes()
    sums, matched = 0.0, 0
    for truth, found in pairs:
        for t in set(numbers(truth)) - {CROWD}:
            for f in numbers(found):
                both = [x == n for x, n in ((truth, t), (found, f))]
                rings = [b & ~ndimage.binary_erosion(b, np.ones((3, 3)), 2) for b in both]
                iou = min((a & b).sum() / (a | b).sum() for a, b in (both, rings))
                sums, matched = sums + iou * (iou > 0.5), matched + (iou > 0.5)
    summary = measured(pairs, boundary=True).summary()
    assert summary["TP"] == matched < measured(pairs).summary()["TP"]
    assert summary["SQ"] == pytest.approx(sums / matched)


def test_better_instances_keep_the_pixels_that_several_have():
    wide, left, right = np.zeros((3, *SHAPE), bool)
    wide[10:30, 10:50] = True
    left[10:30, 10:40] = True
    right[10:30, 30:50] = True
    truth = regions([left, right])  # of equal size no: the smaller one keeps what both have
    quality = PanopticQuality(0.3)
    none = np.zeros(2, bool)
    # Of "wide" too much is taken by "left", and the last is below the score that counts.
    quality.add(truth, none, regions([wide, left, right]), np.array([0.5, 0.9, 0.2]), SHAPE)
    summary = quality.summary()
    assert (summary["TP"], summary["FP"], summary["FN"]) == (1, 0, 1)
    assert summary["SQ"] == pytest.approx(20 / 30)
    quality.add(truth, none, regions([left, right]), np.array([0.5, 0.9]), SHAPE)
    assert quality.summary()["TP"] == 3
    assert quality.images[1] == (2.0, 2, 0, 0)


@pytest.mark.parametrize("score", [np.nan, 2, -1])
def test_a_score_is_from_0_to_1(score):
    with pytest.raises(ValueError, match=f"a score from 0 to 1, got {score}"):
        PanopticQuality(score)


def test_nothing_is_no_number_and_boxes_are_refused():
    empty = regions([])
    quality = PanopticQuality(0.0)
    quality.add(empty, np.zeros(0, bool), empty, np.zeros(0), SHAPE)
    assert np.isnan([quality.summary()[n] for n in ("PQ", "SQ", "RQ")]).all()
    assert np.isnan(quality.intervals()["PQ"]).all()
    boxes = Regions(np.zeros((0, 4)))
    with pytest.raises(ValueError, match="masks, not boxes"):
        quality.add(boxes, np.zeros(0, bool), boxes, np.zeros(0), SHAPE)
