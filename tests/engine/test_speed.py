"""What is timed is what is done, and ultralytics does the same work."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import speed
from fastsam_plugins.options import SegmentOptions

OPTIONS = SegmentOptions(imgsz=160, conf=0.1)


def test_every_stage_is_timed_as_often_as_asked(model, coins):
    stages = speed.stages(model, [coins, coins[:90]], OPTIONS, rounds=2)
    assert [s.name for s in stages] == ["letterbox", "network", "instances", "RLE", "image to RLE"]
    assert all(len(s.seconds) == 4 and (s.seconds > 0).all() for s in stages)
    assert all(s.median <= s.late <= s.seconds.max() for s in stages)


def test_rates_are_of_all_images(model, coins):
    many, bare = speed.throughput(model, [coins] * 4, OPTIONS, rounds=1)
    assert many > 0
    assert bare > 0


def test_ultralytics_finds_the_same_masks(model, coins):
    peer, ious = speed.ultralytics(model, [coins, coins[::-1]], OPTIONS, rounds=1)
    assert len(peer.seconds) == len(ious) == 2
    assert ious == pytest.approx([1, 1], abs=0.005)
    assert speed.ultralytics(model, [np.zeros_like(coins)], OPTIONS, rounds=1)[1] == []
