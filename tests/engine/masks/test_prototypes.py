"""Masks in prototype space against ultralytics' full-resolution masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ultralytics.utils.ops import process_mask_native

from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.kernels import first_pixel_at
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.masks.sampling import Axis
from tests.conftest import dummy_arrays

# Up-sampling factors 1, 2 and 4; upright, lying, square; larger and smaller than the input.
SHAPES = [
    (256, 256),
    (90, 130),
    (333, 500),
    (500, 333),
    (97, 211),
    (640, 427),
    (41, 37),
    (192, 256),
]


def reference(maps, coefficients, boxes, shape):
    return (
        process_mask_native(
            torch.from_numpy(maps), torch.from_numpy(coefficients), torch.from_numpy(boxes), shape
        )
        .numpy()
        .astype(bool)
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("imgsz", [256, 320])
def test_masks_are_those_of_ultralytics(shape, imgsz):
    maps, coefficients, boxes, letterbox = dummy_arrays(shape, 16, imgsz)
    source = PrototypeMasks(maps, coefficients, boxes, letterbox)
    expected = reference(maps, coefficients, boxes, shape)
    for i in range(16):
        decoded = R.to_bitmap(source.runs(i), shape)
        differ = decoded != expected[i]
        # Only rounding may differ: where the logit is zero to seven digits.
        assert (np.abs(source.logits(i)[differ]) < 1e-5).all()
        assert differ.sum() <= max(1, 1e-4 * expected[i].sum())


@pytest.mark.parametrize("shape", SHAPES)
def test_points_ask_the_same_masks_as_decoding_does(shape):
    maps, coefficients, boxes, letterbox = dummy_arrays(shape, 16)
    source = PrototypeMasks(maps, coefficients, boxes, letterbox)
    rng = np.random.default_rng(1)
    pixels = rng.integers(-3, max(shape) + 3, (3000, 2))
    answers = source.contains(np.arange(16), pixels)
    inside = ((pixels >= 0) & (pixels < [shape[1], shape[0]])).all(1)
    assert not answers[:, ~inside].any(), "negative and far coordinates must not wrap around"
    expected = reference(maps, coefficients, boxes, shape)
    x, y = pixels[inside].T
    assert (answers[:, inside] == expected[:, y, x]).mean() >= 0.999


def test_logits_are_the_bilinear_up_sampling():
    maps, coefficients, boxes, letterbox = dummy_arrays((256, 256), 3)
    source = PrototypeMasks(maps, coefficients, boxes, letterbox)
    whole = torch.einsum("nc,chw->nhw", torch.from_numpy(coefficients), torch.from_numpy(maps))
    expected = torch.nn.functional.interpolate(whole[None], (256, 256), mode="bilinear")[0].numpy()
    for i in range(3):
        assert source.logits(i) == pytest.approx(expected[i], abs=1e-4)
        assert source.logits(i, (10, 20, 90, 70)) == pytest.approx(
            expected[i, 20:70, 10:90], abs=1e-4
        )


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.0])
def test_decoding_at_a_threshold_is_thresholding_the_logits(threshold):
    maps, coefficients, boxes, letterbox = dummy_arrays((97, 211), 8)
    source = PrototypeMasks(maps, coefficients, boxes, letterbox)
    window = (5, 7, 200, 90)
    for i in range(8):
        logits = source.logits(i, window)
        decoded = R.to_bitmap(source.decode(i, window, threshold), (97, 211), window)
        near = np.abs(logits - threshold) < 1e-5
        assert np.array_equal(decoded[~near], (logits > threshold)[~near])


def test_letterbox_padding_never_reaches_a_mask():
    """Logits are huge in the padding and negative in the image: nothing may be found."""
    letterbox = Letterbox.fit((40, 160), 256)  # 64 rows of content in 64: force rows of padding
    letterbox = Letterbox((40, 160), (128, 256), (64, 256), 32, 0)
    maps = np.full((32, 32, 64), 100, np.float32)
    maps[:, 8:24] = -1
    boxes = np.array([[0, 0, 160, 40]], np.float32)
    source = PrototypeMasks(maps, np.ones((1, 32), np.float32), boxes, letterbox)
    assert len(source.runs(0)) == 0
    assert not source.contains(np.arange(1), np.array([[0, 0], [80, 0], [159, 39]])).any()


def test_a_logit_of_exactly_zero_is_outside():
    letterbox = Letterbox.fit((16, 16), 64)  # pixels lie on cells: nothing is interpolated
    maps = np.zeros((1, 16, 16), np.float32)
    maps[0] = np.array([-1, 0, 2, 0, -3, -1, 0, 0, 1, 1, 0, 0, 5, -2, 0, 1])[:, None]
    boxes = np.array([[0, 0, 16, 16]], np.float32)
    source = PrototypeMasks(maps, np.ones((1, 1), np.float32), boxes, letterbox)
    assert np.array_equal(R.to_bitmap(source.runs(0), (16, 16)), maps[0] > 0)


@given(st.integers(1, 64), st.sampled_from([1, 2, 4]), st.integers(1, 3000))
def test_the_first_pixel_at_a_place_is_exact(cells, factor, pixels):
    axis = Axis(cells, factor, 0, cells * factor, pixels)
    grid = np.random.default_rng(0).uniform(0, max(cells * factor - 1, 1e-3), 200)
    places = np.concatenate([grid, axis._place, axis._place + 1e-7, axis._place - 1e-7])
    places = places[(places > 0) & (places < cells * factor - 1)]
    found = [first_pixel_at(place, *axis.pixels_on_grid) for place in places]
    assert np.array_equal(found, np.searchsorted(axis._place, places))


def test_empty_and_outside_boxes_have_empty_masks():
    maps, coefficients, _, letterbox = dummy_arrays((90, 130), 3)
    boxes = np.array([[50, 50, 50, 60], [130, 90, 130, 90], [5.2, 5, 5.8, 60]], np.float32)
    source = PrototypeMasks(maps, coefficients, boxes, letterbox)
    assert [len(source.runs(i)) for i in range(3)] == [0, 0, 0]


def test_thin_images_follow_their_real_letterbox():
    """A trap in ultralytics 8.4 (scale_masks, scale_boxes): it guesses the scale from the sizes
    alone, and where the letterbox rounded the short side down it takes content for padding. Should
    the last line fail, they have mended it: delete it."""
    shape = (75, 743)
    letterbox = Letterbox.fit(shape, 320)
    assert letterbox.content_shape == letterbox.input_shape == (32, 320)
    maps = np.zeros((32, 8, 80), np.float32)
    maps[0] = np.arange(80) - 71.5  # crosses zero at nine tenths of the width
    coefficients, boxes = np.eye(1, 32, dtype=np.float32), np.array([[0, 0, 743, 75]], np.float32)
    source = PrototypeMasks(maps, coefficients, boxes, letterbox)
    assert R.bounds(source.runs(0), 75)[0] == pytest.approx(0.9 * 743, abs=1)
    theirs = int(np.flatnonzero(reference(maps, coefficients, boxes, shape)[0][40])[0])
    assert theirs - 0.9 * 743 > 3


def test_prototypes_of_another_size_are_refused():
    maps, coefficients, boxes, _ = dummy_arrays((90, 130), 2)
    with pytest.raises(ValueError, match="do not fit"):
        PrototypeMasks(maps, coefficients, boxes, Letterbox.fit((90, 130), 640))
