"""From a network's output to instances; what goes before and after is in test_model."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.instances import look
from fastsam_plugins.options import SegmentOptions


def test_images_looked_at_together_are_those_looked_at_alone(model, coins):
    options = SegmentOptions(imgsz=160, conf=0.1)
    images = [coins, coins[::-1], coins[:, ::-1]]
    boxes = [Letterbox.fit(i.shape[:2], 160) for i in images]
    together = look(model.backend, images, boxes, options, model.decoder)
    for image, box, seg in zip(images, boxes, together, strict=True):
        (alone,) = look(model.backend, [image], [box], options, model.decoder)
        assert len(seg) == len(alone) > 0
        assert seg.boxes == pytest.approx(alone.boxes, abs=0.01)


def test_a_threshold_below_what_prompts_need_counts(model, coins):
    """Nothing is proposed with less confidence than .001, but found may be what has less."""
    few = model.segment(coins, imgsz=160, conf=0.001, max_det=10_000, iou=1.0)
    many = model.segment(coins, imgsz=160, conf=0.0001, max_det=10_000, iou=1.0)
    assert len(many) > len(few)
    assert np.array_equal(many.encoding.scores, few.encoding.scores)
    assert many.scores.min() < 0.001
