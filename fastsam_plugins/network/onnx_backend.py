"""ONNX Runtime: on a processor, or by TensorRT on NVIDIA's graphics processors."""

from __future__ import annotations

from typing import Any

from fastsam_plugins import paths
from fastsam_plugins.network import graphs, interrupting
from fastsam_plugins.network.output import Backend, Canvases, Output, outputs
from fastsam_plugins.network.weights import Network


class Onnx(Backend):
    """A network run by ONNX Runtime in float32 on the processor."""

    def __init__(self, network: Network) -> None:
        self.label = "ONNX Runtime f32"
        self._session = _session(network, ["CPUExecutionProvider"])

    def run(self, canvases: Canvases, least: float) -> list[Output]:
        """See :meth:`Backend.run`."""
        interrupting.check()
        predictions, prototypes, *features = self._session.run(None, {"images": canvases})
        return outputs(predictions, prototypes, features, least)


class TensorRT(Onnx):
    """A network run by TensorRT, which compiles it for this graphics processor once.

    Compiled networks are kept in the person's cache. Not tried on a machine that has one: see
    docs/performance.md.
    """

    in_batches = True

    def __init__(self, network: Network, device: str, precision: str) -> None:
        self.label = f"TensorRT {precision}"
        number = int(device.partition(":")[2] or 0)
        compiling = {
            "device_id": number,
            "trt_fp16_enable": precision == "f16",
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(paths.cache() / "tensorrt"),
        }
        others = [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]
        self._session = _session(network, [("TensorrtExecutionProvider", compiling), *others])


def _session(network: Network, providers: list[Any]) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(graphs.onnx(network), providers=providers)
