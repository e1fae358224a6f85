"""Kept segmentations answer as they did before."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import Segmentation, kept
from fastsam_plugins.masks import runs as R


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some" / "folder" / "image.npz"


def check_equal(a, b):
    assert a.shape == b.shape
    for name in ("boxes", "scores", "prompts", "areas", "stability", "box_leak"):
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True), name
    assert a.rles() == b.rles()


def test_answers_are_exactly_those_of_before(dummy, path):
    seg = dummy((90, 130), 30)
    kept.write(seg, path)
    again = kept.read(path)
    check_equal(seg, again)
    for i in range(len(seg)):
        assert np.array_equal(seg.logits(i), again.logits(i))
    points, boxes = [[40, 50], [80, 20]], [[10, 10, 60, 70]]
    check_equal(seg.select(points), again.select(points))
    check_equal(
        seg.select(boxes=boxes, boxes_mode="mask_iou"),
        again.select(boxes=boxes, boxes_mode="mask_iou"),
    )


def test_a_part_keeps_what_it_needs(dummy, path):
    seg = dummy((90, 130), 30)[[3, 17, 5]]
    kept.write(seg, path)
    check_equal(seg, kept.read(path))
    assert len(kept.read(path).source) == 3


def test_masks_without_prototypes_are_kept_as_runs(dummy, path):
    merged = dummy().merge([1, 2, 3])
    kept.write(merged, path)
    check_equal(merged, kept.read(path))
    with pytest.raises(ValueError, match="keep no logits"):
        kept.read(path).logits(0)
    two = Segmentation.from_runs([np.array([[3, 9], [12, 13]]), R.EMPTY], (5, 7), [0.5, 0.25])
    kept.write(two, path)
    check_equal(two, kept.read(path))


@pytest.mark.parametrize("count", [0, 1])
def test_few_or_no_instances(dummy, path, count):
    kept.write(dummy(count=1)[:count], path)
    assert len(kept.read(path)) == count
    kept.write(Segmentation.empty((4, 5)), path)
    assert kept.read(path).shape == (4, 5)
    assert len(kept.read(path)) == 0


def test_what_is_no_kept_segmentation_is_named(path, tmp_path):
    with pytest.raises(ValueError, match=r"there is no kept segmentation .*image.npz"):
        kept.read(path)
    for content in (b"", b"text", b"PK\x03\x04 cut off"):
        bad = tmp_path / "bad.npz"
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad.npz is no kept segmentation") as caught:
            kept.read(bad)
        assert "\n" not in str(caught.value)
    np.savez(tmp_path / "other.npz", version=np.array(2))
    with pytest.raises(ValueError, match="version 2"):
        kept.read(tmp_path / "other.npz")
    np.savez(tmp_path / "code.npz", version=np.array([print], object))
    with pytest.raises(ValueError, match=r"code.npz is no kept"):
        kept.read(tmp_path / "code.npz")
