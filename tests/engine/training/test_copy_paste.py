"""Copy-paste between images."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fastsam_plugins.training import copy_paste
from fastsam_plugins.training.copy_paste import Cutout, Cutouts

SIDE = 80


def square(x0, y0, x1, y1):
    """Outline in 0 to 1 of the pixels from (x0, y0) to before (x1, y1)."""
    corners = [[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]]
    return (np.array(corners, np.float32) + 0.5) / SIDE


def label(*segments, value=0):
    segments = list(segments)
    return {
        "img": np.full((SIDE, SIDE, 3), value, np.uint8),
        "segments": segments,
        "bboxes": copy_paste.centres_and_sides([copy_paste._corners(s) for s in segments]),
        "cls": np.zeros((len(segments), 1), np.float32),
    }


def bitmaps(result):
    return [copy_paste._fill(s, (SIDE, SIDE)).astype(bool) for s in result["segments"]]


@pytest.fixture
def pool():
    """Red squares of 20 x 20 pixels."""
    cutouts = Cutouts()
    source = label(square(10, 10, 30, 30))
    source["img"][10:30, 10:30] = (200, 0, 0)
    cutouts.collect(source)
    assert len(cutouts._kept) == 1
    return cutouts


def test_an_object_is_collected_without_its_surroundings(pool):
    (cutout,) = pool._kept
    assert (cutout.pixels[cutout.bitmap.astype(bool)] == (200, 0, 0)).all()
    assert cutout.bitmap.sum() == 400


@pytest.mark.parametrize("seed", range(12))
def test_labels_are_what_shows(pool, seed):
    """Red is a pasted object, everything else is what it was, and every mask says so."""
    random.seed(seed)
    whole = square(0, 0, SIDE, SIDE)
    image = label(whole, square(40, 40, 50, 50), value=7)
    before = image["img"]
    pool.paste(image)
    assert (before == 7).all(), "the dataset keeps its images: the caller's is not painted on"
    red = (image["img"] != 7).any(-1)
    assert (image["img"][red][:, 1:] == 0).all()
    background, *others = bitmaps(image)
    # An outline has no sub-pixels: a bridge to a hole may cost a line of pixels.
    assert (background & red).sum() <= 4 * SIDE
    assert not (~background & ~red).any()
    shown = np.zeros_like(red)
    for bitmap in others:
        if red[bitmap].mean() > 0.5:
            shown |= bitmap
    assert (shown != red).sum() <= copy_paste.MIN_VISIBLE * 5
    assert len(image["cls"]) == len(image["bboxes"]) == len(image["segments"])


def test_what_is_covered_is_no_longer_labelled():
    cutouts = Cutouts()
    big = np.ones((90, 90), np.uint8)
    cutouts._kept.append(Cutout(np.full((90, 90, 3), 200, np.uint8), big))
    random.seed(1)
    image = label(square(38, 38, 44, 44))
    for _ in range(20):
        cutouts.paste(image, most=1)
    for bitmap in bitmaps(image):
        assert (image["img"][bitmap] == 200).mean() > 0.9


def test_objects_that_are_tiny_or_fill_the_image_are_not_collected():
    cutouts = Cutouts()
    cutouts.collect(label(square(0, 0, 5, 5), square(0, 0, SIDE, SIDE)))
    assert cutouts._kept == []
    image = label(square(0, 0, 5, 5))
    cutouts.paste(image)
    assert len(image["segments"]) == 1


def test_the_pool_keeps_a_limited_number(pool):
    small = Cutouts(capacity=3)
    for _ in range(10):
        small.collect(label(square(10, 10, 30, 30)))
    assert len(small._kept) == 3
