"""Options of training: recipes are valid, and change what they name. The rest: test_options.py."""

from __future__ import annotations

import pytest

from fastsam_plugins import TrainOptions
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.parameters import parameters
from fastsam_plugins.training.options import PRESETS, DecoderOptions, TextHeadOptions


@pytest.mark.parametrize("preset", PRESETS)
def test_a_recipe_is_valid_and_is_not_the_default(preset):
    assert TrainOptions(**PRESETS[preset]) != TrainOptions()


@pytest.mark.parametrize("options", [DecoderOptions, TextHeadOptions])
def test_the_size_of_the_network_input_is_that_of_segmenting(options):
    own, theirs = (
        next(p for p in parameters(o) if p.name == "imgsz") for o in (options, SegmentOptions)
    )
    assert own == theirs
