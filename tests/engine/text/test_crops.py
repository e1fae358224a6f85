from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_plugins.masks import runs as R
from fastsam_plugins.text.crops import batches, cut_out
from fastsam_plugins.text.pixels import Pixels

GRAY = (9, 8, 7)


def an_image(shape, seed=0):
    return np.random.default_rng(seed).integers(10, 256, (*shape, 3)).astype(np.uint8)


@given(
    shape=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    ratio=st.sampled_from([1.0, 0.5, 1.5]),
    seed=st.integers(0, 999),
)
def test_a_crop_holds_the_masks_pixels_and_nothing_else(shape, ratio, seed) -> None:
    rng = np.random.default_rng(seed)
    image, mask = an_image(shape, seed), rng.random(shape) < rng.uniform(0.02, 0.9)
    if not mask.any():
        return
    crop = cut_out(image, R.from_bitmap(mask), "gray", GRAY, ratio)
    shown = ~(crop == GRAY).all(-1)
    # Row by row, pixels come in the order they have in the image.
    assert np.array_equal(crop[shown], image[mask])
    ys, xs = np.nonzero(mask)
    h, w = np.ptp(ys) + 1, np.ptp(xs) + 1
    y, x = np.nonzero(shown)
    assert (np.ptp(y) + 1, np.ptp(x) + 1) == (h, w)
    # Just as large as the aspect ratio asks for, and the mask in the middle.
    assert crop.shape[0] in (h, int(np.ceil(w / ratio)))
    assert crop.shape[1] in (w, int(np.ceil(h * ratio)))
    assert abs(y.min() - (crop.shape[0] - h) / 2) <= 0.5
    assert abs(x.min() - (crop.shape[1] - w) / 2) <= 0.5


@pytest.mark.parametrize(("background", "color"), [("white", 255), ("black", 0)])
def test_fills(background, color) -> None:
    image, mask = an_image((20, 30)), np.zeros((20, 30), bool)
    mask[4:8, 10:12] = True
    crop = cut_out(image, R.from_bitmap(mask), background)
    assert crop.shape == (4, 4, 3)
    assert (crop[:, [0, 3]] == color).all()
    assert np.array_equal(crop[:, 1:3], image[4:8, 10:12])


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image[:, :, ::-1],
        lambda image: image[:, ::-1],
        lambda image: image[::2, ::3],
        lambda image: image.transpose(1, 0, 2),
        lambda image: np.broadcast_to(image[:, :1], image.shape),
    ],
)
def test_images_may_be_views_of_others(view) -> None:
    image = view(an_image((20, 30)))
    image.setflags(write=False)
    mask = np.random.default_rng(0).random(image.shape[:2]) < 0.5
    crop = cut_out(image, R.from_bitmap(mask), "gray", GRAY)
    assert np.array_equal(crop[~(crop == GRAY).all(-1)], image[mask])


def test_keep_shows_what_is_around_the_mask_and_fills_beyond_the_image() -> None:
    image, mask = an_image((20, 30)), np.zeros((20, 30), bool)
    mask[0:9, 0] = True
    crop = cut_out(image, R.from_bitmap(mask), "keep", GRAY)
    assert crop.shape == (9, 9, 3)
    assert (crop[:, :4] == GRAY).all()
    assert np.array_equal(crop[:, 4:], image[0:9, 0:5])


def test_batches_come_in_order_and_hold_no_more_than_a_chunk() -> None:
    image = an_image((40, 40))
    masks = [R.from_bitmap(np.ones((1, 1)), (40, 40), (k, k)) for k in range(11)]
    pixels = Pixels((8, 8), (0.0,) * 3, (1.0,) * 3, "bicubic")
    taken = []

    def ask():
        for mask in masks:
            taken.append(1)
            yield mask

    found = []
    for batch in batches(image, ask(), pixels, "gray", 4):
        found.append(batch)
        assert len(taken) == sum(len(b) for b in found)  # masks are decoded as they are needed
    assert [len(b) for b in found] == [4, 4, 3]
    shown = np.concatenate([b.numpy() for b in found])[:, :, 3, 3] * 255
    assert np.allclose(shown, [image[k, k] for k in range(11)], atol=1e-3)
