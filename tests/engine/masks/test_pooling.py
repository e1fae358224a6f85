"""Sums under masks equal those of the masks' bitmaps, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.pooling import Pooling


def _slow(maps, letterbox, mask):
    """Pixel after pixel; rows in a hundred parts each, as a pixel may lie in two cells."""
    (height, _), (h, w, _) = letterbox.image_shape, maps.shape
    size = np.array(letterbox.input_shape[::-1]) / (w, h)
    total = np.zeros(maps.shape[2])
    for start, stop in mask.tolist():
        for position in range(start, stop):
            x, y = divmod(position, height)
            parts = (np.arange(100) + 0.5) / 100
            places = letterbox.to_input(np.stack([np.full(100, x + 0.5), y + parts], 1)) / size
            i, j = np.clip(places.astype(int), 0, (w - 1, h - 1)).T
            total += maps[j, i].sum(0) / 100 * letterbox.scale[1] * h / letterbox.input_shape[0]
    return total


@pytest.mark.parametrize(
    ("shape", "imgsz"),
    [((9, 13), 64), ((70, 41), 64), ((64, 64), 64), ((3, 200), 64), ((1, 1), 32)],
)
def test_sums_are_those_of_the_pixels(shape, imgsz):
    rng = np.random.default_rng(shape[1])
    letterbox = Letterbox.fit(shape, imgsz)
    h, w = (side // 8 for side in letterbox.input_shape)
    maps = rng.normal(size=(h, w, 5)).astype(np.float32)
    pooling = Pooling(maps, letterbox)
    bitmaps = [rng.random(shape) < 0.3, np.ones(shape, bool), np.zeros(shape, bool)]
    bitmaps[0][0, 0] = True
    for bitmap in bitmaps:
        mask = R.from_bitmap(bitmap)
        expected = _slow(maps, letterbox, mask)
        scale = max(float(bitmap.sum()) * letterbox.scale[1] / 8, 1)
        # The reference itself is a hundredth of a pixel off where a cell ends within one.
        np.testing.assert_allclose(pooling.sums(mask), expected, atol=0.02 * scale)


def test_masks_add_up():
    letterbox = Letterbox.fit((300, 200), 128)
    maps = np.random.default_rng(0).normal(size=(16, 12, 3)).astype(np.float32)
    pooling = Pooling(maps, letterbox)
    bitmap = np.random.default_rng(1).random((300, 200)) < 0.5
    part, rest = R.from_bitmap(bitmap), R.from_bitmap(~bitmap)
    whole = pooling.sums(R.from_bitmap(np.ones_like(bitmap)))
    np.testing.assert_allclose(pooling.sums(part) + pooling.sums(rest), whole, atol=1e-6)
