"""OpenVINO: the same side by side, nearly the same in half precision, and it can be stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastsam_plugins import FastSAM
from fastsam_plugins.masks import runs as R
from fastsam_plugins.network import backends, openvino_backend, ultralytics_guard
from fastsam_plugins.network.interrupting import Interrupted

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def half():
    """FastSAM-n in the half precision that this processor computes in."""
    kinds = [kind for _, kind in backends.possible("openvino", "auto", "cpu") if kind != "f32"]
    if not kinds:
        pytest.skip("this processor computes in no half precision")
    return FastSAM("FastSAM-n", "cpu", "openvino", precision=kinds[0])


def test_half_precision_gives_nearly_the_same_masks(model, half, coins):
    plain = model.segment(coins, imgsz=384, conf=0.25)
    other = half.segment(coins, imgsz=384, conf=0.1)
    masks = [other.runs(j) for j in range(len(other))]
    ious = [R.ious(plain.runs(i), masks).max() for i in range(len(plain))]
    assert len(ious) > 15
    assert np.mean(ious) > 0.985
    assert half.backend.label.startswith("OpenVINO ")


def test_images_side_by_side_are_those_one_after_another(half, coins):
    images = [coins, coins[:150], coins[::-1], coins[:, ::-1], coins[:200, :200]]
    together = list(half.segment_many(images, imgsz=320, conf=0.2))
    for image, seg in zip(images, together, strict=True):
        alone = half.segment(image, imgsz=320, conf=0.2)
        assert len(alone) == len(seg) > 3
        assert seg.boxes == pytest.approx(alone.boxes, abs=0.5)


def test_it_stops_in_the_middle_of_an_image_and_works_again(half):
    """Inputs that take a while; asked to stop once it has begun."""
    image = np.random.default_rng(0).integers(0, 255, (960, 960, 3), np.uint8)
    stop, ended = threading.Event(), []

    def work():
        try:
            with half.interruptible(stop.is_set):
                begun.set()
                for _ in range(200):
                    half.segment(image, imgsz=960)
        except Interrupted:
            ended.append(True)

    begun = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(60)
    stop.set()
    thread.join(60)
    assert ended == [True]
    assert len(half.segment(image[:64, :64], imgsz=64)) >= 0


def test_ctrl_c_in_the_middle_of_an_image_leaves_it_working(half, coins):
    """A press falls into one of the looks at whether to stop."""
    looks = []

    def pressed():
        looks.append(1)
        if len(looks) > 4:  # once it has begun
            raise KeyboardInterrupt
        return False

    image = np.random.default_rng(0).integers(0, 255, (960, 960, 3), np.uint8)
    with pytest.raises(KeyboardInterrupt), half.interruptible(pressed):
        list(half.segment_many([image] * 20, imgsz=2048, batch=1))
    assert len(half.segment(coins, imgsz=320, conf=0.2)) > 3


@pytest.mark.parametrize(
    ("said", "threads"),
    [("1", 1), ("1,2", 1), (" 1 ", 1), ("0", 0), ("", 0), ("many", 0), ("-2", 0),
     ("99999999999999999999", os.cpu_count())],
)  # fmt: skip
def test_what_a_person_says_of_threads_holds(monkeypatch, said, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert ultralytics_guard.SegmentationModel
    for first, then in ((True, threads), (False, threads if threads != 1 else 0)):
        monkeypatch.setattr(ultralytics_guard, "_entered", first)  # else a person's own program
        assert openvino_backend._allowed() == then


SIGNALLED = """
import gc, os, signal, threading
from fastsam_plugins import FastSAM

seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
held = [FastSAM("FastSAM-n", "cpu", "openvino", precision="f32")]
ending = threading.Thread(target=held.clear)  # the last of it ends elsewhere
ending.start()
ending.join()
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
print(seen)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no such signals here")
def test_signals_are_handled_after_a_network_is_gone():
    """OpenVINO took away the stack for signals that it had given the main thread: Ctrl-C, or the
    end of a data loader's process, was a segmentation fault."""
    run = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "[1]\n"), run.stderr
