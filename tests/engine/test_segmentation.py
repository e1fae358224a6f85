"""What can be asked of the one value."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks


@pytest.fixture
def nested():
    """A large, a medium and a small disk inside one another, and one aside."""
    masks = disks((80, 100), [(40, 40, 30), (40, 40, 15), (40, 40, 5), (85, 60, 10)])
    return Segmentation.from_masks(masks, scores=[0.5, 0.9, 0.3, 0.7])


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
