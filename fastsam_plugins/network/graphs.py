"""The network as a graph for other runtimes: traced once, kept in the person's cache.

A graph takes images as they are, uint8 (B, H, W, 3) of any size, and gives what a YOLOv8-seg head
gives: predictions (B, 4 + 1 + C, A), prototypes (B, C, H/4, W/4), and the features.
"""

from __future__ import annotations

import copy
import io
import warnings
from typing import TYPE_CHECKING, Any

from fastsam_plugins import cache
from fastsam_plugins.network import openvino_guard
from fastsam_plugins.network.weights import Network

if TYPE_CHECKING:
    import torch

VERSION = 1  # of what is written here: another one is written anew
_EXAMPLE = (1, 64, 96, 3)


def exportable(module: torch.nn.Module) -> torch.nn.Module:
    """A copy that takes images as they are and works out its anchors for any size.

    The mean of a box side's distribution is a sum here, not the convolution that it is in the
    network: runtimes run convolutions in bfloat16, and boxes would move by pixels.
    """
    import torch

    from fastsam_plugins.network.torch_backend import telling

    class Mean(torch.nn.Module):
        def __init__(self, bins: int) -> None:
            super().__init__()
            self.register_buffer("bins", torch.arange(bins).float().view(1, bins, 1, 1))
            self.count = bins

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shares = x.view(x.shape[0], 4, self.count, x.shape[2]).transpose(2, 1).softmax(1)
            return (shares * self.bins).sum(1)

    class Graph(torch.nn.Module):
        def __init__(self, network: torch.nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> Any:
            return self.network(images.permute(0, 3, 1, 2).float() / 255)

    module = copy.deepcopy(module)
    head: Any = module.model[-1]
    head.export, head.dynamic, head.format = True, True, "onnx"
    if head.reg_max > 1:
        head.dfl = Mean(head.reg_max)
    module.model[-1] = telling(head)
    graph = Graph(module)
    with torch.inference_mode():
        graph(torch.zeros(_EXAMPLE, dtype=torch.uint8))  # makes what tracing must find made
    return graph


def openvino(network: Network) -> bytes:
    """The graph as OpenVINO imports it, for any precision."""

    def make() -> bytes:
        import torch

        with warnings.catch_warnings(), openvino_guard.openvino() as ov:
            warnings.simplefilter("ignore")  # of tracing; the outputs are tested
            model = ov.convert_model(
                exportable(network.module),
                example_input=torch.zeros(_EXAMPLE, dtype=torch.uint8),
                input=[(ov.PartialShape([-1, -1, -1, 3]), ov.Type.u8)],
            )
            plain = {"INFERENCE_PRECISION_HINT": "f32"}
            compiled = openvino_guard.core().compile_model(model, "CPU", plain)
            return bytes(compiled.export_model().getvalue())

    return cache.kept(_name(network, "openvino"), make)


def onnx(network: Network) -> bytes:
    """The graph as ONNX Runtime reads it."""

    def make() -> bytes:
        import torch

        written = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing; the outputs are tested
            torch.onnx.export(
                exportable(network.module),
                (torch.zeros(_EXAMPLE, dtype=torch.uint8),),
                written,
                input_names=["images"],
                dynamic_axes={"images": {0: "batch", 1: "height", 2: "width"}},
                opset_version=17,
                dynamo=False,
            )
        return written.getvalue()

    return cache.kept(_name(network, "onnx"), make)


def _name(network: Network, package: str) -> str:
    # OpenVINO would import what it wrote for another processor, or say nothing of damage.
    made_for = (VERSION, network.sha256, cache.processor(), *cache.versions(package, "torch"))
    return f"{cache.key(*made_for)}.{package}"
