"""The one value: immutable views, masks, labels."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks


@pytest.fixture
def nested():
    """A large, a medium and a small disk inside one another, and one aside."""
    masks = disks((80, 100), [(40, 40, 30), (40, 40, 15), (40, 40, 5), (85, 60, 10)])
    return Segmentation.from_masks(masks, scores=[0.5, 0.9, 0.3, 0.7])


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


def test_sort_and_filter(nested):
    assert nested.sort().scores.tolist() == pytest.approx([0.9, 0.7, 0.5, 0.3])
    by_area = nested.sort("areas", descending=False)
    assert by_area.areas.tolist() == sorted(nested.areas)
    assert nested.filter(min_score=0.5).scores.tolist() == pytest.approx([0.5, 0.9, 0.7])
    assert (
        nested.filter(min_area=100, max_area=1000).areas.tolist() == sorted(nested.areas)[1:3][::-1]
    )
    with pytest.raises(ValueError, match="rank must be"):
        nested.sort("size")


def test_ties_keep_their_order():
    seg = Segmentation.from_masks(disks((20, 60), [(10, 10, 5), (30, 10, 5), (50, 10, 5)]))
    assert seg.sort("areas").rows.tolist() == [0, 1, 2]
    assert seg.sort("areas", descending=False).rows.tolist() == [0, 1, 2]


def test_filter_by_stability_and_leak_without_any_inference(dummy):
    seg = dummy()
    for name, values, low in (
        ("stability", seg.stability, True),
        ("box_leak", seg.box_leak, False),
    ):
        limit = float(np.sort(values)[len(values) // 2])  # half of them go
        options = {"min_stability": limit} if low else {"max_box_leak": limit}
        rows = np.flatnonzero(values >= limit if low else values <= limit)
        assert 0 < len(rows) < len(seg)
        assert seg.filter(**options).rows.tolist() == rows.tolist(), name


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


def test_an_empty_segmentation_answers_everything():
    seg = Segmentation.empty((30, 40))
    assert len(seg) == 0
    assert seg.shape == (30, 40)
    assert seg.boxes.shape == (0, 4)
    assert seg.masks().shape == (0, 30, 40)
    assert not seg.labels().any()
    assert seg.rles() == []
    assert seg.areas.shape == seg.stability.shape == seg.box_leak.shape == (0,)
    assert seg.contains([(1, 1)]).shape == (0, 1)
    assert len(seg.sort()) == len(seg.filter(min_area=1)) == len(seg.clean(mask_iou=0.5)) == 0
    for mode in ("union", "smallest", "best", "each"):
        assert len(seg.select(points=[(1, 1)], points_mode=mode)) == 0
    for mode in ("box_iou", "mask_iou"):
        assert len(seg.select(boxes=[(1, 1, 9, 9)], boxes_mode=mode)) == 0


def test_from_rles_round_trip_and_refusal(nested):
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


def test_nested_masks_are_filtered_from_outside_or_inside(nested):
    assert nested.filter(nested="outer").scores.tolist() == pytest.approx([0.5, 0.7])
    assert nested.filter(nested="inner").scores.tolist() == pytest.approx([0.3, 0.7])
    # Judged among what the other bounds keep: without the large disk the medium one is outermost.
    found = nested.filter(nested="outer", max_area=1000)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    twice = Segmentation.from_masks(disks((80, 100), [(40, 40, 20), (40, 40, 20.3)]))
    assert len(twice.filter(nested="outer")) == 2, "two masks of one object are not nested"


def test_instances_at_the_border_are_filtered():
    seg = Segmentation.from_masks(
        disks((40, 50), [(4, 20, 5), (46, 20, 5), (25, 3, 5), (25, 37, 5), (25, 20, 5)])
    )
    assert seg.filter(border=False).rows.tolist() == [4]


def test_candidates_are_all_that_points_allow_smallest_first(nested):
    assert nested.candidates([(40, 40)]).rows.tolist() == [2, 1, 0]
    assert nested.candidates([(40, 40), (40, 50)]).rows.tolist() == [1, 0]
    assert nested.candidates([(40, 40), (40, 65)], [1, 0]).rows.tolist() == [2, 1]
    assert len(nested.candidates([(2, 2)])) == 0
    for point in ((40, 40), (40, 50), (85, 60)):
        smallest = nested.select(points=[point], points_mode="smallest")
        assert nested.candidates([point])[0].rows.tolist() == smallest.rows.tolist()


def test_several_are_merged_as_they_are_picked(nested):
    by_bools = nested.merge([True, False, True, False])
    assert by_bools.areas.tolist() == nested.merge([0, 2]).areas.tolist()
    assert nested.merge(slice(0, 2)).areas.tolist() == nested.merge([0, 1]).areas.tolist()
    for index, error in (([1.7], ValueError), ([9], IndexError), ([True], IndexError)):
        with pytest.raises(error):
            nested.merge(index)


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


def test_options_of_something_else_and_unknown_ones_are_refused_in_words(nested, model):
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="options must be FilterOptions"):
        nested.filter({})
    with pytest.raises(ValueError, match="options must be SegmentOptions"):
        model.segment(image, "x")
    with pytest.raises(ValueError, match="options must be TileOptions"):
        model.segment_tiled(image, tiling="x")
    with pytest.raises(ValueError, match="there is no parameter min_aera: do you mean min_area"):
        nested.filter(min_aera=5)
    with pytest.raises(ValueError, match="concatenate takes segmentations"):
        Segmentation.concatenate(["a"])


def test_the_first_instances_are_different_objects_where_that_is_wanted():
    masks = disks((40, 60), [(20, 20, 15), (21, 20, 15), (45, 20, 8)])
    seg = Segmentation.from_masks(masks, [0.9, 0.85, 0.5])
    ordered = seg.diversify(0.9)
    assert ordered.rows.tolist() == [0, 2, 1]
    assert (ordered.mask(2) == masks[1]).all()
    with pytest.raises(ValueError, match="strength"):
        seg.diversify(1.5)
