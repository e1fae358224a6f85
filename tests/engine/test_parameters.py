"""What a parameter is."""

from __future__ import annotations

import pytest

from fastsam_plugins.options import PromptOptions, SegmentOptions
from fastsam_plugins.parameters import check_names, parameters


def test_names_and_choices_that_are_unknown_are_refused_with_the_nearest():
    known = [p.name for p in parameters(SegmentOptions)]
    with pytest.raises(ValueError, match=r"^there is no parameter confidence: do you mean conf\?$"):
        check_names(["imgsz", "confidence"], known)
    with pytest.raises(ValueError, match=r"^there is no parameter zz \(there are: border_"):
        check_names(["zz"], known)
    check_names(known, known)
    with pytest.raises(ValueError, match=r"got 'mask_iuo': do you mean mask_iou\?$"):
        PromptOptions(boxes_mode="mask_iuo")
    with pytest.raises(ValueError, match=r"^boxes_mode must be one of .*, got \[1\]$"):
        PromptOptions(boxes_mode=[1])


def test_whole_numbers_beyond_all_floats_are_refused():
    for value in (10**400, -(10**400)):
        with pytest.raises(ValueError, match="imgsz must be a whole number"):
            SegmentOptions(imgsz=value)
