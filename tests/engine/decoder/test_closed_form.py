"""Without a decoder prompts are answered no worse than by selection."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastsam_plugins import SegmentOptions
from fastsam_plugins.datasets.sources import read
from fastsam_plugins.evaluation.everything import segmented
from fastsam_plugins.evaluation.prompt_iou import POINTS, prompt_for


@pytest.mark.parametrize("kind", ["nuclei", "coco"])
def test_prompts_are_answered_no_worse_than_by_selection(model, data, kind):
    """Mean IoU of a few objects."""
    labelled = list(read(data / "dev" / kind))[:4]
    ious: dict[str, list[float]] = {}
    for item, seg in segmented(model, labelled, SegmentOptions(conf=0.05), {}):
        blind = dataclasses.replace(seg.encoding, maps=(), decoder=None)
        seg = dataclasses.replace(seg, encoding=blind)
        for name, values in prompt_for(seg, item.masks[:4])[0].items():
            ious.setdefault(name, []).extend(values)
    scores = {name: float(np.mean(values)) for name, values in ious.items()}
    for points in POINTS:
        selected = max(scores[f"{points} points, {way}"] for way in ("best", "union"))
        assert scores[f"{points} points, predict"] >= selected - 0.02, points
    for box in ("box", "noisy box"):
        selected = max(scores[f"{box}, {way}"] for way in ("box_iou", "mask_iou"))
        assert scores[f"{box}, predict"] >= selected - 0.02, box
    assert scores["8 points, predict"] > scores["1 points, predict"]
