"""Making, indexing and decoding the one value."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks


def test_views_share_masks_and_leave_the_original_alone(dummy):
    seg = dummy()
    view = seg[[3, 1]]
    assert view.source is seg.source
    assert np.array_equal(view.mask(0), seg.mask(3))
    assert view.scores.tolist() == seg.scores[[3, 1]].tolist()
    assert len(seg[2:5]) == 3
    assert len(seg[seg.scores > 2]) == 0
    assert np.array_equal(seg[-1].boxes, seg.boxes[-1:])
    assert [len(s) for s in seg] == [1] * len(seg)
    with pytest.raises(IndexError):
        seg[len(seg)]


def test_arrays_cannot_be_written(dummy):
    seg = dummy()
    for array in (seg.boxes, seg.scores, seg.rows, seg.prompts, seg.runs(0)):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
    with pytest.raises(AttributeError):
        seg.boxes = None


def test_ties_keep_their_order():
    seg = Segmentation.from_masks(disks((20, 60), [(10, 10, 5), (30, 10, 5), (50, 10, 5)]))
    assert seg.sort("areas").rows.tolist() == [0, 1, 2]
    assert seg.sort("areas", descending=False).rows.tolist() == [0, 1, 2]


def test_masks_rles_and_mask_agree_and_pycocotools_reads_them(dummy):
    seg = dummy()
    masks = seg.masks()
    assert masks.shape == (len(seg), *seg.shape)
    assert masks.dtype == bool
    for i, text in enumerate(seg.rles()):
        assert np.array_equal(coco.decode(text).astype(bool), masks[i])
        assert np.array_equal(seg.mask(i), masks[i])
        assert coco.area(text) == seg.areas[i] == masks[i].sum()
        x, y, w, h = coco.toBbox(text)
        if seg.areas[i]:
            assert seg.tight_boxes()[i].tolist() == [x, y, x + w, y + h]
    assert np.array_equal(seg.mask(0, (5, 6, 50, 40)), masks[0, 6:40, 5:50])


def test_masks_refuse_to_exceed_their_budget_and_say_what_to_use_instead(dummy):
    seg = dummy()
    with pytest.raises(ValueError, match=r"more than the budget .* use mask\(i\), rles\(\)"):
        seg.masks(budget=1000)


def test_concatenated_views_of_one_image_keep_their_logits(dummy):
    seg = dummy()
    joined = Segmentation.concatenate([seg[:2], seg[5:]])
    assert isinstance(joined.source, PrototypeMasks)
    assert np.array_equal(joined.mask(2), seg.mask(5))
    mixed = Segmentation.concatenate([seg[:2], Segmentation.from_masks(seg.masks()[3:4])])
    assert len(mixed) == 3
    assert np.array_equal(mixed.mask(2), seg.mask(3))
    assert np.array_equal(mixed.contains([(3, 3)]), mixed.masks()[:, 3:4, 3])
    with pytest.raises(ValueError, match="one size"):
        Segmentation.concatenate([seg, Segmentation.empty((3, 3))])


def test_from_rles_round_trip_and_refusal():
    masks = disks((80, 100), [(40, 40, 30), (40, 40, 15), (85, 60, 10)])
    nested = Segmentation.from_masks(masks, [0.5, 0.9, 0.3])
    again = Segmentation.from_rles(nested.rles(), nested.shape, nested.scores)
    assert np.array_equal(again.masks(), nested.masks())
    assert np.array_equal(again.boxes, nested.tight_boxes())
    with pytest.raises(ValueError, match="does not fit"):
        Segmentation.from_rles(nested.rles(), (10, 10))


def test_decoding_many_masks_of_a_large_image_needs_little_memory(dummy):
    """Bitmaps would take 300 x 3000 x 3000 bytes = 2.7 GB."""
    import tracemalloc

    seg = dummy((3000, 3000), 300, 1024)
    tracemalloc.start()
    seg.rles()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The masks' own outlines stay: everything else is scratch.
    kept = sum(seg.runs(i).nbytes for i in range(len(seg)))
    assert peak - kept < 60e6


@pytest.mark.parametrize(
    "runs",
    [[[5, 700]], [[5, 10**9]], [[-5, 10]], [[10, 5]], [[5, 10], [7, 12]], [[5, 10], [10, 12]],
     [[15, 20], [5, 10]], [[5.5, 10]], [5, 10], [[1, 2, 3]], "ab", [[5, 2**70]]],
)  # fmt: skip
def test_what_is_no_run_array_is_refused(runs):
    with pytest.raises(ValueError, match="run"):
        Segmentation.from_runs([runs], (20, 30))


def test_run_arrays_may_be_lists_and_are_as_those_that_are_made():
    given = Segmentation.from_runs([[[5, 10], [30, 42]], []], (20, 30), [0.5, 1])
    assert given.areas.tolist() == [17, 0]
    assert given.mask(0).T.ravel().nonzero()[0].tolist() == [*range(5, 10), *range(30, 42)]


@pytest.mark.parametrize("shape", [(-1, 2), (0, 5), "x", (20,), (2.5, 3), None, (1, 2, 3), 7])
def test_a_shape_is_two_whole_numbers(shape, model):
    for make in (lambda: Segmentation.empty(shape), lambda: Segmentation.from_runs([], shape)):
        with pytest.raises(ValueError, match=r"a shape is \(height, width\)"):
            make()
    if shape is not None:
        with pytest.raises(ValueError, match=r"a shape is \(height, width\)"):
            model.segment(np.zeros((64, 64, 3), np.uint8), shape=shape)


@pytest.mark.parametrize("scores", [[1], ["a", "b"], [[1, 2]], [None, 1], None])
def test_scores_are_a_number_each(scores):
    masks = np.ones((2, 4, 5), bool)
    if scores is None:
        assert Segmentation.from_masks(masks).scores.tolist() == [1, 1]
    else:
        with pytest.raises(ValueError, match="a number for each of 2 masks"):
            Segmentation.from_masks(masks, scores)
