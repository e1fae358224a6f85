"""Windows, and what they saw put together; a detector without a flaw stands for the network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from fastsam_plugins import FastSAM, Segmentation, TileOptions
from fastsam_plugins.geometry import box_iou
from fastsam_plugins.masks import runs as R
from fastsam_plugins.tiling import Mosaic, windows
from tests.conftest import disks

SHAPE = (150, 200)
OPTIONS = TileOptions(tile=64, overlap=0.25)
PLACES = windows(SHAPE, 64, 0.25)


def cut_out(masks, place, least=1):
    """What a detector without a flaw finds in a window; nothing with fewer pixels."""
    x0, y0, x1, y1 = place
    parts = [np.asarray(m)[y0:y1, x0:x1] for m in masks]
    seen = [(k, p) for k, p in enumerate(parts) if p.sum() >= least]
    runs = [R.from_bitmap(p) for _, p in seen]
    return Segmentation.from_runs(runs, (y1 - y0, x1 - x0), [1 - k / 100 for k, _ in seen])


def put_together(masks, options=OPTIONS, whole=None, places=PLACES, find=cut_out):
    mosaic = Mosaic(SHAPE, places, options)
    for place in places:
        mosaic.add(find(masks, place))
    return mosaic.instances(whole)


def same(seg, masks):
    """Whether the instances are these masks, in any order."""
    found = sorted(seg.runs(i).tobytes() for i in range(len(seg)))
    return found == sorted(R.from_bitmap(m).tobytes() for m in masks)


def apart(circles):
    """Disks without the pixels of those before them."""
    left, out = np.ones(SHAPE, bool), []
    for disk in disks(SHAPE, circles) if circles else []:
        if (disk & left).any():
            out.append(disk & left)
        left &= ~disk
    return out


def connected(mask):
    """The parts of a mask that hang together."""
    numbers, count = label(mask)
    return [numbers == k for k in range(1, count + 1)]


# --- windows ------------------------------------------------------------------------------------


@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.integers(64, 1024),
    st.sampled_from([0.0, 0.1, 0.25, 0.5]),
)
def test_windows_cover_the_image_share_what_they_should_and_are_no_more_than_needed(
    shape, side, overlap
):
    found = np.array(windows(shape, side, overlap))
    for low, high, length in ((0, 2, shape[1]), (1, 3, shape[0])):
        spans = sorted(set(map(tuple, found[:, [low, high]].tolist())))
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert {b - a for a, b in spans} == {min(side, length)}
        shared = [a[1] - b[0] for a, b in pairwise(spans)]
        assert min(shared, default=side) >= round(side * overlap)
        assert len(spans) <= max(-(-(length - side) // (side - round(side * overlap))), 0) + 1


# --- objects ------------------------------------------------------------------------------------

circle = st.tuples(st.integers(0, 199), st.integers(0, 149), st.integers(1, 70))


@given(st.lists(circle, max_size=8), st.sampled_from([0.1, 0.25, 0.5]))
def test_objects_of_any_size_come_back_to_the_pixel(circles, overlap):
    """Those of one piece: of several, nothing in a strip may show that they belong together."""
    masks = [part for mask in apart(circles) for part in connected(mask)]
    places = windows(SHAPE, 64, overlap)
    assert same(put_together(masks, places=places), masks)


def test_of_an_object_in_parts_no_part_is_lost_that_its_largest_piece_does_not_show():
    masks = apart([(15, 81, 70), (0, 105, 70)])
    assert [len(connected(mask)) for mask in masks] == [1, 3]
    assert same(put_together(masks, places=windows(SHAPE, 64, 0.5)), masks)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 1.0]), st.booleans())
def test_whatever_windows_see_comes_out_whole(seed, seam_iou, with_whole):
    """Nothing fits together: no mask is empty, and each is from what some windows saw."""
    rng = np.random.default_rng(seed)
    seen = np.zeros(SHAPE, bool)

    def guessing(masks, place):
        x0, y0, x1, y1 = place
        circles = rng.uniform((x0, y0, 2), (x1, y1, 50), (4, 3))
        found = disks(SHAPE, circles)
        seen[y0:y1, x0:x1] |= found.any(0)[y0:y1, x0:x1]
        return cut_out(found, place)

    whole = Segmentation.from_masks(disks(SHAPE, [(100, 75, 60)])) if with_whole else None
    seg = put_together([], OPTIONS.replace(seam_iou=seam_iou), whole, find=guessing)
    if whole is not None:
        seen |= whole.mask(0)
    assert len(seg)
    assert (seg.areas > 0).all()
    assert not (seg.masks().any(0) & ~seen).any()
    tight = seg.tight_boxes()
    assert (tight[:, :2] >= seg.boxes[:, :2]).all()
    assert (tight[:, 2:] <= seg.boxes[:, 2:]).all()
    assert (np.diff(seg.scores) <= 0).all()


def test_pieces_that_lie_where_a_third_window_looks_best_are_kept():
    rng = np.random.default_rng(72)

    def corners(masks, place):
        """Blobs where four windows look."""
        x0, y0, x1, y1 = place
        x = rng.choice([x0 + 8, x1 - 8], 4) + rng.uniform(-6, 6, 4)
        y = rng.choice([y0 + 8, y1 - 8], 4) + rng.uniform(-6, 6, 4)
        return cut_out(disks(SHAPE, np.c_[x, y, rng.uniform(2, 8, 4)]), place)

    seg = put_together([], OPTIONS.replace(seam_iou=0.0), find=corners)
    assert (seg.areas > 0).all()


def test_an_object_across_many_windows_is_one_with_its_best_score_and_the_box_around_it():
    road = np.zeros(SHAPE, bool)
    road[70:80, 5:195] = True
    seg = put_together([road])
    assert same(seg, [road])
    assert seg.scores.tolist() == [1]
    assert seg.boxes.tolist() == [[5, 70, 195, 80]]


def test_a_ring_of_windows_closes():
    ring, hole = disks(SHAPE, [(100, 75, 70), (100, 75, 60)])
    assert same(put_together([ring & ~hole]), [ring & ~hole])


def test_what_lies_inside_an_object_stays_another_object():
    car, wheel, cell = disks(SHAPE, [(60, 60, 40), (60, 60, 10), (150, 60, 12)])
    nucleus = disks(SHAPE, [(150, 60, 4)])[0]
    masks = [car, wheel, cell, nucleus]
    assert same(put_together(masks), masks)


def test_two_objects_that_touch_at_a_seam_stay_two():
    left, right = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    left[20:40, 20:56] = True
    right[20:40, 56:100] = True
    assert same(put_together([left, right]), [left, right])


def test_a_fragment_goes_where_another_window_looks_better_and_stays_where_none_does():
    (x0, _, x1, _), (a0, _, a1, _) = PLACES[:2]
    assert x0 < a0 < x1 < a1
    in_the_strip, wide = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    in_the_strip[10:20, x1 - 5 : x1 + 20] = True
    wide[30:40, x1 - 40 : x1 + 20] = True

    def only_the_first(masks, place):
        return cut_out(masks if place == PLACES[0] else [], place)

    assert same(put_together([in_the_strip], find=only_the_first), [])
    seen = wide.copy()
    seen[:, x1:] = False
    assert same(put_together([wide], find=only_the_first), [seen])


def test_what_fills_a_window_is_an_object_only_if_its_borders_are_found():
    lake = disks(SHAPE, [(100, 75, 70)])[0]
    assert any(lake[y0:y1, x0:x1].all() for x0, y0, x1, y1 in PLACES)
    assert same(put_together([lake]), [lake])
    boat = disks(SHAPE, [(100, 75, 5)])[0]

    def ground(masks, place):
        """In some windows all is ground."""
        every = np.ones(SHAPE, bool)
        return cut_out([*masks, every] if place in PLACES[::3] else masks, place)

    assert same(put_together([boat], find=ground), [boat])


def test_of_two_masks_of_one_object_each_gives_the_pixels_that_lie_in_its_middle():
    (_, _, x1, _), (a0, _, _, _) = PLACES[:2]
    middle = (a0 + x1) // 2
    road = np.zeros(SHAPE, bool)
    road[20:30, 10:90] = True

    def ragged(masks, place):
        """Sees another outline near the borders of windows, where it does not belong."""
        seen = road.copy()
        if place == PLACES[0]:
            seen[18:20, x1 - 3 : x1] = True
        if place == PLACES[1]:
            seen[18:20, a0 : a0 + 3] = True
        return cut_out([seen] if place in PLACES[:2] else [], place)

    assert a0 + 3 < middle < x1 - 3
    assert same(put_together([road], find=ragged), [road])


def bar(*rows_and_columns):
    y0, y1, x0, x1 = rows_and_columns
    out = np.zeros(SHAPE, bool)
    out[y0:y1, x0:x1] = True
    return out


def in_two_windows(first, second):
    """What is seen in the first two windows."""

    def find(masks, place):
        seen = {PLACES[0]: first, PLACES[1]: second}.get(place, [])
        return cut_out(seen, place)

    return find


def test_the_best_pairs_belong_together_whatever_their_order():
    thick, thin = bar(20, 30, 10, 90), bar(20, 26, 10, 90)
    for first, second in (([thick, thin],) * 2, ([thick, thin], [thin, thick])):
        assert same(put_together([], find=in_two_windows(first, second)), [thick, thin])


def test_where_many_cover_all_of_the_strip_those_of_like_size_belong_together():
    large, small = bar(10, 50, 5, 105), bar(10, 50, 40, 70)
    for first, second in (([large, small],) * 2, ([large, small], [small, large])):
        assert same(put_together([], find=in_two_windows(first, second)), [large, small])


def test_two_of_one_window_are_never_one_object():
    thick, thin, between = (bar(20, y, 46, 60) for y in (30, 27, 29))
    seg = put_together([], find=in_two_windows([thick, thin], [between]))
    assert same(seg, [thick, thin])


def test_a_fragment_of_what_was_found_goes():
    whole, fragment = bar(20, 30, 10, 60), bar(20, 27, 10, 90)
    seen = in_two_windows([fragment, whole], [whole])
    assert same(put_together([], find=seen), [whole])


def test_an_object_has_the_best_score_of_its_pieces():

    def surer_to_the_right(masks, place):
        seg = cut_out(masks, place)
        runs = [seg.runs(i) for i in range(len(seg))]
        return Segmentation.from_runs(runs, seg.shape, [0.2 + place[0] / 1000] * len(seg))

    (_, _, x1, _), (a0, _, _, _) = PLACES[:2]
    whole_in_the_first = bar(20, 30, 10, a0 + 8)
    assert a0 + 8 < x1 - 3
    for object, last in ((bar(70, 80, 5, 195), PLACES[-1]), (whole_in_the_first, PLACES[1])):
        seg = put_together([object], find=surer_to_the_right)
        assert same(seg, [object])
        assert seg.scores.tolist() == pytest.approx([0.2 + last[0] / 1000])


def test_what_goes_on_in_a_window_across_the_corner_does_not_go_on():
    shape = (100, 100)
    places = windows(shape, 64, 0.25)
    assert len(places) == 4
    mosaic = Mosaic(shape, places, OPTIONS)
    for k in range(4):
        ground = np.ones((1 if k in (0, 3) else 0, 64, 64), bool)
        mosaic.add(Segmentation.from_masks(ground))
    assert len(mosaic.instances()) == 0


def test_how_much_masks_must_agree_is_the_users_choice():
    thick, thin = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    thick[20:30, 10:90], thin[20:26, 10:90] = True, True

    def differing(masks, place):
        seen = {PLACES[0]: [thick], PLACES[1]: [thin]}.get(place, [])
        return cut_out(seen, place)

    for seam_iou, count in ((0.59, 1), (0.61, 2)):
        options = OPTIONS.replace(seam_iou=seam_iou)
        assert len(put_together([], options, find=differing)) == count


def test_the_whole_image_adds_what_no_window_saw_and_takes_its_fragments_away():
    lake, boat, tree = disks(SHAPE, [(100, 75, 65), (100, 75, 5), (20, 20, 6)])

    def blind(masks, place):
        """Finds of the lake only corners, each its own way, so that they do not fit together."""
        x0, y0 = place[:2]
        stripes = lake.copy()
        stripes[:, (x0 // 7) % 5 :: 5] = False
        stripes[(y0 // 7) % 5 :: 3] = False
        return cut_out([stripes, boat, tree], place)

    options = OPTIONS.replace(seam_iou=1.0)
    whole = Segmentation.from_masks([lake, boat, tree], [0.5, 0.9, 0.9])
    assert len(put_together([], options, find=blind)) > 3
    seg = put_together([], options, whole, find=blind)
    assert same(seg, [lake, boat, tree])
    assert seg.scores.min() == 0.5


def test_what_a_window_could_have_seen_is_not_taken_from_the_whole_image():
    lake, boat = disks(SHAPE, [(100, 75, 60), (60, 60, 5)])
    seg = put_together([], whole=Segmentation.from_masks([lake, boat]))
    assert same(seg, [lake])


def test_what_windows_found_is_not_found_again_in_the_whole_image():
    road = np.zeros(SHAPE, bool)
    road[70:80, 5:195] = True
    coarse = np.zeros(SHAPE, bool)
    coarse[68:80, 5:195] = True
    assert same(put_together([road], whole=Segmentation.from_masks([coarse])), [road])


def test_no_instance_is_no_instance():
    seg = put_together([])
    assert len(seg) == 0
    assert seg.shape == SHAPE


def test_masks_without_a_pixel_are_left_out():
    def empty_ones(masks, place):
        x0, y0, x1, y1 = place
        empty = Segmentation.from_runs([R.EMPTY] * 2, (y1 - y0, x1 - x0))
        return Segmentation.concatenate([empty, cut_out(masks, place)])

    masks = apart([(60, 60, 20), (150, 90, 30)])
    assert same(put_together(masks, find=empty_ones), masks)


def test_a_window_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"window 0 is \(64, 64\), its masks \(32, 32\)"):
        Mosaic(SHAPE, PLACES, OPTIONS).add(Segmentation.empty((32, 32)))


# --- the network --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coins_twice(coins):
    """Two images of coins beside one another, at twice their size."""
    return np.repeat(np.repeat(np.concatenate([coins, coins[:, ::-1]], axis=1), 2, 0), 2, 1)


@pytest.mark.filterwarnings("ignore:.*reg_max 16")
def test_windows_find_what_the_whole_image_shows_at_the_same_scale(model: FastSAM, coins_twice):
    side = -(-max(coins_twice.shape) // 32) * 32
    once = model.segment(coins_twice, imgsz=side, conf=0.25)
    tiled = model.segment_tiled(coins_twice, conf=0.25, whole=False)
    assert len(once) > 30
    masks = [once.runs(i) for i in range(len(once))]
    best = [R.ious(m, [tiled.runs(i) for i in range(len(tiled))]).max() for m in masks]
    assert np.mean(np.array(best) > 0.8) > 0.9
    assert len(tiled) < 1.3 * len(once)


def test_no_two_boxes_overlap_more_than_the_options_allow(model: FastSAM, coins_twice):
    seg = model.segment_tiled(coins_twice, conf=0.05, iou=0.1, seam_iou=1.0)
    assert len(seg) > 40
    overlap = box_iou(seg.boxes, seg.boxes)
    np.fill_diagonal(overlap, 0)
    assert overlap.max() <= 0.1


def test_an_image_no_larger_than_a_window_is_segmented_as_ever(model: FastSAM, coins):
    once, tiled = model.segment(coins, conf=0.25), model.segment_tiled(coins, conf=0.25)
    assert tiled.rles() == once.rles()
    assert tiled.stability.tolist() == once.stability.tolist()


def test_only_windows_are_read(model: FastSAM):
    class Recording:
        shape, dtype, ndim = (700, 900), np.dtype(np.uint8), 2

        def __init__(self):
            self.read = []

        def __getitem__(self, index):
            y, x = index
            self.read.append((x.start, y.start, x.stop, y.stop))
            return np.zeros((y.stop - y.start, x.stop - x.start), np.uint8)

    raster = Recording()
    seg = model.segment_tiled(raster, tile=256, imgsz=64, whole=False)
    assert seg.shape == (700, 900)
    places = windows((700, 900), 256, 0.25)
    assert raster.read[-len(places) :] == places
    assert set(raster.read) - set(places) == {(0, 0, 32, 32)}
