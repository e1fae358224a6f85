"""PyTorch: the plain way to run the network, on every device that it knows."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from fastsam_plugins.network import interrupting
from fastsam_plugins.network.output import Backend, Canvases, Output, rows

_KINDS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class Torch(Backend):
    """A network run by PyTorch.

    Parameters
    ----------
    module : torch.nn.Module
        As :func:`fastsam_plugins.network.weights.load` gives it.
    device : str
    precision : str
        ``f32``, ``bf16`` or ``f16``. On a processor parameters stay in float32, and layers that
        gain from bfloat16 run in it.
    """

    def __init__(self, module: torch.nn.Module, device: str, precision: str = "f32") -> None:
        self.label = f"PyTorch {precision}"
        self._device, self._kind = torch.device(device), _KINDS[precision]
        self.in_batches = self._device.type != "cpu"
        if self.in_batches:  # a copy: the network itself stays where others may run it
            order = torch.preserve_format if precision == "f32" else torch.channels_last
            module = copy.deepcopy(module).to(self._device, self._kind, memory_format=order)
        self._module = module
        self._own = threading.local()
        self._usual = torch.get_num_threads()

    def run(self, canvases: Canvases, least: float) -> list[Output]:
        """See :meth:`Backend.run`."""
        if not hasattr(self._own, "module"):
            self._own.module = _for_one_thread(self._module)
        inputs = torch.from_numpy(canvases).to(self._device).permute(0, 3, 1, 2)
        on_processor = self._device.type == "cpu"
        half = self._kind != torch.float32
        inputs = inputs.to(self._kind if half and not on_processor else torch.float32).div_(255)
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=half and on_processor),
        ):
            heads, features = self._own.module(inputs)
            predictions, prototypes = heads[0]
            return [
                _taken(predictions[k], prototypes[k], [f[k] for f in features], least)
                for k in range(len(canvases))
            ]

    def count(self) -> int:
        """As many as threads that PyTorch would use for one image."""
        # Remembered here, before any thread is alone: until it has put things right, the others
        # would see what it sees.
        self._usual = torch.get_num_threads()
        return 1 if self.in_batches else self._usual

    def alone(self) -> None:
        """Let PyTorch use this thread only, and others as they did."""
        torch.get_num_threads()  # else the first operation sets what is usual
        torch.set_num_threads(1)  # for this thread, and for those that do not exist yet
        restore = threading.Thread(target=torch.set_num_threads, args=(self._usual,))
        restore.start()
        restore.join()


def _taken(prediction: Any, prototypes: Any, features: list[Any], least: float) -> Output:
    """What is kept of one image's output: chosen where it is, and only that brought here."""
    prediction = prediction.float()
    columns = prediction[:, torch.nonzero(prediction[4] > least)[:, 0]]
    corners, scores, coefficients = map(_here, rows(columns, torch.cat))
    return Output(corners, scores, coefficients, _here(prototypes), tuple(map(_here, features)))


def _here(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.float().cpu().numpy())


def _for_one_thread(module: torch.nn.Module) -> torch.nn.Module:
    """The same network, which can be stopped between two of its layers.

    With a head of its own: that remembers the anchors of the last input's size.
    """
    same: Any = copy.copy(module)
    same._modules = dict(module._modules)
    *layers, head = same.model
    same.model = _Stoppable(*layers, telling(copy.copy(head)))
    return same


class _Stoppable(torch.nn.Sequential):
    """Layers that a network goes through one after another."""

    # No hooks: a network that has some cannot be saved and loaded again.
    def __iter__(self) -> Iterator[torch.nn.Module]:
        for layer in super().__iter__():
            interrupting.check()
            yield layer


def telling(head: Any) -> torch.nn.Module:
    """A head that gives the features it was given as well."""

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.f, self.i = head, head.f, head.i

        def forward(self, features: list[torch.Tensor]) -> Any:
            given = list(features)  # a head may change the list
            return self.head(features), given

    return Head()
