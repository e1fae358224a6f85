"""OpenVINO: the fastest way to run the network on most processors, without PyTorch."""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import Any

from fastsam_plugins.network import graphs, interrupting, openvino_guard, ultralytics_guard
from fastsam_plugins.network.output import Backend, Canvases, Output, outputs
from fastsam_plugins.network.weights import Network

_ORPHANS: list[Any] = []  # a parent's networks: to end them in a child, OpenVINO waits for threads
_TICK = 20  # milliseconds between two looks at whether to stop


class OpenVino(Backend):
    """A network run by OpenVINO.

    Compiled for one image on all cores, and, once images go side by side, for one core each.

    Parameters
    ----------
    network : Network
    precision : str
        ``f32``, ``bf16`` or ``f16``: that of layers that gain from it. Boxes and confidence are
        worked out in float32.
    """

    def __init__(self, network: Network, precision: str) -> None:
        self.label = f"OpenVINO {precision}"
        self._precision = precision
        self._graph = graphs.openvino(network)
        self._begin()
        self._get("LATENCY")

    def _begin(self) -> None:
        self._process = os.getpid()  # a forked child has none of the threads: it compiles anew
        self._lock = threading.Lock()
        self._compiled: dict[str, Any] = {}
        self._own = threading.local()

    def _get(self, hint: str) -> Any:
        with self._lock:
            if hint not in self._compiled:
                settings: dict[str, Any] = {
                    "INFERENCE_PRECISION_HINT": self._precision,
                    "PERFORMANCE_HINT": hint,
                }
                if threads := _allowed():
                    settings["INFERENCE_NUM_THREADS"] = threads
                graph = io.BytesIO(self._graph)
                self._compiled[hint] = openvino_guard.core().import_model(graph, "CPU", settings)
            return self._compiled[hint]

    def run(self, canvases: Canvases, least: float) -> list[Output]:
        """See :meth:`Backend.run`."""
        if os.getpid() != self._process:
            _ORPHANS.append((self._compiled, self._own.__dict__))
            self._begin()
        if not hasattr(self._own, "request"):
            hint = "THROUGHPUT" if hasattr(self._own, "alone") else "LATENCY"
            self._own.request = self._get(hint).create_infer_request()
        request = self._own.request
        interrupting.check()
        if interrupting.asked():
            request.start_async([canvases])
            try:
                while not request.wait_for(_TICK):
                    interrupting.check()
            except BaseException:  # also Ctrl-C, and what whoever may stop it raises
                del self._own.request  # it goes on to the end of a layer
                request.cancel()
                raise
        else:
            request.infer([canvases])
        predictions, prototypes, *features = (t.data for t in request.output_tensors)
        return outputs(predictions, prototypes, features, least)

    def count(self) -> int:
        """As many as OpenVINO advises."""
        return int(self._get("THROUGHPUT").get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def alone(self) -> None:
        """See :meth:`Backend.alone`."""
        self._own.alone = True


def _allowed() -> int:
    """How many threads the person allows; 0 where nothing is said."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # by depth of nesting
    if said == "1" and "ultralytics" in sys.modules and not ultralytics_guard.entered():
        return 0  # a person's program imported ultralytics, which says so whoever asks
    return min(int(said), os.cpu_count() or 1) if said.isdecimal() else 0
