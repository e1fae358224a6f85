"""Windows as cells: against PyTorch's sampling, and by what they must hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsam_plugins import WindowedImage
from fastsam_plugins.decoder import windows as W
from fastsam_plugins.decoder.windows import GRID, Pyramid
from fastsam_plugins.geometry import Letterbox


def test_maps_are_sampled_as_by_pytorch():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 20, 31)).astype(np.float32)
    for corners in ([0, 0, 1, 1], [-0.3, 0.2, 0.5, 1.4], [0.4, 0.4, 0.41, 0.42]):
        x, y = ((np.arange(16) + 0.5) / 16 * (corners[k + 2] - corners[k]) + corners[k]
                for k in (0, 1))  # fmt: skip
        grid = np.stack(np.meshgrid(x, y), -1)[None] * 2 - 1
        expected = torch.nn.functional.grid_sample(
            torch.from_numpy(maps)[None], torch.from_numpy(grid).float(), align_corners=False,
            padding_mode="border",
        )[0]  # fmt: skip
        assert np.allclose(W.sampled(maps, np.array(corners, float), 16), expected, atol=1e-4)


def test_a_window_holds_what_it_is_about():
    letterbox = Letterbox.fit((300, 400), 512)
    for box in ((10, 20, 60, 50), (0, 0, 400, 300), (5, 5, 6, 6), (0, 140, 400, 150)):
        x0, y0, x1, y1 = W.around(box, 1.5, letterbox)
        assert x0 <= box[0]
        assert y0 <= box[1]
        assert x1 >= box[2]
        assert y1 >= box[3]
        assert 0.45 < (x1 - x0) / (y1 - y0) < 2.3


@pytest.mark.parametrize("size", [100, 700, 3000])
def test_pixels_of_any_window_are_their_mean(size):
    """A ramp is itself, however large the image and the window are; gray lies outside."""
    ramp = np.tile(np.linspace(0, 255, size), (size, 1)).astype(np.uint8)
    image = np.repeat(ramp[:, :, None], 3, 2)
    pyramid = Pyramid(image)
    for window in ((0, 0, size, size), (size // 4, size // 4, size // 2, size // 2)):
        cells = pyramid.cells(window)
        x = window[0] + (np.arange(GRID) + 0.5) / GRID * (window[2] - window[0])
        inner = slice(2, -2)
        assert np.allclose(cells[inner, inner, 0], (x / size * 255)[inner], atol=3)
    outside = pyramid.cells((-size, 0, 0, size))
    assert (outside == 114).all()


def test_a_raster_is_read_in_the_window_alone():
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    window = (50, 40, 178, 168)
    own = Pyramid(WindowedImage(image)).cells(window)
    assert np.allclose(own, Pyramid(image).cells(window), atol=1)


def test_averages_keep_the_share_that_is_covered():
    mask = np.zeros((200, 200), np.float32)
    mask[:, :100] = 1
    cells = W.averaged(mask, (0, 0, 200, 200), (0, 0, 200, 200), 0.0)
    assert cells.mean() == pytest.approx(0.5, abs=0.02)
    assert cells[:, : GRID // 2 - 2] == pytest.approx(1, abs=1e-5)


def test_clicks_and_boxes_lie_where_they_were_given():
    window = (10, 20, 10 + 2 * GRID, 20 + GRID)
    clicks = W.dots(window, [(10 + 2 * 7.5, 20 + 9.5, 1), (10 + 2 * 40.5, 20 + 30.5, 0)])
    assert np.unravel_index(clicks[0].argmax(), clicks[0].shape) == (9, 7)
    assert np.unravel_index(clicks[1].argmax(), clicks[1].shape) == (30, 40)
    cells = W.filled(window, (10, 20, 10 + GRID, 20 + GRID / 2))
    assert cells.sum() == GRID * GRID / 4
    assert cells[: GRID // 2, : GRID // 2].all()
