"""What can run the network here: a backend and a precision by name."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from typing import get_args

from fastsam_plugins.messages import install, one_line
from fastsam_plugins.network import openvino_guard
from fastsam_plugins.network.output import Backend
from fastsam_plugins.network.weights import Network
from fastsam_plugins.options import BackendName, NetworkPrecision

NAMES: tuple[str, ...] = get_args(BackendName)
PRECISIONS: tuple[str, ...] = get_args(NetworkPrecision)
_PACKAGES = {
    "torch": "torch",
    "openvino": "openvino",
    "onnx": "onnxruntime",
    "tensorrt": "onnxruntime",
}


def make(name: str, precision: str, network: Network, device: str) -> Backend:
    """Prepare a network for running.

    Parameters
    ----------
    name, precision : str
        One of :func:`possible`.
    network : Network
    device : str
        ``cpu``, ``cuda:0``, ``mps``.
    """
    if name == "openvino":
        from fastsam_plugins.network.openvino_backend import OpenVino

        return OpenVino(network, precision)
    if name == "onnx":
        from fastsam_plugins.network.onnx_backend import Onnx

        return Onnx(network)
    if name == "tensorrt":
        from fastsam_plugins.network.onnx_backend import TensorRT

        return TensorRT(network, device, precision)
    from fastsam_plugins.network.torch_backend import Torch

    return Torch(network.module, device, precision)


def possible(name: str, precision: str, device: str) -> list[tuple[str, str]]:
    """The backends and precisions that fit what was asked for, on a device.

    Parameters
    ----------
    name : str
        ``torch``; ``openvino`` or ``onnx``, which run on the processor; ``tensorrt``; or ``auto``.
    precision : str
        ``f32``, ``bf16``, ``f16``, or ``auto``.
    device : str

    Returns
    -------
    list of (name, precision)
        The plain ones first: PyTorch, float32.

    Raises
    ------
    ValueError
        If the backend or precision is unknown, not installed, or not to be had on the device.
    """
    if name not in NAMES:
        raise ValueError(f"backend must be one of {', '.join(NAMES)}, got {name!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    on_processor = device == "cpu"
    if name != "auto":
        if not installed(name):
            raise ValueError(f"backend {name} is not installed: {install(name)}")
        if name in ("openvino", "onnx") and not on_processor:
            raise ValueError(f"backend {name} runs on the processor: use device='cpu'")
        if name == "tensorrt" and not device.startswith("cuda"):
            raise ValueError(
                "backend tensorrt needs an NVIDIA graphics processor: use device='cuda'"
            )
    # What nobody asked for by name is what wins nowhere, or takes minutes to compile.
    named = ["torch", "openvino"] if name == "auto" else [name]
    fitting = [
        (backend, kind)
        for backend in named
        if installed(backend) and (on_processor or backend not in ("openvino", "onnx"))
        for kind in _precisions(backend, device)
        if precision in ("auto", kind)
    ]
    if name == "torch" and precision == "auto":
        return fitting[:1]  # who names PyTorch wants what PyTorch gives
    if not fitting:
        raise ValueError(
            f"nothing here runs a network in {precision} on {device}"
            + (f" by {name}" if name != "auto" else "")
            + ": use precision='auto'"
        )
    if name == "auto" and on_processor and len(fitting) > 1:
        # PyTorch's bfloat16 is never faster than OpenVINO's.
        fitting = [f for f in fitting if f != ("torch", "bf16")]
    return fitting


def installed(name: str) -> bool:
    """Whether a backend's package is here, and works."""
    if name == "tensorrt":
        return "TensorrtExecutionProvider" in _providers()
    if importlib.util.find_spec(_PACKAGES[name]) is None:
        return False
    return name != "openvino" or _loads()


@functools.cache
def _loads() -> bool:
    """Whether OpenVINO, which is there, can be imported: on an old system its libraries cannot."""
    try:
        with openvino_guard.openvino():
            return True
    except (ImportError, OSError) as error:
        why: BaseException | None = error
        while why is not None:
            if isinstance(why, KeyboardInterrupt):  # Ctrl-C while it was being imported
                raise KeyboardInterrupt from error
            why = why.__cause__ or why.__context__
        warnings.warn(f"OpenVINO cannot be used here: {one_line(error)}", stacklevel=2)
        return False


@functools.cache
def _providers() -> list[str]:
    if importlib.util.find_spec("onnxruntime") is None:
        return []
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def _precisions(name: str, device: str) -> list[str]:
    if name == "onnx":
        return ["f32"]
    if name == "torch":
        return (
            ["f32", "bf16"] if device == "cpu" else ["f32", "f16", "bf16"][: 2 + (device != "mps")]
        )
    if name == "tensorrt":
        return ["f32", "f16"]
    return ["f32", *_halves()]


@functools.cache
def _halves() -> list[str]:
    """Half precisions that this processor computes in and OpenVINO knows of."""
    able = openvino_guard.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return [kind for kind, name in (("bf16", "BF16"), ("f16", "FP16")) if name in able]
