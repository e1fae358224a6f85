"""Bootstrap intervals against SciPy's, which draw the same images from the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fastsam_plugins.evaluation import bootstrap


@pytest.fixture
def images():
    """What was found, and how much there was, of 40 images for three figures."""
    rng = np.random.default_rng(1)
    wholes = rng.integers(0, 30, (40, 3)).astype(np.float64)
    return wholes * rng.random((40, 3)), wholes


def test_intervals_are_scipys_to_rounding(images):
    parts, wholes = images
    found = bootstrap.ratios(parts, wholes)
    for k, interval in enumerate(found):
        expected = stats.bootstrap(
            (parts[:, k], wholes[:, k]), lambda a, b, axis: a.sum(axis) / b.sum(axis),
            n_resamples=bootstrap.RESAMPLES, confidence_level=bootstrap.LEVEL, paired=True,
            method="percentile", rng=np.random.default_rng(bootstrap.SEED),
        ).confidence_interval  # fmt: skip
        assert interval == pytest.approx(tuple(expected), abs=1e-12)


def test_draws_in_parts_are_the_same_draws(images, monkeypatch):
    whole = bootstrap.ratios(*images)
    monkeypatch.setattr(bootstrap, "_TOGETHER", 200)
    assert bootstrap.ratios(*images) == pytest.approx(np.array(whole))


def test_other_seeds_move_the_ends_a_little(images):
    one, other = bootstrap.ratios(*images), bootstrap.ratios(*images, seed=7)
    assert one != other
    assert np.abs(np.subtract(one, other)).max() < 0.03


def test_they_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(200):
        chance = rng.beta(4, 4, (60, 1))  # images differ, 0.5 is what they share
        found = rng.binomial(20, chance).astype(np.float64)
        ((low, high),) = bootstrap.ratios(found, np.full((60, 1), 20.0))
        inside += low <= 0.5 <= high
    assert 0.89 <= inside / 200 <= 0.99


def test_nothing_to_measure_has_no_interval():
    assert np.isnan(bootstrap.ratios(np.zeros((3, 1)), np.zeros((3, 1)))).all()
    assert np.isnan(bootstrap.ratios(np.zeros((0, 2)), np.zeros((0, 2)))).all()
