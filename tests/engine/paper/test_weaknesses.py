"""The weaknesses that the paper names, as numbers."""

from __future__ import annotations

import numpy as np

from fastsam_plugins.paper import weaknesses
from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks


def test_squares_fill_their_boxes_and_disks_do_not():
    square = np.zeros((1, 60, 60), bool)
    square[0, 5:25, 5:25] = True
    masks = np.concatenate([square, disks((60, 60), [(40, 40, 12), (30, 30, 29)])])
    fill = weaknesses._fill(Segmentation.from_masks(masks))
    assert fill[0] == 1
    assert abs(fill[1] - np.pi / 4) < 0.05
    assert len(fill) == 2, "the third is not tiny"


def test_what_lies_on_the_border_of_a_box_is_counted():
    square = np.zeros((1, 60, 60), bool)
    square[0, 5:25, 5:25] = True
    tiny, large = weaknesses._on_border(Segmentation.from_masks(square))
    assert (tiny, large) == ([1.0], [])
    tiny, _ = weaknesses._on_border(Segmentation.from_masks(disks((60, 60), [(30, 30, 12)])))
    assert 0 < tiny[0] < 0.5


def test_what_does_not_differ_goes_with_nothing():
    assert np.isnan(weaknesses._correlation([0.2, 0.5, 0.9], [1.0, 1.0, 1.0]))
    assert np.isnan(weaknesses._correlation([0.2], [0.3]))
    assert np.isnan(weaknesses._correlation([], []))
    assert weaknesses._correlation([0.2, 0.5, 0.9], [0.1, 0.4, 0.5]) == 100


def test_figures_of_two_folders(setting):
    found = weaknesses.weaknesses(setting)
    assert [name for name, _ in found.rows] == ["coco", "nuclei"]
    assert found.rows[0][1] == found.rows[1][1], "they hold the same"
    assert found.rows[0][1][4] > 0
