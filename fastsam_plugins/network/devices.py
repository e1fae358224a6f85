"""Where networks run: a device's name to the device."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any


def pick_device(name: str) -> Any:
    """The torch device that a name stands for; ``auto`` is an accelerator if there is one.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device must be auto, cpu, mps, cuda or cuda:N, got {name!r}") from None
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.type == "mps" and not torch.backends.mps.is_available():
        count = 0
    if device.type not in ("cpu", "cuda", "mps") or (device.index or 0) >= count:
        raise ValueError(f"there is no device {name!r} here: use auto or cpu")
    return device


def device_name(name: str) -> str:
    """The same by name: ``cpu``, ``cuda:1``. PyTorch is imported only where it may see more.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    if name == "cpu" or (name == "auto" and not _accelerated()):
        return "cpu"
    return str(pick_device(name))


def _accelerated() -> bool:
    """Whether this machine may have an accelerator that PyTorch knows."""
    if sys.platform == "linux":  # NVIDIA's and AMD's drivers, and Windows' under WSL
        return any(Path("/dev", n).exists() for n in ("nvidiactl", "kfd", "dxg", "nvhost-gpu"))
    return sys.platform != "darwin" or platform.machine() == "arm64"
