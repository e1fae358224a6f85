"""Letterbox and boxes: reversible coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastsam_plugins.geometry import Letterbox, box_iou, snap_to_canvas, xyxy_to_xywh

sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
imgszs = st.integers(1, 64).map(lambda k: 32 * k)
fractions = st.floats(0, 1)


@given(sizes, imgszs, fractions, fractions)
def test_letterbox_is_reversible_to_sub_pixel(shape, imgsz, u, v):
    letterbox = Letterbox.fit(shape, imgsz)
    point = np.array([u * shape[1], v * shape[0]])
    assert letterbox.to_image(letterbox.to_input(point)) == pytest.approx(point, abs=1e-6)


@given(sizes, imgszs)
def test_letterbox_maps_the_image_exactly_onto_its_content(shape, imgsz):
    letterbox = Letterbox.fit(shape, imgsz)
    height, width = letterbox.content_shape
    corners = letterbox.to_input([[0, 0], [shape[1], shape[0]]])
    expected = [
        [letterbox.left, letterbox.top],
        [letterbox.left + width, letterbox.top + height],
    ]
    assert corners == pytest.approx(np.array(expected), abs=1e-6)
    assert max(height, width) == imgsz
    assert all(side % 32 == 0 and side <= imgsz for side in letterbox.input_shape)


@given(sizes.filter(lambda s: s[0] * s[1] < 200_000), imgszs.filter(lambda s: s <= 320))
def test_letterbox_pixels_are_those_of_ultralytics(shape, imgsz):
    from ultralytics.data.augment import LetterBox

    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    before = image.copy()
    ours = Letterbox.fit(shape, imgsz).apply(image)
    theirs = LetterBox((imgsz, imgsz), auto=True, stride=32)(image=image)
    assert np.array_equal(ours, theirs)
    assert np.array_equal(image, before)


def test_boxes_come_back_and_are_clipped_to_the_image():
    letterbox = Letterbox.fit((100, 200), 320)
    boxes = np.array([[10.25, 20.5, 110.75, 90.0], [-30, -5, 400, 300]])
    there = letterbox.to_input(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
    back = letterbox.boxes_to_image(there)
    assert back == pytest.approx(
        np.array([[10.25, 20.5, 110.75, 90.0], [0, 0, 200, 100]]), abs=1e-4
    )
    assert back.dtype == np.float32


@given(st.integers(0, 2**32 - 1))
def test_box_iou_agrees_with_torchvision(seed):
    import torch
    from torchvision.ops import box_iou as reference

    rng = np.random.default_rng(seed)
    a = np.sort(rng.uniform(0, 50, (5, 2, 2)), axis=1).reshape(-1, 4)
    b = np.sort(rng.uniform(0, 50, (7, 2, 2)), axis=1).reshape(-1, 4)
    expected = reference(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    assert box_iou(a, b) == pytest.approx(expected, abs=1e-9)


def test_box_iou_of_empty_boxes_is_zero():
    nothing = np.array([[5.0, 5, 5, 5]])
    assert box_iou(nothing, nothing)[0, 0] == 0


def test_full_frame_rule_snaps_edges_and_fills_the_frame_for_any_number_of_boxes():
    boxes = np.array(
        [
            [3, 4, 395, 297],  # nearly the image
            [2, 1, 399, 299],  # nearly the image as well
            [5, 100, 395, 200],  # reaches left and right
            [50, 50, 100, 100],  # reaches nothing
        ],
        np.float32,
    )
    before = boxes.copy()
    out = snap_to_canvas(boxes, (300, 400), (20, 20))
    assert out.tolist() == [
        [0, 0, 400, 300],
        [0, 0, 400, 300],
        [0, 100, 400, 200],
        [50, 50, 100, 100],
    ]
    assert np.array_equal(boxes, before)


def test_full_frame_rule_becomes_the_frame_above_090_iou_only():
    inside = np.array([[25, 0, 400, 300], [41, 0, 400, 300]], np.float32)  # IoU .9375 and .8975
    out = snap_to_canvas(inside, (300, 400), (10, 10))
    assert out.tolist() == [[0, 0, 400, 300], [41, 0, 400, 300]]


def test_full_frame_rule_leaves_small_objects_near_the_border_alone():
    nucleus = np.array([[8, 9, 22, 25]], np.float32)
    assert np.array_equal(snap_to_canvas(nucleus, (256, 256), (20, 20)), nucleus)


def test_corner_and_sides_are_those_of_torchvision():
    from torchvision.ops import box_convert

    boxes = np.random.default_rng(0).uniform(0, 99, (20, 4))
    expected = box_convert(torch.as_tensor(boxes), "xyxy", "xywh").numpy()
    assert np.array_equal(xyxy_to_xywh(boxes), expected)
    assert xyxy_to_xywh(np.zeros((0, 4), np.float32)).shape == (0, 4)
