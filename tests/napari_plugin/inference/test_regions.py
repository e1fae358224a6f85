"""Which windows of which slices are segmented."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from fastsam_plugins.options import FilterOptions, PromptOptions, ReadOptions
from napari_plugin.inference import regions
from napari_plugin.inference.layer_pixels import Pixels
from napari_plugin.inference.regions import RegionOptions
from napari_plugin.inference.result_cache import ResultCache
from napari_plugin.inference.worker import Failure
from napari_plugin.model.plane import Plane
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.saving import ImageRecord, Saved
from tests.napari_plugin.conftest import SHAPE

STACK = (2, 5, 60, 100)


def jobs(slices, key=(1, 3), in_view=None):
    return regions.jobs(RegionOptions(slices=slices), Plane(2, 3, 4), STACK, key, in_view)


def test_the_slice_that_is_shown_unless_others_are_named():
    whole = (0, 0, 100, 60)
    assert jobs("") == (((1, 3), whole),)
    assert [key for key, _ in jobs(" 0-2, 4,1 ")] == [(1, 0), (1, 1), (1, 2), (1, 4)]
    assert [key for key, _ in jobs("all")] == list(np.ndindex(2, 5))
    flat = regions.jobs(RegionOptions(slices="7"), Plane(0, 1, 2), (60, 100), (), None)
    assert flat == (((), whole),), "there is one slice"


def test_the_field_of_view_is_taken_of_every_slice():
    assert jobs("0,1", in_view=(3, 4, 50, 60)) == (
        ((1, 0), (3, 4, 50, 60)),
        ((1, 1), (3, 4, 50, 60)),
    )


def test_axes_may_come_in_any_order():
    plane = Plane(0, 2, 3)  # slices are counted in the middle
    assert regions.jobs(RegionOptions(slices="1"), plane, (60, 5, 100), (3,), None) == (
        ((1,), (0, 0, 100, 60)),
    )


@pytest.mark.parametrize("slices", ["5", "3-1", "-1", "one", "1;2", "0-9"])
def test_slices_that_are_not_there_are_refused_in_one_line(slices):
    with pytest.raises(ValueError, match=r"slices (must be numbers|are counted from 0 to 4)"):
        jobs(slices)


PIXELS = Pixels([np.zeros((4, *SHAPE), np.uint8)], Plane(1, 2, 3), False, ReadOptions())


def test_what_was_segmented_before_comes_out_of_the_cache_or_not_at_all(seg):
    cache, whole = ResultCache(), (0, 0, SHAPE[1], SHAPE[0])
    cache.put("kept", seg)
    record = ImageRecord("it", None, (4, *SHAPE), (1, 2))
    segmented = {
        (0,): ("kept", whole),
        (1,): ("gone", whole),
        (2,): ("kept", (0, 0, 10, 10)),  # of something else
    }
    saved = Saved(record, segmented=segmented)
    few = FilterOptions(max_area=300)
    (found,) = regions.cached_slices(saved, cache, few, PIXELS, threading.Event())
    assert (found.key, found.instances.seg, found.instances.filters) == ((0,), seg, few)
    assert set(np.unique(found.picture)) == {0, *np.flatnonzero(seg.areas <= 300) + 1}
    stop = threading.Event()
    stop.set()
    assert list(regions.cached_slices(saved, cache, few, PIXELS, stop)) == []


class Broken:
    """An array whose file has gone."""

    shape, dtype = (303, 384), np.dtype(np.uint8)

    def __getitem__(self, index):
        raise OSError("no such file")


def test_what_comes_from_the_disk_predicts_again(model, coins, tmp_path):
    """The picture is not kept with it."""
    ResultCache(tmp_path).put("kept", model.segment(coins, conf=0.999))
    whole, (height, width) = (0, 0, 384, 303), coins.shape[:2]
    record = ImageRecord("coins", None, (height, width), (0, 1))
    saved = Saved(record, segmented={(): ("kept", whole)})

    def slices(array):
        pixels = Pixels([array], Plane(0, 1, 2), False, ReadOptions())
        again = ResultCache(tmp_path)
        return list(regions.cached_slices(saved, again, FilterOptions(), pixels, threading.Event()))

    (found,) = slices(coins[..., 0])
    options = PromptOptions(points_mode="best", predict=True)
    click = Prompts(((271.5, 120.5),), (1,))
    assert found.instances.answer(click, options).seg.contains([(271, 120)]).tolist() == [[True]]
    found, failure = slices(Broken())
    assert failure == Failure("clicks choose among what was found: no such file")
    assert len(found.instances.answer(click, options).seg) == 0, "and nothing was found there"
