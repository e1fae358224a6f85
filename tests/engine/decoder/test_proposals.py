"""What is known of proposals, against bitmaps at the prototypes' cells."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.decoder.proposals import EVIDENCE, STATISTICS


@pytest.fixture(scope="module")
def proposals(model, coins):
    return model.segment(coins, conf=0.25).encoding.proposals


def bitmaps(proposals, rows):
    """Masks at cells, by the definition: positive logits in the box's cells."""
    source = proposals.source
    corners = source.letterbox.to_input(source.boxes[rows].reshape(-1, 2, 2)).reshape(-1, 4) / 4
    height, width, _ = source.prototypes.shape
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    made = []
    for row, (x0, y0, x1, y1) in zip(rows, corners, strict=True):
        inside = ((y >= y0 - 0.25) & (y < y1 + 0.25))[:, None] & (
            (x >= x0 - 0.25) & (x < x1 + 0.25)
        )
        made.append((source.prototypes @ source.coefficients[row] > 0) & inside)
    return np.array(made)


def test_overlaps_are_those_of_bitmaps(proposals):
    rows = np.arange(0, len(proposals), 7)
    own, areas = proposals.overlaps(rows)
    flat = bitmaps(proposals, rows).reshape(len(rows), -1).astype(float)
    shared = flat @ flat.T
    union = flat.sum(1)[:, None] + flat.sum(1) - shared
    assert np.allclose(own, shared / np.maximum(union, 1), atol=1e-6)
    assert (areas == flat.sum(1)).all()
    (mask,) = bitmaps(proposals, rows[3:4])
    assert np.allclose(proposals.ious(rows, mask.ravel()), own[3], atol=1e-6)


def test_those_under_a_pixel_hold_it_and_are_told_about(proposals):
    pixel = np.array([77, 105])
    rows = proposals.under(pixel)
    assert len(rows)
    held = [proposals.source.contains(np.array([r]), pixel[None])[0, 0] for r in rows]
    assert all(held)
    assert (np.diff(proposals.scores[rows]) <= 0).all()
    evidence = proposals.evidence(rows, pixel)
    assert evidence.shape == (len(rows), EVIDENCE + 2 * 32)
    assert np.isfinite(evidence).all()
    assert ((evidence[:, 2] >= 0) & (evidence[:, 2] <= 1)).all()  # stability
    assert (evidence[:, 2] == proposals.stability(rows)).all()
    assert (evidence[:, STATISTICS] > 0).all()  # the logit under the pixel


def test_different_ones_do_not_overlap_much_and_the_first_stays(proposals):
    rows = np.arange(40)
    kept = proposals.different(rows, 10, 0.5)
    assert kept[0] == 0
    overlap, _ = proposals.overlaps(kept)
    assert (overlap[~np.eye(len(kept), dtype=bool)] < 0.5).all()


def test_no_proposals_is_no_fault(proposals):
    none = np.zeros(0, np.int64)
    assert proposals.overlaps(none)[0].shape == (0, 0)
    assert len(proposals.different(none, 3)) == 0
