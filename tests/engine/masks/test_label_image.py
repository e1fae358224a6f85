"""Instances as a label image."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks


@pytest.fixture
def nested():
    """A large, a medium and a small disk inside one another, and one aside."""
    masks = disks((80, 100), [(40, 40, 30), (40, 40, 15), (40, 40, 5), (85, 60, 10)])
    return Segmentation.from_masks(masks, scores=[0.5, 0.9, 0.3, 0.7])


@pytest.mark.parametrize(
    ("overlap", "at_centre", "at_ring"),
    [("small_on_top", 3, 2), ("high_score_on_top", 2, 2), ("first", 1, 1)],
)
def test_labels_settle_overlaps_as_asked(nested, overlap, at_centre, at_ring):
    labels = nested.labels(overlap)
    assert labels.dtype == np.int32
    assert labels[40, 40] == at_centre
    assert labels[40, 50] == at_ring
    assert labels[60, 85] == 4
    assert labels[0, 0] == 0
    assert np.array_equal(labels > 0, nested.masks().any(0))


def test_labels_refuse_an_unknown_policy(nested):
    with pytest.raises(ValueError, match="overlap must be small_on_top"):
        nested.labels("random")
