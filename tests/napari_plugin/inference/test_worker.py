"""What a thread does: read, look into the cache, ask the network, and stop when told."""

from __future__ import annotations

import threading

import numpy as np

from fastsam_plugins.options import (
    FilterOptions,
)
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.inference.network import Network
from napari_plugin.inference.result_cache import ResultCache
from napari_plugin.inference.worker import (
    Failure,
    Improved,
    SegmentedSlice,
    find_alike,
    improve_masks,
    segment_slices,
    stride,
)
from napari_plugin.model.slice_instances import SliceInstances
from tests.napari_plugin.conftest import scene_of
from tests.napari_plugin.inference.requests import in_windows, request


def test_what_was_found_in_windows_is_found_again_by_its_pixels(network, coins):
    large, results = np.tile(coins, (2, 2, 1)), ResultCache()
    asked = in_windows(large)
    _, first = segment_slices(asked, network, results, threading.Event())
    nobody = Network()
    _, again = segment_slices(in_windows(large.copy()), nobody, results, threading.Event())
    assert again.instances.seg is first.instances.seg
    assert nobody._process is None
    from napari_plugin.inference.result_cache import digest

    old = digest(large, large.shape[:2], "FastSAM-n", asked.options, asked.tiling)
    assert first.instances.digest == old


def test_work_tells_how_far_it_is_and_keeps_results(network, coins, tmp_path):
    results = ResultCache(tmp_path)
    height, width = coins.shape[:2]
    asked = request(coins, (((), (0, 0, width, height)), ((), (50, 40, 300, 250))))
    said = list(segment_slices(asked, network, results, threading.Event()))
    assert len(said) == asked.steps == 4
    whole, part = (s for s in said if isinstance(s, SegmentedSlice))
    assert whole.picture.shape == (height, width)
    assert part.picture.shape == (210, 250)
    assert set(np.unique(whole.picture)) <= set(range(len(whole.instances.seg) + 1))
    gone = Network()  # one that would have to be started
    again = list(segment_slices(asked, gone, ResultCache(tmp_path), threading.Event()))
    assert gone._process is None, "what was segmented once is not segmented again"
    assert np.array_equal(again[-1].picture, part.picture)
    assert again[-1].instances.digest == part.instances.digest


def test_work_ends_with_what_went_wrong(network, coins):
    *_, last = segment_slices(
        request(coins, model="nothing"), network, ResultCache(), threading.Event()
    )
    assert isinstance(last, Failure)
    assert last.message.startswith("no weights at nothing")
    empty = request(np.zeros((0, 0, 3), np.uint8))
    (only,) = segment_slices(empty, network, ResultCache(), threading.Event())
    assert "empty" in only.message


def test_work_that_is_stopped_says_nothing_more(network, coins):
    stop = threading.Event()
    stop.set()
    assert list(segment_slices(request(coins), network, ResultCache(), stop)) == []


def test_a_picture_shows_what_the_filters_let_through(seg):
    from napari_plugin.inference.worker import picture

    scene = scene_of(seg)
    assert np.array_equal(picture(scene), seg.labels())
    few = picture(scene.filtered(FilterOptions(max_area=600)))
    assert set(np.unique(few)) == {0, 2, 3, 4}, "under the numbers that they have among all"
    assert (few[seg.mask(1)] == 2).all()


def test_pictures_of_large_windows_have_fewer_points():
    assert [stride((0, 0, n, 10)) for n in (10, 2048, 2049, 4097)] == [1, 1, 2, 3]


def test_better_masks_are_made_one_after_another_until_it_is_told_to_stop(model, coins):
    seg = model.segment(coins, conf=0.25)
    rough = [tuple(seg.runs(i).ravel().tolist()) for i in range(3)]
    scene = SliceInstances(seg, (0, 0, 384, 303), (303, 384))
    improved, stop = Improved((), scene, rough), threading.Event()
    told = list(improve_masks(improved, stop))
    assert told == [None, None, None, improved]
    assert set(scene.improved) == set(rough)
    stop.set()
    assert list(improve_masks(improved, stop)) == []
    (failure,) = improve_masks(
        Improved((), SliceInstances(Segmentation.empty((303, 384)), (0, 0, 384, 303), (303, 384)),
                 rough), threading.Event(),
    )  # fmt: skip
    assert failure.message.startswith("predict needs what the network made")
    assert "\n" not in failure.message


def test_likeness_is_told_or_why_there_is_none(model, coins):
    seg = model.segment(coins, conf=0.25)
    scene, stop = SliceInstances(seg, (0, 0, 384, 303), (303, 384)), threading.Event()
    (found,) = find_alike((), scene, seg[2], stop)
    assert np.array_equal(found.cosines, seg.likeness(2))
    (failure,) = find_alike((), scene, seg[:0], stop)
    assert failure == Failure("the example has no instance: give one at least")
    stop.set()
    assert list(find_alike((), scene, seg[2], stop)) == []
