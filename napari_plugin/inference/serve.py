"""The network's process, ``python -m napari_plugin.inference.serve``; ``network`` starts it.

It reads requests from standard input and answers on standard output, a line of JSON each. The
pixels of an image follow its request as bytes. It ends with its standard input.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

TICK = 0.05  # seconds


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # ultralytics prints to standard output
    requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
    windows: queue.Queue[np.ndarray | None] = queue.Queue()
    stop = threading.Event()
    pipe = (sys.stdin.buffer, requests, windows, stop)
    threading.Thread(target=_read, args=pipe, daemon=True).start()

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    loaded: dict[tuple[str, str, str], Any] = {}
    looked: dict[str, Any] = {}  # the last picture that a text was asked of
    while (request := requests.get()) is not None:
        if request.get("windows"):
            request["pixels"] = _Windows(request, say, windows, stop)
        try:
            say(_answer(request, loaded, looked, stop))
        except BrokenPipeError:  # nobody is there any more
            os._exit(0)


class _Windows:
    """The image of a request, of which windows are asked for: ``shown[y0:y1, x0:x1]``."""

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        request: dict[str, Any],
        say: Callable[[dict[str, Any]], None],
        windows: queue.Queue[np.ndarray | None],
        stop: threading.Event,
    ) -> None:
        self.shape = (*request["size"], 3)
        self._number, self._say, self._windows, self._stop = request["number"], say, windows, stop
        while not windows.empty():  # of a request that was stopped
            windows.get()

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        from fastsam_plugins.network.interrupting import Interrupted

        y, x = (range(n)[i] for i, n in zip(index, self.shape[:2], strict=True))
        self._say({"number": self._number, "read": [x.start, y.start, x.stop, y.stop]})
        while not self._stop.is_set():
            try:
                pixels = self._windows.get(timeout=TICK)
            except queue.Empty:
                continue
            if pixels is not None and pixels.shape == (len(y), len(x), 3):
                return pixels
        raise Interrupted("stopped on request")


def _read(
    stream: BinaryIO,
    requests: queue.Queue[Any],
    windows: queue.Queue[np.ndarray | None],
    stop: threading.Event,
) -> None:
    """Hand requests on, and windows; a request to stop overtakes them."""
    while line := stream.readline():
        request = json.loads(line)
        if request["do"] == "stop":
            stop.set()
            continue
        if "size" in request and not request.get("windows"):
            height, width = request["size"]
            data = stream.read(height * width * 3)
            if len(data) < height * width * 3:
                break
            request["pixels"] = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        if request["do"] == "again":  # what was asked to stop has stopped
            stop.clear()
            continue
        if request["do"] == "window":
            windows.put(request["pixels"])
            continue
        requests.put(request)
    stop.set()
    requests.put(None)


def _answer(
    request: dict[str, Any], loaded: dict[Any, Any], looked: dict[str, Any], stop: threading.Event
) -> Any:
    from fastsam_plugins.io import npz
    from fastsam_plugins.model import FastSAM
    from fastsam_plugins.network.interrupting import Interrupted
    from fastsam_plugins.options import LimitOptions, SegmentOptions, TileOptions

    number = request["number"]
    try:
        if request["do"] == "pick":
            return {"number": number, "picked": _picked(request, looked)}
        name = tuple(request["network"])
        if name not in loaded:
            loaded.clear()  # not two in memory
            model, device, backend, precision = name
            loaded[name] = FastSAM(model, device, backend, precision=precision)
        network = loaded[name]
        if request["do"] == "segment":
            options = SegmentOptions(**request["options"])
            pixels, tiling = request["pixels"], request["tiling"]
            network.limits = LimitOptions(**request["limits"])
            with network.interruptible(stop.is_set):
                if tiling:
                    seg = network.segment_tiled(pixels, options, TileOptions(**tiling))
                else:
                    seg = network.segment(pixels, options, tuple(request["shape"]))
            npz.write(seg, Path(request["out"]))
        return {"number": number, "done": True}
    except Interrupted:
        return {"number": number, "stopped": True}
    except (ValueError, RuntimeError, OSError, MemoryError, ImportError) as error:
        text = str(error).strip().split("\n")[0] or type(error).__name__
        return {"number": number, "failed": text}


def _picked(request: dict[str, Any], looked: dict[str, Any]) -> list[int]:
    """Places of the instances that a text picks, the better ones first."""
    from fastsam_plugins.options import TextOptions

    seg = _looked_at(request, looked)
    places = np.array(request["among"], np.int64)
    negatives, options = request["negatives"] or None, TextOptions(**request["options"])
    picked = seg[places].select(text=request["texts"], negatives=negatives, options=options)
    return list(dict.fromkeys(picked.rows.tolist()))


def _looked_at(request: dict[str, Any], looked: dict[str, Any]) -> Any:
    """The instances of a picture; of the last one, with what CLIP saw in it."""
    from fastsam_plugins.io import npz

    name = request["digest"]
    if name not in looked:
        looked.clear()
        seg = npz.read(request["instances"])
        looked[name] = seg.with_image(request["pixels"], request["device"])
    return looked[name]


if __name__ == "__main__":
    main()
