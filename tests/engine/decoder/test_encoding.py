"""What is proposed is what everything mode finds at the settings of recall."""

from __future__ import annotations

import numpy as np

from fastsam_plugins.decoder.encoding import CONF, IOU, MOST
from fastsam_plugins.evaluation.everything import PROPOSALS


def test_proposals_are_those_of_everything_mode(model, coins):
    assert (PROPOSALS.conf, PROPOSALS.iou, PROPOSALS.max_det) == (CONF, IOU, MOST)
    every = model.segment(coins, PROPOSALS, min_area=0)
    proposals = model.segment(coins, conf=0.5).encoding.proposals
    assert np.allclose(proposals.boxes, every.boxes, atol=1e-3)
    assert (proposals.scores == every.scores).all()
    for i in (0, 5, len(every) - 1):
        assert (proposals.source.runs(i) == every.runs(i)).all()


def test_prototypes_are_shared_and_views_keep_it(model, coins):
    seg = model.segment(coins, conf=0.25)
    assert seg.encoding.proposals.source.prototypes is seg.source.prototypes
    assert seg[:2].encoding is seg.encoding
    assert seg.select(points=[(77, 105)]).encoding is seg.encoding
    assert seg.filter(min_area=10).encoding is seg.encoding
    assert seg.clean(max_hole=5).encoding is seg.encoding
