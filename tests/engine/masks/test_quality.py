"""Stability, box leak, clean-up, mask suppression."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.masks import quality
from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks


def test_stability_is_the_iou_of_a_tighter_and_a_looser_mask(dummy):
    seg = dummy()
    for i in range(len(seg)):
        x0, y0, x1, y1 = seg.source.window(i)
        logits = seg.logits(i, (x0, y0, x1, y1))
        loose = (logits > -1).sum()
        expected = (logits > 1).sum() / loose if loose else 0
        assert seg.stability[i] == pytest.approx(expected, abs=2e-3)


def test_box_leak_is_what_the_box_cuts_off(dummy):
    seg = dummy()
    assert seg.box_leak[0] == 0, "the whole image cuts nothing off"
    i = int(np.argmax(seg.box_leak))
    x0, y0, x1, y1 = quality._grown(seg.source.window(i), seg.shape)
    whole = (seg.logits(i, (x0, y0, x1, y1)) > 0).sum()
    assert seg.box_leak[i] == pytest.approx(1 - seg.areas[i] / whole, abs=2e-3)
    assert seg.box_leak[i] > 0


def test_scores_from_logits_are_nan_without_logits():
    seg = Segmentation.from_masks(disks((20, 20), [(10, 10, 5)]))
    assert np.isnan(seg.stability).all()
    assert np.isnan(seg.box_leak).all()
    assert seg.sort("stability")[0].areas[0] == seg.areas[0]


def test_scores_fall_by_the_overlap_with_every_better_mask():
    """Against the definition, with bitmaps."""
    rng = np.random.default_rng(0)
    masks = disks((60, 80), rng.uniform((10, 10, 6), (70, 50, 18), (12, 3)).tolist())
    scores = rng.uniform(0.1, 1, 12).astype(np.float32)
    seg = Segmentation.from_masks(masks, scores)
    left, expected = list(range(12)), scores.astype(float)
    while left:
        best = max(left, key=lambda i: expected[i])
        left.remove(best)
        for i in left:
            shared, union = (masks[i] & masks[best]).sum(), (masks[i] | masks[best]).sum()
            expected[i] *= 1 - 0.6 * shared / union
    runs = [seg.runs(i) for i in range(12)]
    made = quality.diverse(runs, seg.tight_boxes(), scores, 0.6)
    assert np.allclose(made, expected, atol=1e-6)
    assert (quality.diverse(runs, seg.tight_boxes(), scores, 0.0) == scores).all()
    assert len(quality.diverse([], np.zeros((0, 4), np.float32), scores[:0], 0.6)) == 0
