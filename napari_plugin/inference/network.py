"""The network in a process of its own, asked from any thread.

Why not in napari's: importing PyTorch and running Python beside it hold the window up; Triton,
which PyTorch imports, crashes a process in which Mesa's software OpenGL runs (both bring LLVM); and
a network that runs out of memory takes nobody's work with it.
"""

from __future__ import annotations

import dataclasses
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.io import npz
from fastsam_plugins.options import LimitOptions, SegmentOptions, TileOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.inference.text_prompt import Words
from napari_plugin.model.slice_instances import SliceInstances

PATIENCE = 3.0  # seconds a process may take to stop before it is ended
TICK = 0.05


class NetworkError(RuntimeError):
    """The network cannot be loaded or run; the message says why, in one line."""


class Stopped(RuntimeError):
    """The network was told to stop."""


class Network:
    """A process that loads networks and segments.

    It is started when first needed and ends with this program, or with :meth:`close`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # one request at a time
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._number = 0

    def load(self, model: str, device: str, backend: str = "auto", precision: str = "auto") -> None:
        """Load a network ahead of time; does not wait, and keeps quiet about what is wrong."""
        if self._lock.acquire(blocking=False):
            try:
                self._number += 1
                network = [model, device, backend, precision]
                self._send({"do": "load", "number": self._number, "network": network})
            except OSError:
                self._process = None
            finally:
                self._lock.release()

    def segment(
        self,
        pixels: NDArray[np.uint8] | WindowedImage,
        shape: tuple[int, int],
        network: tuple[str, str, str, str],
        options: SegmentOptions,
        stop: threading.Event,
        tiling: TileOptions | None = None,
        limits: LimitOptions | None = None,
    ) -> Segmentation:
        """Segment an image.

        Parameters
        ----------
        pixels : uint8 array (h, w, 3), or WindowedImage
            Of what is not in memory, the process is given the windows that it asks for.
        shape : (H, W)
            In whose pixels the answer is.
        network : model, device, backend, precision
        options : SegmentOptions
        stop : threading.Event
            Give up once it is set.
        tiling : TileOptions, optional
            Look in windows.
        limits : LimitOptions, optional
            What the network may ask of the machine.

        Raises
        ------
        NetworkError
            If the network cannot be loaded or run.
        Stopped
            If ``stop`` was set.
        """
        with self._lock, tempfile.TemporaryDirectory(prefix="fastsam-") as folder:
            out = Path(folder) / "instances.npz"
            request = {
                "do": "segment", "network": network, "size": pixels.shape[:2], "shape": shape,
                "out": str(out), "options": dataclasses.asdict(options),
                "tiling": dataclasses.asdict(tiling) if tiling else None,
                "limits": dataclasses.asdict(limits or LimitOptions()),
            }  # fmt: skip
            self._ask(request, pixels, stop)
            return npz.read(out)

    def pick(
        self,
        pixels: NDArray[np.uint8],
        instances: SliceInstances,
        device: str,
        words: Words,
        stop: threading.Event,
    ) -> list[int]:
        """Pick among a slice's instances by text.

        Parameters
        ----------
        pixels : uint8 array (H, W, 3)
            Of the instances' window, in full resolution.
        instances : SliceInstances
        device : str
            Where CLIP runs.
        words : Words
        stop : threading.Event
            Give up once it is set.

        Returns
        -------
        list of int
            Rows of the instances.

        Raises
        ------
        NetworkError
            If CLIP cannot be loaded or run.
        Stopped
            If ``stop`` was set.
        """
        with self._lock, tempfile.TemporaryDirectory(prefix="fastsam-") as folder:
            file = Path(folder) / "instances.npz"
            npz.write(instances.seg, file)
            request = {
                "do": "pick", "size": pixels.shape[:2], "instances": str(file), "device": device,
                "digest": instances.digest, "among": _places(instances),
                **dataclasses.asdict(words),
            }  # fmt: skip
            rows = self._ask(request, pixels, stop)["picked"]
            return [int(instances.seg.rows[row]) for row in rows]

    def _ask(
        self,
        request: dict[str, Any],
        pixels: NDArray[np.uint8] | WindowedImage,
        stop: threading.Event,
    ) -> dict[str, Any]:
        self._number += 1
        shown = None if isinstance(pixels, np.ndarray) else pixels
        request |= {"number": self._number, "windows": shown is not None}
        try:
            self._send(request, None if isinstance(pixels, WindowedImage) else pixels)
            answer = self._wait(stop, shown)
        except OSError:
            answer = None
        if answer is None:
            raise NetworkError(self._epitaph())
        if "failed" in answer:
            raise NetworkError(answer["failed"])
        if "stopped" in answer:
            raise Stopped("stopped on request")
        return answer

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.terminate()
            process.stdin.close()

    def _send(self, request: dict[str, Any], pixels: NDArray[np.uint8] | None = None) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        if pixels is not None:
            process.stdin.write(np.ascontiguousarray(pixels).data)
        process.stdin.flush()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "napari_plugin.inference.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._answers = answers

        def listen() -> None:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    answers.put(json.loads(line))
            process.wait()
            answers.put(None)

        threading.Thread(target=listen, daemon=True).start()
        return process

    def _wait(
        self, stop: threading.Event, shown: WindowedImage | None = None
    ) -> dict[str, Any] | None:
        """The answer to the last request; None if the process ended without one.

        Until then it is given the windows of an image that it asks for.
        """
        deadline, problem = None, ""
        while True:
            if stop.is_set() and deadline is None:
                deadline = time.monotonic() + PATIENCE
                self._send({"do": "stop"})
            if deadline is not None and time.monotonic() > deadline:
                self.close()
                return {"failed": problem} if problem else {"stopped": True}
            try:
                answer = self._answers.get(timeout=TICK)
            except queue.Empty:
                continue
            if answer is not None and "read" in answer:
                if deadline is not None or shown is None or answer["number"] != self._number:
                    continue
                x0, y0, x1, y1 = answer["read"]
                try:
                    pixels = shown[y0:y1, x0:x1]
                except Exception as error:  # whatever an array raises that reads or computes
                    text = str(error).strip().split("\n")[0] or type(error).__name__
                    problem = f"the image cannot be read: {text}"
                    deadline = time.monotonic() + PATIENCE
                    self._send({"do": "stop"})
                else:
                    self._send({"do": "window", "size": (y1 - y0, x1 - x0)}, pixels)
                continue
            if answer is None or answer["number"] == self._number:
                if deadline is not None and answer is not None:
                    self._send({"do": "again"})
                    return {"failed": problem} if problem else {"stopped": True}
                return answer

    def _epitaph(self) -> str:
        process, self._process = self._process, None
        code = None if process is None else process.poll()
        return f"the network's process ended (exit status {code}); is there enough memory?"


def _places(instances: SliceInstances) -> list[int]:
    """Which instances the filters let through: their places among all."""
    return np.flatnonzero(np.isin(instances.seg.rows, instances.visible.rows)).tolist()
