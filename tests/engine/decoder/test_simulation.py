"""Simulated users click where SAM's protocol says."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.decoder import simulation
from tests.conftest import disks

SHAPE = (60, 80)


def test_points_lie_deepest_inside_the_larger_error():
    left, right = disks(SHAPE, [(20, 30, 12), (60, 30, 8)])
    nothing = np.zeros_like(left)
    for true, given, label in ((left | right, nothing, 1), (right, left | right, 0)):
        x, y, told = simulation.correction(true, given)
        assert (x, y) == pytest.approx((20, 30), abs=1)
        assert told == label
    assert simulation.correction(left, left) is None


def test_a_mask_that_touches_the_border_has_its_point_inside():
    """Beyond the image there is nothing of the object: the border counts as its edge."""
    corner = np.zeros(SHAPE, bool)
    corner[:11, :11] = True
    assert simulation.deepest(corner) == (5.5, 5.5)


def test_depth_is_scipys_distance_to_the_outside():
    from scipy.ndimage import distance_transform_edt

    mask = np.random.default_rng(0).random(SHAPE) > 0.2
    expected = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    assert np.allclose(simulation.depths(mask), expected, atol=1e-3)


def test_boxes_drawn_by_hand_are_boxes_near_the_true_one():
    rng = np.random.default_rng(0)
    for box in ((10.0, 10.0, 60.0, 40.0), (5.0, 5.0, 7.0, 6.0), (0.0, 0.0, 80.0, 60.0)):
        for _ in range(50):
            x0, y0, x1, y1 = simulation.noisy(box, rng, SHAPE)
            assert 0 <= x0 <= x1 <= 80
            assert 0 <= y0 <= y1 <= 60
            assert np.abs(np.array([x0, y0, x1, y1]) - box).max() <= 20


def test_strokes_and_random_points_stay_in_the_object():
    rng = np.random.default_rng(0)
    (ring,) = disks(SHAPE, [(40, 30, 25)])
    ring &= ~disks(SHAPE, [(40, 30, 15)])[0]
    for _ in range(20):
        for x, y, label in simulation.scribble(ring, rng):
            assert ring[int(y), int(x)]
            assert label == 1
        x, y = simulation.somewhere(ring, rng, 0.5)
        assert ring[int(y), int(x)]
