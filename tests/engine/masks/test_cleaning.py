"""Holes, islands and near-duplicates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fastsam_plugins.masks import quality
from fastsam_plugins.masks import runs as R
from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks


def test_holes_up_to_a_size_are_filled_and_larger_ones_stay():
    bitmap = np.zeros((30, 30), bool)
    bitmap[2:28, 2:28] = True
    bitmap[5:7, 5:7] = False  # 4 pixels
    bitmap[12:16, 12:16] = False  # 16 pixels
    bitmap[28, 10] = True  # a bump outside
    filled = R.to_bitmap(quality.fill_and_remove(R.from_bitmap(bitmap), (30, 30), 4, 0), (30, 30))
    expected = bitmap.copy()
    expected[5:7, 5:7] = True
    assert np.array_equal(filled, expected)
    everything = quality.fill_and_remove(R.from_bitmap(bitmap), (30, 30), 10_000, 0)
    assert np.array_equal(R.to_bitmap(everything, (30, 30)), ndimage.binary_fill_holes(bitmap))


def test_islands_up_to_a_size_go_and_the_largest_part_stays():
    bitmap = np.zeros((30, 30), bool)
    bitmap[2:12, 2:12] = True
    bitmap[20:23, 20:23] = True
    bitmap[25, 25] = True
    kept = quality.fill_and_remove(R.from_bitmap(bitmap), (30, 30), 0, 5)
    assert R.area(kept) == 109
    kept = quality.fill_and_remove(R.from_bitmap(bitmap), (30, 30), 0, 10_000)
    assert R.area(kept) == 100


def test_clean_drops_near_duplicates_and_contained_masks_by_score():
    masks = disks((100, 100), [(50, 50, 30), (51, 50, 30), (50, 50, 10), (80, 80, 8)])
    seg = Segmentation.from_masks(masks, scores=[0.5, 0.9, 0.4, 0.3])
    assert seg.clean(mask_iou=0.8).scores.tolist() == pytest.approx([0.9, 0.4, 0.3])
    kept = seg.clean(mask_iou=0.8, containment=0.9)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.3])
    assert len(seg.clean()) == 4
    assert len(seg) == 4, "the original stays"


def test_suppression_agrees_with_dense_greedy_nms():
    rng = np.random.default_rng(0)
    circles = [(*rng.uniform(10, 90, 2), rng.uniform(5, 20)) for _ in range(60)]
    masks, scores = disks((100, 100), circles), rng.random(60)
    kept = []
    for i in np.argsort(-scores):
        ious = [(masks[i] & masks[j]).sum() / (masks[i] | masks[j]).sum() for j in kept]
        if not any(v > 0.3 for v in ious):
            kept.append(i)
    seg = Segmentation.from_masks(masks, scores).clean(mask_iou=0.3)
    assert sorted(seg.rows.tolist()) == sorted(kept)


def test_clean_keeps_logits_where_no_pixel_changes(dummy):
    seg = dummy()
    assert np.isfinite(seg.clean(min_area=50, mask_iou=0.9).stability).all()
    assert (seg.clean(min_area=50).areas >= 50).all()
    with pytest.raises(ValueError, match="keep no logits"):
        seg.clean(max_hole=10).logits(0)
