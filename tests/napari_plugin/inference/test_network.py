"""The network's process: real, and stopped, and killed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastsam_plugins.options import (
    LimitOptions,
    ReadOptions,
    SegmentOptions,
    TileOptions,
)
from napari_plugin.inference.layer_pixels import Pixels
from napari_plugin.inference.network import NetworkError, Stopped
from napari_plugin.inference.result_cache import ResultCache
from napari_plugin.inference.worker import (
    Failure,
    segment_slices,
)
from napari_plugin.model.plane import Plane
from tests.napari_plugin.inference.requests import NAME, QUICK, in_windows, request


def test_it_answers_as_the_network_in_this_process_does(network, model, coins):
    found = network.segment(coins, coins.shape[:2], NAME, QUICK, threading.Event())
    expected = model.segment(coins, QUICK)
    assert len(found) == len(expected) > 10
    assert np.array_equal(found.labels(), expected.labels())


def test_it_looks_in_windows_as_the_network_in_this_process_does(network, model, coins):
    large, tiling = np.tile(coins, (2, 2, 1)), TileOptions(tile=320, overlap=0.3)
    asked = request(large, options=QUICK.replace(imgsz=160))
    asked = dataclasses.replace(asked, tiling=tiling)
    _, found = segment_slices(asked, network, ResultCache(), threading.Event())
    expected = model.segment_tiled(large, QUICK.replace(imgsz=160), tiling)
    assert len(found.instances.seg) == len(expected) > 40
    assert np.array_equal(found.instances.seg.labels(), expected.labels())


class Watched:
    """An array that says how much was read of it at once, and may fail."""

    def __init__(self, array, bad=None):
        self.array, self.bad, self.most, self.reads = array, bad, 0, 0
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.stop = None

    def __getitem__(self, index):
        found = self.array[index]
        self.most, self.reads = max(self.most, found.size), self.reads + 1
        if self.reads == self.bad:
            raise KeyError("no block 7\nand more")
        if self.stop is not None and self.reads > 12:
            self.stop.set()
        return found


@pytest.mark.parametrize("kind", ["gray", "rgb", "nan", "two levels"])
def test_in_windows_an_image_is_never_read_whole(monkeypatch, network, model, coins, kind):
    from napari_plugin.inference import result_cache

    monkeypatch.setattr(result_cache, "ROWS", 100_000)
    large = np.tile(coins, (2, 2, 1))
    image = large if kind == "rgb" else large[:, :, 0]
    shown = large
    if kind == "nan":
        image = image.astype(np.float32)
        image[:50, :50] = np.nan
        shown = large.copy()
        shown[:50, :50] = 0
    watched = Watched(image)
    asked = in_windows(watched, whole=False)
    options = ReadOptions(contrast="fixed", low=0, high=255) if kind == "nan" else ReadOptions()
    levels = [watched, image[::4, ::4]] if kind == "two levels" else [watched]
    asked = dataclasses.replace(
        asked, pixels=Pixels(levels, Plane(0, 1, 2), kind == "rgb", options)
    )
    _, found = segment_slices(asked, network, ResultCache(), threading.Event())
    expected = model.segment_tiled(shown, asked.options, asked.tiling)
    assert len(found.instances.seg) == len(expected) > 40
    assert np.array_equal(found.instances.seg.labels(), expected.labels())
    assert watched.most < 0.4 * image.size


def test_a_window_that_cannot_be_read_is_one_line_and_the_process_goes_on(network, coins):
    large = Watched(np.tile(coins, (2, 2, 1)), bad=9)
    *_, answer = segment_slices(in_windows(large), network, ResultCache(), threading.Event())
    assert isinstance(answer, Failure)
    assert answer.message == "the image cannot be read: 'no block 7\\nand more'"
    process = network._process
    assert len(network.segment(coins, coins.shape[:2], NAME, QUICK, threading.Event())) > 10
    assert network._process is process


def test_it_stops_between_windows_and_works_again(network, coins):
    large = Watched(np.tile(coins, (3, 3, 1)))
    large.stop = threading.Event()
    assert [
        a for a in segment_slices(in_windows(large), network, ResultCache(), large.stop) if a
    ] == []
    process = network._process
    assert len(network.segment(coins, coins.shape[:2], NAME, QUICK, threading.Event())) > 10
    assert network._process is process, "the same one: nothing was loaded again"


def test_it_stops_in_the_middle_and_works_again(network, coins, monkeypatch):
    """That it stops within one image is tested of the engine; here, that it is the same process."""
    monkeypatch.setattr("napari_plugin.inference.network.PATIENCE", 120.0)  # of a busy machine
    network.segment(coins, coins.shape[:2], NAME, QUICK, threading.Event())
    process = network._process
    stop = threading.Event()
    threading.Timer(0.7, stop.set).start()
    large = np.tile(coins, (4, 4, 1))
    with pytest.raises(Stopped):
        network.segment(large, large.shape[:2], NAME, SegmentOptions(imgsz=4096), stop)
    assert len(network.segment(coins, coins.shape[:2], NAME, QUICK, threading.Event())) > 10
    assert network._process is process, "the same one: nothing was loaded again"


def test_what_is_wrong_is_one_line(network, coins):
    for name, message in (
        (("nothing", "cpu", "auto", "auto"), "no weights at nothing"),
        (("FastSAM-n", "warp", "auto", "auto"), "device must be"),
        (("FastSAM-n", "cpu", "steam", "auto"), "backend must be one of"),
        (("FastSAM-n", "cpu", "torch", "f16"), "nothing here runs a network in f16"),
    ):
        with pytest.raises(NetworkError, match=message) as error:
            network.segment(coins, coins.shape[:2], name, QUICK, threading.Event())
        assert "\n" not in str(error.value)


def test_limits_are_the_panels(network, coins):
    large = dataclasses.replace(
        request(coins, options=SegmentOptions(imgsz=640)), limits=LimitOptions(max_memory=5)
    )
    *_, failure = segment_slices(large, network, ResultCache(), threading.Event())
    assert "max_memory is 5 MB" in failure.message
    assert len(network.segment(coins, coins.shape[:2], NAME, QUICK, threading.Event())) > 10


def test_a_process_that_was_killed_is_told_and_replaced(network, coins):
    network.segment(coins, coins.shape[:2], NAME, QUICK, threading.Event())
    threading.Timer(0.5, network._process.kill).start()
    with pytest.raises(NetworkError, match="process ended"):
        network.segment(coins, coins.shape[:2], NAME, SegmentOptions(imgsz=4096), threading.Event())
    assert len(network.segment(coins, coins.shape[:2], NAME, QUICK, threading.Event())) > 10


def test_it_ends_with_its_standard_input():
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_plugin.inference.serve"], stdin=subprocess.PIPE
    )
    process.stdin.close()
    assert process.wait(60) == 0


def test_this_process_needs_no_torch():
    """Importing it would hold the window up, and crash beside software OpenGL."""
    code = (
        "import sys, napari_plugin.inference.worker, napari_plugin.inference.regions\n"
        "import napari_plugin.model.saving\n"
        "from fastsam_plugins.io import npz\n"
        "assert not {'torch', 'ultralytics', 'triton'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
