"""Kept segmentations answer as they did before."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from fastsam_plugins import Segmentation
from fastsam_plugins.io import npz
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import LimitOptions


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
    npz.write(seg, path)
    again = npz.read(path)
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
    npz.write(seg, path)
    check_equal(seg, npz.read(path))
    assert len(npz.read(path).source) == 3


def test_masks_without_prototypes_are_kept_as_runs(dummy, path):
    merged = dummy().merge([1, 2, 3])
    npz.write(merged, path)
    check_equal(merged, npz.read(path))
    with pytest.raises(ValueError, match="keep no logits"):
        npz.read(path).logits(0)
    two = Segmentation.from_runs([np.array([[3, 9], [12, 13]]), R.EMPTY], (5, 7), [0.5, 0.25])
    npz.write(two, path)
    check_equal(two, npz.read(path))


@pytest.mark.parametrize("count", [0, 1])
def test_few_or_no_instances(dummy, path, count):
    npz.write(dummy(count=1)[:count], path)
    assert len(npz.read(path)) == count
    npz.write(Segmentation.empty((4, 5)), path)
    assert npz.read(path).shape == (4, 5)
    assert len(npz.read(path)) == 0


def test_what_is_no_kept_segmentation_is_named(path, tmp_path):
    with pytest.raises(ValueError, match=r"there is no kept segmentation .*image.npz"):
        npz.read(path)
    for content in (b"", b"text", b"PK\x03\x04 cut off"):
        bad = tmp_path / "bad.npz"
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad.npz is no kept segmentation") as caught:
            npz.read(bad)
        assert "\n" not in str(caught.value)
    np.savez(tmp_path / "other.npz", version=np.array(2))
    with pytest.raises(ValueError, match="version 2"):
        npz.read(tmp_path / "other.npz")
    np.savez(tmp_path / "code.npz", version=np.array([print], object))
    with pytest.raises(ValueError, match=r"code.npz is no kept"):
        npz.read(tmp_path / "code.npz")


def changed(path, **arrays):
    """A kept file with some arrays put in the place of its own."""
    with np.load(path) as content:
        kept_before = dict(content)
    np.savez(path, **(kept_before | arrays))


ODD = [np.array("text"), np.zeros((2, 2, 2, 2)), np.array([1j]), np.array(-5), np.array([7] * 3),
       np.zeros(0), np.array([[np.nan, np.inf]]), np.array([2**62, 2**62])]  # fmt: skip


@pytest.mark.parametrize("merged", [False, True])
def test_arrays_that_do_not_fit_are_refused_by_name(dummy, path, merged):
    seg = dummy((90, 130), 6)
    seg = seg.merge([1, 2]) if merged else seg
    npz.write(seg, path)
    with np.load(path) as content:
        names, whole = list(content), path.read_bytes()
    for name in names:
        for odd in ODD:
            path.write_bytes(whole)
            changed(path, **{name: odd})
            with pytest.raises(ValueError, match=r"image.npz is no kept") as caught:
                npz.read(path)
            assert "\n" not in str(caught.value)
        with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(path, "w") as new:
            for entry in old.namelist():
                if entry != f"{name}.npy":
                    new.writestr(entry, old.read(entry))
        with pytest.raises(ValueError, match=r"it has no|its "):
            npz.read(path)


@pytest.mark.parametrize(
    "runs",
    [[[3, 9], [8, 12]], [[9, 3]], [[-1, 4]], [[3, 36]], [[3, 9], [9, 12]], [[3, 3]]],
)
def test_runs_that_are_no_mask_are_refused(path, runs):
    npz.write(Segmentation.from_runs([np.array([[3, 9], [12, 13]])], (5, 7)), path)
    changed(path, runs=np.array(runs), stops=np.array([len(runs)]))
    with pytest.raises(ValueError, match="in order, apart, within"):
        npz.read(path)
    for stops in ([], [0], [5], [-1], [2, 1]):
        changed(path, runs=np.array([[3, 9]]), stops=np.array(stops, np.int64))
        with pytest.raises(ValueError, match="stops"):
            npz.read(path)


def test_files_that_ask_for_more_memory_than_they_may_are_refused_before_it_is_taken(dummy, path):
    npz.write(dummy((90, 130), 6), path)
    changed(path, prototypes=np.zeros((32, 100, 100)))
    with pytest.raises(ValueError, match="max_memory is 1 MB"):
        npz.read(path, LimitOptions(max_memory=1))
    np.savez_compressed(path, boxes=np.zeros(10**7))  # 80 MB of nothing in 80 kB
    with pytest.raises(ValueError, match="max_memory is 10 MB"):
        npz.read(path, LimitOptions(max_memory=10))
    header = io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 4)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("boxes.npy", header.getvalue() + bytes(64))
    with pytest.raises(ValueError, match=r"boxes.npy is cut off"):
        npz.read(path)
    npz.write(dummy((90, 130), 6), path)
    changed(path, letterbox_image_shape=np.array([10**9, 10**9]))
    with pytest.raises(ValueError, match=r"takes .* MB of memory"):
        npz.read(path)
