"""Overlays in strips, against the same drawn by Pillow on the whole picture."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from fastsam_plugins.io import overlay
from fastsam_plugins.masks.label_image import LabelRows
from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks

RNG = np.random.default_rng(0)


def whole(image, seg, points=(), boxes=(), captions=(), opacity=0.5):
    """The overlay as it is defined, on whole pictures."""
    labels = seg.labels()
    palette = np.concatenate([np.zeros((1, 3), np.uint8), overlay.colors(len(seg))])
    tint, covered = palette[labels], (labels > 0)[..., None]
    out = np.where(covered, image * (1 - opacity) + tint * opacity, image)
    edge = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    out = np.where((edge & (labels > 0))[..., None], tint, out).astype(np.uint8)
    picture = Image.fromarray(out)
    pen = ImageDraw.Draw(picture)
    line = max(2, max(seg.shape) // 300)
    for box in boxes:
        pen.rectangle(tuple(box), outline=(255, 255, 0), width=line)
    for x, y, label in points:
        fill = (0, 220, 0) if label else (230, 0, 0)
        spot = (x - 2 * line, y - 2 * line, x + 2 * line, y + 2 * line)
        pen.ellipse(spot, fill=fill, outline=(255, 255, 255), width=max(1, line // 2))
    font = ImageFont.load_default(max(10, max(seg.shape) // 45))
    for (x0, y0, x1, y1), words in zip(seg.tight_boxes().tolist(), captions, strict=False):
        centre = (x0 + x1) / 2, (y0 + y1) / 2
        left, top, right_, bottom = pen.textbbox(centre, words, font=font, anchor="mm")
        height, width = seg.shape
        dx = max(2 - left, 0) + min(width - 2 - right_, 0)
        dy = max(2 - top, 0) + min(height - 2 - bottom, 0)
        plate = (left + dx - 2, top + dy - 1, right_ + dx + 2, bottom + dy + 1)
        pen.rectangle(plate, fill=(20, 20, 20))
        pen.text((centre[0] + dx, centre[1] + dy), words, (255, 255, 255), font=font, anchor="mm")
    return np.asarray(picture)


@pytest.fixture(params=[100, 5000, 1 << 19], ids=["thin strips", "strips", "whole"])
def strips(request, monkeypatch):
    monkeypatch.setattr(overlay, "_STRIP", request.param)


@pytest.mark.parametrize("opacity", [0, 0.3, 0.5, 1])
def test_strips_are_painted_as_the_whole(opacity, dummy, strips):
    seg = dummy((97, 131), count=14)
    image = RNG.integers(0, 256, (97, 131, 3), dtype=np.uint8)
    before = image.copy()
    out = overlay.overlay(image, seg, opacity=opacity)
    assert np.array_equal(out, whole(image, seg, opacity=opacity))
    assert np.array_equal(image, before)


def test_prompts_are_drawn_across_strips_and_the_border(dummy, strips):
    seg = dummy((97, 131), count=5)
    image = RNG.integers(0, 256, (97, 131, 3), dtype=np.uint8)
    points = [(0, 0, 1), (130.7, 96.2, 0), (60.5, 40.9, 1), (-3, 50, 0), (2.5, 95, 1)]
    boxes = [(10.6, 20.2, 90.9, 80), (-5, -4, 30, 200), (100, 5, 130, 96), (40, 40, 44, 43)]
    found = overlay.overlay(image, seg, points, boxes)
    assert np.array_equal(found, whole(image, seg, points, boxes))


def test_captions_look_as_pillow_writes_them(dummy, strips):
    seg = dummy((97, 131), count=5)
    image = RNG.integers(0, 256, (97, 131, 3), dtype=np.uint8)
    captions = ["a dog 0.31", "a cat", "gyq"]
    found, expected = (
        overlay.overlay(image, seg, captions=captions),
        whole(image, seg, (), (), captions),
    )
    differs = np.abs(found.astype(int) - expected).max(2)
    assert (differs > 8).mean() < 0.02  # of half-pixel places of letters and plates
    assert (found != overlay.overlay(image, seg)).any(2).mean() > 0.05


@pytest.mark.parametrize("overlap", ["small_on_top", "high_score_on_top", "first"])
def test_rows_of_labels_are_those_of_the_label_image(overlap, dummy):
    seg = dummy((60, 80), count=9)
    rows, expected = LabelRows(seg, overlap), np.zeros((60, 80), np.int32)
    order = {
        "small_on_top": np.argsort(-seg.areas, kind="stable"),
        "high_score_on_top": np.argsort(seg.scores, kind="stable"),
        "first": np.arange(9)[::-1],
    }
    for i in order[overlap]:
        expected[seg.mask(i)] = i + 1
    assert np.array_equal(seg.labels(overlap), expected)
    for y0, y1 in ((0, 60), (0, 1), (59, 60), (13, 40), (30, 30)):
        assert np.array_equal(rows[y0:y1], expected[y0:y1])


def test_an_image_of_another_size_is_refused(dummy):
    with pytest.raises(ValueError, match="the image is"):
        overlay.overlay(np.zeros((50, 131, 3), np.uint8), dummy((97, 131)))


def test_an_overlay_takes_little_more_memory_than_itself():
    """It took 55 bytes per pixel beside the image and the three of its own."""
    image = np.full((2000, 3000, 3), 90, np.uint8)
    seg = Segmentation.from_masks(disks((2000, 3000), [(900, 900, 800), (2200, 900, 500)]))
    overlay.overlay(image[:9, :9], Segmentation.empty((9, 9)))
    seg.labels()
    tracemalloc.start()
    try:
        out = overlay.overlay(image, seg, points=[(900, 900, 1)], boxes=[(5, 5, 2900, 1900)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < out.nbytes + 50e6
