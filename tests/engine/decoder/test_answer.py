"""Answers are known by what they hold."""

from __future__ import annotations

import numpy as np

from fastsam_plugins.decoder.answer import Answer


def test_equal_answers_have_equal_keys():
    values = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    one, same = Answer(values, (0, 0, 9, 9), 0.5), Answer(values.copy(), (0, 0, 9, 9), 0.7)
    assert one.key == same.key
    assert Answer(values + 1, (0, 0, 9, 9), 0.5).key != one.key
    assert Answer(values, (0, 0, 9, 8), 0.5).key != one.key
