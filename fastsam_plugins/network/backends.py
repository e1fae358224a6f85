"""What runs the network: PyTorch, OpenVINO or ONNX Runtime behind one call.

A backend takes inputs (B, 3, H, W), float32 in [0, 1], and gives predictions (B, 37, A), prototypes
(B, 32, H/4, W/4) and the features that they were made from, (B, C, H/8, W/8) and two coarser ones,
as torch tensors. Sizes may change from call to call, and several threads may call at once.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from fastsam_plugins.messages import install
from fastsam_plugins.options import BackendName

if TYPE_CHECKING:
    import torch

    Outputs = tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]
    Backend = Callable[[torch.Tensor], Outputs]

NAMES: tuple[str, ...] = get_args(BackendName)


def make(name: str, module: torch.nn.Module, device: torch.device) -> Backend:
    """Prepare a network for running.

    Parameters
    ----------
    name : str
        ``torch``; ``openvino`` or ``onnx``, which run on the processor and need the extras of the
        same name; ``auto``, which is ``torch``.
    module : torch.nn.Module
        As :func:`fastsam_plugins.network.weights.load` gives it; not changed by ``openvino`` and
        ``onnx``.
    device : torch.device
        For ``torch``.

    Raises
    ------
    ValueError
        If the backend is unknown, not installed, or does not run on the device.
    """
    check(name, device)
    if name in ("auto", "torch"):
        return _torch(module, device)
    return (_openvino if name == "openvino" else _onnx)(_exportable(module))


def check(name: str, device: torch.device) -> None:
    """Refuse a backend that there is not, or not here, or not on the device.

    Raises
    ------
    ValueError
    """
    if name not in NAMES:
        raise ValueError(f"backend must be one of {', '.join(NAMES)}, got {name!r}")
    if name in ("auto", "torch"):
        return
    package = {"openvino": "openvino", "onnx": "onnxruntime"}[name]
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"backend {name} is not installed: {install(name)}")
    if device.type != "cpu":
        raise ValueError(f"backend {name} runs on the processor: use device='cpu'")


def _torch(module: torch.nn.Module, device: torch.device) -> Backend:
    import torch

    module = module.to(device)
    own = threading.local()

    def run(inputs: torch.Tensor) -> Outputs:
        if not hasattr(own, "module"):
            own.module = _with_own_head(module)
        with torch.inference_mode():
            outputs, features = own.module(inputs.to(device))
        predictions, prototypes = outputs[0]
        return predictions, prototypes, features

    return run


def _with_own_head(module: torch.nn.Module) -> torch.nn.Module:
    """The same network, for one thread: the head remembers the anchors of the last input's size."""
    same: Any = copy.copy(module)
    same._modules = dict(module._modules)
    same.model = copy.copy(same.model)
    same.model._modules = dict(same.model._modules)
    same.model[-1] = _telling(copy.copy(same.model[-1]))
    return same


def _telling(head: Any) -> torch.nn.Module:
    """A head that gives the features it was given as well."""
    import torch

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.f, self.i = head, head.f, head.i

        def forward(self, features: list[torch.Tensor]) -> Any:
            given = list(features)  # a head may change the list
            return self.head(features), given

    return Head()


def _exportable(module: torch.nn.Module) -> torch.nn.Module:
    """A copy whose head gives all outputs in a row and works out its anchors for any size."""
    import torch

    module = copy.deepcopy(module)
    head: Any = module.model[-1]
    head.export, head.dynamic, head.format = True, True, "onnx"
    module.model[-1] = _telling(head)
    with torch.inference_mode():
        module(torch.zeros(_EXAMPLE))  # the first call makes what tracing must find made
    return module


_EXAMPLE = (1, 3, 64, 96)


def _openvino(module: torch.nn.Module) -> Backend:
    import openvino
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing; the outputs are tested
        model = openvino.convert_model(
            module,
            example_input=torch.zeros(_EXAMPLE),
            input=[openvino.PartialShape([-1, 3, -1, -1])],
        )
    # Half precision would be faster where the processor has it, and move boxes and masks.
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs: torch.Tensor) -> Outputs:
        outputs = compiled([inputs.contiguous().numpy()])
        made = [torch.from_numpy(outputs[k].copy()) for k in range(len(outputs))]
        return made[0], made[1], made[2:]

    return run


def _onnx(module: torch.nn.Module) -> Backend:
    import onnxruntime
    import torch

    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing; the outputs are tested
        torch.onnx.export(
            module,
            (torch.zeros(_EXAMPLE),),
            written,
            input_names=["images"],
            dynamic_axes={"images": {0: "batch", 2: "height", 3: "width"}},
            opset_version=17,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(written.getvalue(), providers=["CPUExecutionProvider"])

    def run(inputs: torch.Tensor) -> Outputs:
        outputs = session.run(None, {"images": inputs.contiguous().numpy()})
        made = [torch.from_numpy(output) for output in outputs]
        return made[0], made[1], made[2:]

    return run
