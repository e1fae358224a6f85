"""Images side by side: the same answers, in order, and PyTorch's threads as they were."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from fastsam_plugins import read_image
from fastsam_plugins.network.thread_pool import Workers
from fastsam_plugins.network.torch_backend import Torch
from fastsam_plugins.paths import SAMPLES


def pool():
    return Workers(lambda: 2, lambda: None)


def test_results_come_in_the_order_of_items_and_errors_reach_whoever_asks():
    workers = pool()
    assert list(workers.ahead(lambda k: k * k, range(50), 7)) == [k * k for k in range(50)]
    with pytest.raises(ZeroDivisionError):
        list(workers.ahead(lambda k: 1 // k, [1, 0], 2))


def test_items_are_taken_as_results_are_and_never_more_than_that():
    taken = []

    def items():
        for k in range(20):
            taken.append(k)
            yield k

    results = pool().ahead(lambda k: k, items(), 4)
    assert next(results) == 0
    assert len(taken) == 4
    assert next(results) == 1
    assert len(taken) == 5  # one more, not a batch: nobody waits for the slowest of a batch
    results.close()
    assert len(taken) == 5


def test_each_worker_uses_one_thread_and_nobody_else_loses_any():
    before = torch.get_num_threads()
    backend = Torch(torch.nn.Identity(), "cpu")
    count = backend.count()
    workers = Workers(backend.count, backend.alone)
    meet = threading.Barrier(count)

    def threads(_: int) -> int:
        meet.wait(10)  # in all workers at once
        torch.ones(1 << 16).sum()
        return torch.get_num_threads()

    assert list(workers.ahead(threads, range(count), count)) == [1] * count
    assert torch.get_num_threads() == before
    later = []
    new = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert later == [before]


def test_images_of_different_sizes_do_not_disturb_each_other(model):
    image = read_image(SAMPLES / "coffee.jpg")
    images = [image[: 100 + 40 * k, : 400 - 30 * k] for k in range(8)] * 2
    alone = [model.segment(i, imgsz=256, conf=0.02) for i in images]
    together = list(model.segment_many(images, imgsz=256, conf=0.02, batch=16))
    assert sum(map(len, alone)) > 100
    for one, other in zip(alone, together, strict=True):
        assert len(one) == len(other)
        assert one.boxes == pytest.approx(other.boxes, abs=0.01)
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
        assert one.areas == pytest.approx(other.areas, abs=2)


def test_several_threads_may_ask_one_network(model):
    image = read_image(SAMPLES / "coins.png")
    sizes = [192, 224, 256, 320] * 4
    alone = {s: len(model.segment(image, imgsz=s, conf=0.05)) for s in set(sizes)}
    found = [0] * len(sizes)

    def ask(k: int) -> None:
        found[k] = len(model.segment(image, imgsz=sizes[k], conf=0.05))

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(len(sizes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone[s] for s in sizes]
    assert np.ptp(found) > 0


FORKED = """
import multiprocessing, sys
import numpy as np
import torch
from fastsam_plugins import FastSAM

def answers(model, images):
    return [seg.rles() for seg in model.segment_many(images, imgsz=128, conf=0.05, batch=3)]

def child(model, images, queue):
    queue.put((answers(model, images), torch.get_num_threads()))

class Images(torch.utils.data.Dataset):
    def __len__(self):
        return len(images)
    def __getitem__(self, k):
        return model.segment(images[k], imgsz=128, conf=0.05).rles()

torch.set_num_threads(2)
rng = np.random.default_rng(0)
images = [np.kron(rng.integers(0, 255, (8, 8, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
          for _ in range(5)]
model = FastSAM("FastSAM-n", "cpu", sys.argv[1])
expected = answers(model, images)
assert sum(map(len, expected)) > 3
fork = multiprocessing.get_context("fork")
queue = fork.Queue()
process = fork.Process(target=child, args=(model, images, queue))
process.start()
found, threads = queue.get(timeout=60)
process.join(60)
assert process.exitcode == 0
assert found == expected
assert threads == 1
loader = torch.utils.data.DataLoader(
    Images(), num_workers=2, collate_fn=list, multiprocessing_context="fork", timeout=60
)
assert [rles for rles, in loader] == expected
assert answers(model, images) == expected and torch.get_num_threads() == 2, "as before"
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
@pytest.mark.parametrize("backend", ["torch", "openvino", "onnx"])
def test_a_forked_child_segments_as_its_parent_does(backend):
    """It hung: the threads of its parent, which it waited for, are not there."""
    run = subprocess.run(
        [sys.executable, "-c", FORKED, backend], capture_output=True, text=True, timeout=200
    )
    assert run.stdout == "done\n", run.stderr
