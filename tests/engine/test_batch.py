"""batch.py: many images, of which a bad one costs only itself."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from fastsam_plugins import FastSAM, ImageError, SegmentOptions, TileOptions, WindowedImage, io
from fastsam_plugins.batch import read_ahead, segment_images
from fastsam_plugins.options import LimitOptions

SMALL = SegmentOptions(imgsz=160, conf=0.2)


@pytest.fixture
def files(tmp_path, coins):
    """Five images of several sizes, of which the first, the third and the last are none."""
    paths = [tmp_path / f"{k}.png" for k in range(5)]
    for k, path in enumerate(paths):
        Image.fromarray(coins[:, : 380 - 40 * k]).save(path)
    for k in (0, 2, 4):
        paths[k].write_bytes(paths[k].read_bytes()[:900])
    return paths


@pytest.mark.parametrize("batch", [1, 2, 9])
@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("tiling", [None, TileOptions(tile=200)], ids=["whole", "windows"])
def test_every_item_has_an_outcome_in_order(files, model, batch, ahead, tiling):
    read = io.open_raster if tiling else io.read_image
    outcomes = list(segment_images(model, files, read, SMALL, tiling, batch, ahead))
    assert [o.item for o in outcomes] == files
    for k, outcome in enumerate(outcomes):
        if k in (0, 2, 4):
            assert outcome.segmentation is None
            assert str(files[k]) in outcome.error
            continue
        assert not outcome.error
        image = io.read_image(files[k])
        alone = model.segment_tiled(image, SMALL, tiling) if tiling else model.segment(image, SMALL)
        assert outcome.segmentation.rles() == alone.rles()
        assert len(alone)


def test_no_network_is_made_if_nothing_can_be_read(files):
    outcomes = segment_images(
        lambda: pytest.fail("it was made"), [files[0], files[2]], io.read_image
    )
    assert [bool(o.error) for o in outcomes] == [True, True]


def test_a_file_that_is_damaged_further_down_costs_itself_only(model, coins):
    def broken(window):
        if window[1] > 50:
            raise ImageError("the rest is missing")
        return coins[window[1] : window[3], window[0] : window[2]]

    images = [coins, WindowedImage(coins, read=broken), coins]
    outcomes = list(
        segment_images(model, range(3), images.__getitem__, SMALL, TileOptions(tile=200))
    )
    assert [o.error for o in outcomes] == ["", "the rest is missing", ""]
    assert len(outcomes[0].segmentation) == len(outcomes[2].segmentation) > 0


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("tiling", [None, TileOptions(tile=160)], ids=["whole", "windows"])
def test_what_is_more_than_limits_allow_costs_itself_only(coins, batch, tiling):
    limits = LimitOptions(max_memory=7, max_windows=9)
    model = FastSAM("FastSAM-n", "cpu", "torch", limits=limits)
    long, small = np.zeros((2, 80_000), np.uint8), coins[:150, :200]
    images = [long, small, np.full((9, 9), np.nan), small, long, long]
    outcomes = list(segment_images(model, range(6), images.__getitem__, SMALL, tiling, batch))
    assert [bool(o.error) for o in outcomes] == [True, False, True, False, True, True]
    assert ("max_windows is 9" if tiling else "max_memory is 7") in outcomes[0].error
    assert outcomes[1].segmentation.rles() == outcomes[3].segmentation.rles() != []


def test_what_is_no_fault_of_an_image_is_raised(model):
    def read(item):
        raise KeyError(item)

    with pytest.raises(KeyError):
        list(segment_images(model, ["a"], read))


def test_items_made_ahead_come_in_order_and_errors_arrive():
    assert list(read_ahead(iter(range(50)), 3)) == list(range(50))

    def broken():
        yield 1
        raise RuntimeError("no more")

    ahead = read_ahead(broken(), 3)
    assert next(ahead) == 1
    with pytest.raises(RuntimeError, match="no more"):
        next(ahead)


def test_who_stops_asking_stops_the_work():
    made = []

    def numbers():
        for k in range(10**9):
            made.append(k)
            yield k

    ahead = read_ahead(numbers(), 2)
    assert next(ahead) == 0
    ahead.close()
    count = len(made)
    time.sleep(0.5)
    assert len(made) <= count + 3


def test_text_and_overlay_of_windows_read_what_they_look_at(model, coins):
    """An image in windows is never asked for as a whole."""
    large = np.tile(coins, (8, 8, 1))
    asked = []

    def read(window):
        asked.append((window[2] - window[0]) * (window[3] - window[1]))
        return large[window[1] : window[3], window[0] : window[2]]

    seg = model.segment_tiled(WindowedImage(large, read=read), SMALL, tile=800, whole=False)
    assert seg.image is not None
    part = seg[:3]
    from fastsam_plugins.io.overlay import overlay, overlay_strips
    from fastsam_plugins.text.crops import cut_out

    strips = np.concatenate(list(overlay_strips(seg.image, part)))
    crops = [cut_out(seg.image, part.runs(i)) for i in range(3)]
    assert max(asked) <= large.shape[0] * large.shape[1] / 4
    assert np.array_equal(strips, overlay(large, part))
    for i, crop in enumerate(crops):
        assert np.array_equal(crop, cut_out(large, part.runs(i)))
