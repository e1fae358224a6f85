"""The IoU that instances are expected to have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from fastsam_plugins import Segmentation, read_image
from fastsam_plugins.datasets.sources import read
from fastsam_plugins.decoder.proposals import Proposals
from fastsam_plugins.io import npz
from fastsam_plugins.masks import runs as R

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def seg(model, coins):
    return model.segment(coins, conf=0.05)


def test_it_orders_instances_better_than_their_score(model, data):
    """Over all instances of images that the weights were not fitted to."""
    scores, predicted, true = [], [], []
    for labelled in list(read(data / "dev" / "nuclei"))[:12]:
        seg = model.segment(read_image(labelled.image), conf=0.05)
        scores += seg.scores.tolist()
        predicted += seg.iou_pred.tolist()
        true += [R.ious(seg.runs(i), labelled.masks).max(initial=0) for i in range(len(seg))]
    assert spearmanr(predicted, true)[0] > spearmanr(scores, true)[0] + 0.03


def test_an_instance_is_worth_the_same_in_whatever_company_it_is_asked_for(seg):
    whole = seg.iou_pred
    assert ((whole >= 0) & (whole <= 1)).all()
    np.testing.assert_allclose(seg[7].iou_pred, whole[7:8], atol=1e-6)
    np.testing.assert_allclose(seg[::-1].iou_pred, whole[::-1], atol=1e-6)


def test_overlaps_are_those_of_the_masks(seg):
    proposals = seg.encoding.proposals
    some = np.arange(6)
    own = Proposals(seg.source, seg.scores)
    shared = proposals.overlaps_with(some, own, np.arange(4))
    assert shared.shape == (4, 6)
    for i in range(4):
        masks = [proposals.source.runs(k) for k in some]
        assert np.abs(shared[i] - R.ious(seg.runs(i), masks)).max() < 0.1, "cells for pixels"


def test_what_was_kept_on_disk_is_worth_the_same(seg, tmp_path):
    npz.write(seg, tmp_path / "a.npz")
    np.testing.assert_allclose(npz.read(tmp_path / "a.npz").iou_pred, seg.iou_pred, atol=1e-5)


def test_it_ranks_and_is_not_known_of_other_masks(seg):
    order = seg.sort("iou_pred").iou_pred
    assert (np.diff(order) <= 1e-9).all()
    best = seg.select(points=[(40, 120)], points_mode="best", rank="iou_pred")
    hit = seg[seg.contains([(40, 120)])[:, 0]]
    assert best.areas[0] == hit.areas[hit.iou_pred.argmax()]
    assert np.isnan(seg.merge([0, 1]).iou_pred).all()
    plain = Segmentation.from_masks(seg[:2].masks())
    assert np.isnan(plain.iou_pred).all()
    assert np.isnan(plain.with_encoding(seg).iou_pred).all()
    assert seg[:0].iou_pred.shape == (0,)
    with pytest.raises(ValueError, match=r"rank must be one of scores, .*iou_pred, got 'size'"):
        seg.sort("size")
